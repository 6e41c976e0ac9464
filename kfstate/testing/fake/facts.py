"""What WeCom's documents leave open, as switches: whoever builds on kfstate can test against either answer."""

import itertools
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal

import attrs

__all__ = ["CHOICES", "OpenFacts"]

_BOOL = (False, True)

CHOICES: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "session_anchor": ("last_message", "opening"),
        "after_48h": ("finished", "noticed_late"),
        "expiry_event": _BOOL,
        "trans_event": _BOOL,
        "send_in_untreated": ("moves", "stays", "refused"),
        "send_in_manual": _BOOL,
        "menu_click_opens": _BOOL,
        "menu_click_renews": _BOOL,
        "manual_message_renews": _BOOL,
        "ends_untreated": _BOOL,
        "ends_robot": _BOOL,
        "ends_queue": _BOOL,
        "robot_again": _BOOL,
        "queue_again": _BOOL,
        "same_servicer": _BOOL,
        "own_routing": ("none", "robot", "queue", "servicer"),
        "silent_end_after": (None, 1_800),
        "silent_end_event": _BOOL,
        "pulls_without_token": (None,),
    }
)
"""Every switch with the values that :meth:`OpenFacts.pairwise` combines."""

_NUMBERS = frozenset({"silent_end_after", "pulls_without_token"})


def _one_of(facts: "OpenFacts", attribute: "attrs.Attribute[object]", value: object) -> None:
    if attribute.name in _NUMBERS:
        sound = value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)
        expected = "None or a whole number above 0"
    else:
        sound = any(value is choice or (value == choice and isinstance(value, str)) for choice in _choices(attribute))
        expected = f"one of {_choices(attribute)}"
    if not sound:
        raise ValueError(f"{type(facts).__name__}.{attribute.name} must be {expected}, not {value!r}")


def _choices(attribute: "attrs.Attribute[object]") -> tuple[object, ...]:
    return CHOICES[attribute.name]


@attrs.frozen(kw_only=True, field_transformer=lambda _, fields: [field.evolve(validator=_one_of) for field in fields])
class OpenFacts:
    """One answer to every question that the documents leave open; the defaults are the most likely ones.

    Attributes:
        session_anchor: What the 48 hours of a session are counted from: its last customer message, or its opening.
        after_48h: ``finished``: the session is in 4 from then on. ``noticed_late``: ``service_state/get`` goes on with
            the state before, until a message or another call makes the server look at the time.
        expiry_event: Whether the end after 48 hours brings a ``session_status_change`` (3).
        trans_event: Whether ``service_state/trans`` brings one, too.
        send_in_untreated: What ``send_msg`` does in 0: it moves the session to 1, leaves it in 0, or is refused.
        send_in_manual: Whether ``send_msg`` is accepted in 3; the page says no, one project says yes.
        menu_click_opens: Whether the click on a menu item opens a session after the end.
        menu_click_renews: Whether such a click renews the window of five messages.
        manual_message_renews: Whether a customer message to a servicer (in 3) renews it; ``send_in_manual`` shows it.
        ends_untreated: Whether ``trans`` takes a session from 0 to 4.
        ends_robot: The same from 1.
        ends_queue: The same from 2.
        robot_again: Whether ``trans`` from 1 to 1 is accepted.
        queue_again: Whether ``trans`` from 2 to 2 is accepted.
        same_servicer: Whether ``trans`` from 3 to 3 is accepted for the servicer who has the session.
        own_routing: Where WeCom's own reception rules put a new session of an account that is managed by API, at once
            and without a word. A servicer is only found where one is receiving; else it is the pool.
        silent_end_after: Seconds after which a session ends by itself when the servicer who got it says nothing; None:
            never.
        silent_end_event: Whether that end brings a ``session_status_change`` (3).
        pulls_without_token: How many pulls a minute ``sync_msg`` takes for an account without the token of a callback,
            before it says 45009; None: any number. The page calls the limit strict and does not name it.
    """

    session_anchor: Literal["last_message", "opening"] = "last_message"
    after_48h: Literal["finished", "noticed_late"] = "finished"
    expiry_event: bool = False
    trans_event: bool = False
    send_in_untreated: Literal["moves", "stays", "refused"] = "moves"
    send_in_manual: bool = False
    menu_click_opens: bool = True
    menu_click_renews: bool = True
    manual_message_renews: bool = True
    ends_untreated: bool = True
    ends_robot: bool = True
    ends_queue: bool = True
    robot_again: bool = True
    queue_again: bool = False
    same_servicer: bool = False
    own_routing: Literal["none", "robot", "queue", "servicer"] = "none"
    silent_end_after: int | None = None
    silent_end_event: bool = False
    pulls_without_token: int | None = None

    @classmethod
    def pairwise(cls) -> tuple["OpenFacts", ...]:
        """Return a small set in which any two switches meet in every combination of their values."""
        return tuple(cls(**row) for row in _rows())  # type: ignore[arg-type]  # the values are those of CHOICES


def _rows() -> Iterator[dict[str, object]]:
    """Yield rows until no pair is missing: each begins with a missing pair and then takes what meets most others."""
    names = list(CHOICES)
    missing = {
        frozenset({(one, left), (other, right)})
        for one, other in itertools.combinations(names, 2)
        for left, right in itertools.product(CHOICES[one], CHOICES[other])
    }
    order = sorted(missing, key=lambda pair: sorted((names.index(name), repr(value)) for name, value in pair))
    for pair in order:
        if pair not in missing:
            continue
        row = dict(pair)
        for name in names:
            if name not in row:
                row[name] = max(CHOICES[name], key=lambda value: _met(row, name, value, missing))
        missing -= {frozenset(two) for two in itertools.combinations(row.items(), 2)}
        yield row


def _met(row: Mapping[str, object], name: str, value: object, missing: set[frozenset[tuple[str, object]]]) -> int:
    return sum(frozenset({(name, value), item}) in missing for item in row.items())
