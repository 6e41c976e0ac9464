"""What maintainers run: ``python3 -m scripts.test``, ``python3 -m scripts.wheel``. Standard library only."""
