"""What is done about what the log knows of people: erasing, retention, legal holds, receipts, the access log."""

__all__: list[str] = []
