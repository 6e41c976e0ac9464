"""Stage 4: read models, derived from the steps of the fold."""

__all__: list[str] = []
