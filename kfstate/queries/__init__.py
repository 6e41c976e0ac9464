"""Stage 5: questions to the log and the projections. Read only; answers are frozen views."""

__all__: list[str] = []
