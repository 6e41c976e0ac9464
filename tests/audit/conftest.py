"""The same engines as the tests of the engine."""

from tests.engine.conftest import clock, engine, fresh, tell, template

__all__ = ["clock", "engine", "fresh", "tell", "template"]
