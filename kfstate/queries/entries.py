"""The log as people see it: entries with names instead of ids, their payloads read when somebody looks at them."""

import json
from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

import attrs
from sqlalchemy import Connection

from kfstate.clock import SECOND
from kfstate.errors import CorruptLogError
from kfstate.queries.views import at_time
from kfstate.store.checkpoint import Checkpoint
from kfstate.store.dialect import query
from kfstate.store.read import check_whole, names_by_id, payloads, streams_by_id
from kfstate.store.rows import EntryRow
from kfstate.store.upcasting import SHIPPED, Upcasters
from kfstate.wire.scan import nested

__all__ = ["EntryView", "entries", "entry_views", "said"]

_COLUMNS = (
    "position", "kind", "stream", "servicer_to", "version", "kind_version", "occurred_at", "recorded_at", "actor",
    "again", "cause", "target", "chain",
)  # fmt: skip
_AT = tuple(EntryRow._fields.index(name) for name in _COLUMNS)
_AFTER = (
    f"SELECT {', '.join(f'e.{name}' for name in _COLUMNS)}, p.body FROM kf_entry e "
    "LEFT JOIN kf_payload p ON p.position = e.position WHERE e.position > ? ORDER BY e.position LIMIT ?"
)


@attrs.frozen(slots=False)
class EntryView:
    """One entry of the log, with its payload as JSON where it is JSON and still there."""

    SHOWN: ClassVar = (
        "position", "kind", "stream", "open_kfid", "external_userid", "servicer_userid", "version", "occurred_at",
        "recorded_at", "actor", "again", "cause", "target", "payload", "chain", "corp_id", "problem",
    )  # fmt: skip

    position: int
    kind: str
    stream: str
    open_kfid: str
    external_userid: str | None
    servicer_userid: str | None
    version: int
    occurred: int | None
    """Microseconds since 1970, as ``recorded``."""
    recorded: int | None
    actor: str
    again: int
    cause: int | None
    target: int | None
    body: bytes | None
    """The exact bytes as they came; None: erased."""
    chain: str
    corp_id: str = ""
    kind_version: int = 1
    upcasters: Upcasters = attrs.field(default=SHIPPED, repr=False, eq=False)
    failed: str = ""
    """Why it could not be read at all."""

    @property
    def occurred_at(self) -> datetime | None:
        """When it happened."""
        return at_time(self.occurred)

    @property
    def recorded_at(self) -> datetime | None:
        """When it was stored."""
        return at_time(self.recorded)

    @property
    def age(self) -> float | None:
        """How many seconds old it was when it was stored: much, in the backlog of a sync that was down."""
        if self.occurred is None or self.recorded is None:
            return None
        return max(0, self.recorded - self.occurred) / SECOND

    @property
    def payload(self) -> Any:
        """What came, as JSON data in the newest form of its kind; as text where it is no JSON; None: erased."""
        return self._read[0]

    @property
    def problem(self) -> str:
        """What cannot be shown of it as it should be; '' as a rule."""
        return self.failed or self._read[1]

    @property
    def checkpoint(self) -> Checkpoint:
        """Where a reader stands who has read up to here."""
        return Checkpoint(self.position, self.chain)

    @cached_property
    def _read(self) -> tuple[Any, str]:
        payload = _payload(self.body)
        try:
            return self.upcasters.apply(self.kind, self.kind_version, payload), ""
        except Exception as error:  # noqa: BLE001 (whatever an upcaster of somebody else raises)
            return payload, f"upcaster of {self.kind} {self.kind_version}: {type(error).__name__}: {error}"


def entries(conn: Connection, *, after: int = 0, limit: int = 1000, upcasters: Upcasters = SHIPPED) -> list[EntryView]:
    """Return entries of the log, in order of position, from after a position on; at most ``limit``.

    Raises :class:`~kfstate.errors.CorruptLogError` where one of them, or its stream, is missing.
    """
    found = query(conn, _AFTER, (after, limit))
    check_whole(after, found)
    return _views(conn, found, upcasters)


def entry_views(conn: Connection, rows: Iterable[EntryRow], upcasters: Upcasters = SHIPPED) -> list[EntryView]:
    """Return a view of each row. What cannot be shown of an entry is named in its ``problem``, and stops no other."""
    rows = list(rows)
    bodies = payloads(conn, (row.position for row in rows))
    return _views(conn, [(*(row[at] for at in _AT), bodies.get(row.position)) for row in rows], upcasters)


def said(entry: EntryView) -> tuple[str | None, str | None]:
    """Return type and text of a message; None where it has none, or was erased.

    Those of ours stand in ``data``, as ``content`` or, in the form of the call, as ``message``.
    """
    payload = _within({"payload": entry.payload}, "payload")
    data = _within(payload, "data") if entry.kind.startswith("message_") else {}
    message = _within(data, "message")
    texts = (_within(payload, "text").get("content"), _within(message, "text").get("content"), data.get("content"))
    text = next((one for one in texts if isinstance(one, str)), None)
    types = (payload.get("msgtype"), message.get("msgtype"), text and "text")
    return next((one for one in types if isinstance(one, str)), None), text


def _within(holder: dict[str, Any], name: str) -> dict[str, Any]:
    found = holder.get(name)
    return found if isinstance(found, dict) else {}


def _views(conn: Connection, rows: list[tuple[Any, ...]], upcasters: Upcasters) -> list[EntryView]:
    streams = streams_by_id(conn, {row[2] for row in rows})
    people = {name for stream in streams.values() for name in (stream.customer, stream.servicer)}
    names = names_by_id(conn, {name for name in people | {row[3] for row in rows} if name})
    homes = {
        id_: (home.kind, home.open_kfid, names.get(home.customer), names.get(home.servicer), home.corp_id)
        for id_, home in streams.items()
    }
    views = []
    for (
        position, kind, stream, servicer, version, kind_version, occurred, recorded, actor, again, cause, target, chain,
        body,
    ) in rows:  # fmt: skip
        if stream not in homes:
            raise CorruptLogError(position, f"stream {stream} is missing")
        stream_kind, open_kfid, customer, own_servicer, corp_id = homes[stream]
        views.append(
            EntryView(
                position, kind, stream_kind, open_kfid, customer, names[servicer] if servicer else own_servicer,
                version, occurred, recorded, actor, again, cause, target, body, chain.hex(), corp_id, kind_version,
                upcasters,
            )
        )  # fmt: skip
    return views


def _payload(body: bytes | None) -> Any:
    if body is None:
        return None
    try:
        if not nested(body):
            return json.loads(body, parse_constant=_no_json)
    except ValueError:
        pass
    return body.decode(errors="backslashreplace")


def _no_json(word: str) -> Any:
    raise ValueError(word)
