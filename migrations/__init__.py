"""Alembic's migrations; shipped in the wheel as ``kfstate/migrations``."""
