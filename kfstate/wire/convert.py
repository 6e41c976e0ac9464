"""The one converter of the wire: it takes whatever WeCom sends, and gives it back equal."""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import cattrs

from kfstate.errors import WireError
from kfstate.wire.bodies import MergedMsgItem
from kfstate.wire.model import WireModel
from kfstate.wire.models import BODY_TYPES, KfMsg
from kfstate.wire.parse import Json, parse_object
from kfstate.wire.readers import JsonObject, is_object
from kfstate.wire.shape import Shape

__all__ = ["decode_merged", "decode_model", "decode_msg", "make_wire_converter", "to_wire", "wire_converter"]

M = TypeVar("M", bound=WireModel)

Hook: TypeAlias = Callable[..., Any]
"""A hook of cattrs that also works with the value alone."""

OTHER_SPELLINGS = {"miniprogram": "mini_program"}
"""Bodies that also go by another name: the seed's."""

_new = object.__new__
_set = object.__setattr__


def _model(cls: type[M], values: JsonObject) -> M:
    """Return an instance that takes over *values*, in a third of the time that ``__init__`` would need."""
    model = _new(cls)
    _set(model, "__dict__", values)
    return model


class _Bodies:
    """Finds the body of a message among the members that are not its attributes."""

    def __init__(self, hook_of: Callable[[type[WireModel]], Hook]) -> None:
        self._found: dict[object, tuple[str, str, Hook]] = {}
        for name, cls in BODY_TYPES.items():
            other = OTHER_SPELLINGS.get(name, name)
            self._found[name] = self._found[other] = (name, other, hook_of(cls))

    def take(self, extra: JsonObject, msgtype: object) -> WireModel | None:
        """Return the body that *msgtype* names; take it out of *extra* when it came in its documented form only."""
        found = self._found.get(msgtype)
        if found is None:
            return None
        name, other, hook = found
        value = extra.get(name)
        if other is name or other not in extra:
            if not is_object(value):
                return None
            del extra[name]
            return hook(value)  # type: ignore[no-any-return]
        value = value if is_object(value) else extra[other]
        return hook(value) if is_object(value) else None

    def put(self, wire: JsonObject, msg: KfMsg, write: Hook) -> None:
        """Write the body into *wire*, unless it stands there already."""
        body = msg.body
        if body == self.take(dict(wire), msg.msgtype):
            return
        for name in self._found.get(msg.msgtype, ())[:2]:
            wire.pop(name, None)
        if body is not None:
            wire[_NAMES.get(type(body)) or str(msg.msgtype)] = write(body)


_NAMES = {cls: name for name, cls in BODY_TYPES.items()}


def make_wire_converter() -> cattrs.Converter:
    """Return a new lenient converter for every wire model; own models can be registered on it."""
    converter = cattrs.Converter()

    def hook_of(cls: type[WireModel]) -> Hook:
        return converter.get_structure_hook(cls)

    def read_hook(cls: type[WireModel]) -> Hook:
        values_of = Shape(cls, hook_of).values

        def structure(data: object, _: object = None) -> WireModel:
            return _model(cls, values_of(data if is_object(data) else parse_object(data, "$")))

        return structure

    def write_hook(cls: type[WireModel]) -> Hook:
        shape = Shape(cls, hook_of)

        def unstructure(model: WireModel) -> JsonObject:
            return shape.wire(model, converter.unstructure)

        return unstructure

    converter.register_structure_hook_factory(_is_model, read_hook)
    converter.register_unstructure_hook_factory(_is_model, write_hook)
    _register_msg(converter, hook_of)
    return converter


def _is_model(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, WireModel)


def _register_msg(converter: cattrs.Converter, hook_of: Callable[[type[WireModel]], Hook]) -> None:
    """Register the hooks of ``KfMsg``, whose body stands under the name that its ``msgtype`` gives."""
    shape, bodies = Shape(KfMsg, hook_of), _Bodies(hook_of)
    values_of, take = shape.values, bodies.take

    def structure(data: object, _: object = None) -> KfMsg:
        values: dict[str, Any] = values_of(data if is_object(data) else parse_object(data, "$"))
        values["body"] = take(values["extra"], values["msgtype"])
        return _model(KfMsg, values)

    def unstructure(msg: KfMsg) -> JsonObject:
        wire = shape.wire(msg, converter.unstructure)
        bodies.put(wire, msg, converter.unstructure)
        return wire

    converter.register_structure_hook(KfMsg, structure)
    converter.register_unstructure_hook(KfMsg, unstructure)


wire_converter = make_wire_converter()
"""The converter that the functions below use."""

_structure_msg: Hook = wire_converter.get_structure_hook(KfMsg)


def decode_msg(element: Json, *, path: str = "$") -> KfMsg:
    """Return the message or event that *element* of a page is, whatever its type; ``path`` is for the error.

    A value that its field cannot take is kept in ``extra``, and the field is None.

    Raises:
        WireError: *element* is no JSON, or no JSON object.
    """
    return _structure_msg(parse_object(element, path))  # type: ignore[no-any-return]


def decode_model(data: Json, kind: type[M], *, path: str = "$") -> M:
    """Return *data* as a model of *kind*: a reply, an account … A reply's ``errcode`` is left to the caller.

    Raises:
        WireError: *data* is no JSON, or no JSON object.
    """
    return wire_converter.structure(parse_object(data, path), kind)


def decode_merged(item: MergedMsgItem) -> KfMsg | None:
    """Return the message inside *item* of forwarded chat records; None where there is no readable one.

    Where the inner text leaves out its ``msgtype``, that of the item says what it is.
    """
    if item.msg_content is None:
        return None
    try:
        inner = parse_object(item.msg_content, "$.msg_content")
    except WireError:
        return None
    if isinstance(item.msgtype, str):
        inner.setdefault("msgtype", str(item.msgtype))
    return _structure_msg(inner)  # type: ignore[no-any-return]


def to_wire(model: WireModel) -> JsonObject:
    """Return *model* as the JSON object it came from; one that was built or changed by hand in its documented form.

    The object shares nothing with the model.
    """
    return wire_converter.unstructure(model)  # type: ignore[no-any-return]
