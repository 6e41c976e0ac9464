"""AsyncEngine against Engine: the same names, arguments and results; nothing is left out, nothing is its own."""

import inspect
from collections.abc import AsyncGenerator, Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from kfstate import AsyncEngine, AsyncSubscription, Engine, Subscription
from kfstate.aio import AsyncHandler
from kfstate.aio.archive import AsyncArchive
from kfstate.aio.audit import AsyncAudit
from kfstate.aio.projections import AsyncProjections
from kfstate.archive.face import Archive
from kfstate.audit.face import Audit
from kfstate.feed import Handler
from kfstate.feed.projections import Projections

__all__: list[str] = []

PAIRS: list[tuple[type, type]] = [
    (Engine, AsyncEngine),
    (Subscription, AsyncSubscription),
    (Projections, AsyncProjections),
    (Audit, AsyncAudit),
    (Archive, AsyncArchive),
]
"""A synchronous class and the one that is awaited."""
OWN: dict[type, set[str]] = {AsyncEngine: {"open", "projections", "audit", "archive"}, AsyncSubscription: {"error"}}
"""What only the asynchronous one has: opening is something to wait for; an attribute is a property here."""
INNER: dict[type, set[str]] = {Projections: {"open"}}
"""What an engine does with it by itself."""

AT_ONCE = {"halt"}
"""What waits for nothing."""


def public(kind: type) -> dict[str, Any]:
    """Return what a class has for its users."""
    hidden = INNER.get(kind, set())
    return {name: value for name, value in inspect.getmembers(kind) if name[0] != "_" and name not in hidden}


MEMBERS = [(ours, theirs, name) for ours, theirs in PAIRS for name in public(ours)]


def translated(annotation: Any) -> Any:
    """Return the annotation that stands for this one where things are awaited."""
    pairs: dict[Any, Any] = dict(PAIRS) | {Connection: AsyncConnection, Handler: AsyncHandler}
    if annotation in pairs:
        return pairs[annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if not inner:
        return annotation
    told = tuple(list(map(translated, part)) if isinstance(part, list) else translated(part) for part in inner)
    if origin in {Union, UnionType}:
        return Union[told]  # noqa: UP007 (made at run time)
    if origin is Iterator:
        return AsyncGenerator.__class_getitem__((*told, None))  # type: ignore[attr-defined]
    return pairs.get(origin, origin)[told]


def hints(function: Any) -> dict[str, Any]:
    """Return the annotations of a function; unions in one form."""
    found = get_type_hints(function, localns={"AsyncConnection": AsyncConnection})
    return {name: Union[annotation] for name, annotation in found.items()}  # noqa: UP007


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_nothing_is_missing(ours: type, theirs: type) -> None:
    """Both have the same public names, but for what there is to await before there is an engine."""
    assert public(ours).keys() == public(theirs).keys() - OWN.get(theirs, set())


@pytest.mark.parametrize(("ours", "theirs", "name"), MEMBERS)
def test_arguments_are_the_same(ours: type, theirs: type, name: str) -> None:
    """A method takes the same arguments, in the same order, of the same kinds and types, with the same defaults."""
    one, other = getattr(ours, name), getattr(theirs, name)
    if isinstance(one, property):
        assert isinstance(other, property)
        return
    assert [
        (argument.name, argument.kind, argument.default) for argument in inspect.signature(one).parameters.values()
    ] == [(argument.name, argument.kind, argument.default) for argument in inspect.signature(other).parameters.values()]
    wanted, found = hints(one), hints(other)
    assert {key: translated(value) for key, value in wanted.items()} == found


@pytest.mark.parametrize(("ours", "theirs", "name"), MEMBERS)
def test_what_waits_is_awaited(ours: type, theirs: type, name: str) -> None:
    """A method is a coroutine function, or gives an asynchronous iterator where Engine's gives an iterator."""
    one, other = getattr(ours, name), getattr(theirs, name)
    if not isinstance(one, property):
        iterates = get_origin(hints(one).get("return")) is Iterator
        assert (iterates or name in AT_ONCE) is not inspect.iscoroutinefunction(other)


@pytest.mark.parametrize(("ours", "theirs", "name"), MEMBERS)
def test_words_are_engines(ours: type, theirs: type, name: str) -> None:
    """The docstring leads to that of the synchronous method, where everything is said once."""
    assert f"{ours.__qualname__}.{name}`" in (inspect.getdoc(getattr(theirs, name)) or "")


def test_opening_takes_the_same() -> None:
    """AsyncEngine takes what Engine takes."""
    assert inspect.signature(Engine) == inspect.signature(AsyncEngine)
