"""Proofs of one conversation against a published head of the log, and their check without a database."""

__all__: list[str] = []
