"""The version of this release, which every pull is recorded with."""

__all__ = ["__version__"]

__version__ = "0.1.0"
