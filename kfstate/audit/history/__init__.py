"""What the state was at T, as it was known at K, and why: as-of, explanations, the timeline, the report."""

__all__: list[str] = []
