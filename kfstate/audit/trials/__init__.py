"""History told again: the replay gate, comparisons, and what would have been."""

__all__: list[str] = []
