"""The recorded history told twice, by two machines or with other entries, and what became of each session."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import attrs
from sqlalchemy import Connection

from kfstate.audit.definition import parse, to_json
from kfstate.audit.trials.changes import changes
from kfstate.audit.trials.places import Whose, names_of, whose
from kfstate.audit.trials.retelling import Told, Turn, entries_of, tell
from kfstate.audit.trials.spreading import Part
from kfstate.machine.compiled import Machine, compiled
from kfstate.machine.entry import Entry

__all__ = ["Replay", "definition_of", "machine_of"]


@attrs.frozen
class Replay:
    """A :class:`~kfstate.audit.trials.spreading.Job`: tell conversations by two machines, given by definitions."""

    before: str
    after: str
    until: int
    """The last position that is looked at."""
    now: int
    """The second at which the telling ends: what is due by then has expired."""
    since: int | None = None
    """The second from which on the second machine folds; None: from the beginning."""
    injected: Mapping[int, Sequence[Entry]] = attrs.Factory(dict)
    """Stream → entries that only the second telling has."""
    strangers: Mapping[int, Whose] = attrs.Factory(dict)
    """Streams that no log has → whose they are."""
    named: Mapping[int, str] = attrs.Factory(dict)
    """Servicers that no log has."""

    def run(self, conn: Connection, streams: Sequence[int]) -> Part:
        """Tell these conversations twice."""
        part = Part()
        other: dict[int, tuple[Told, Told]] = {}
        for stream, count, was, now in self._told(conn, streams):
            part.conversations += 1
            part.entries += count
            part.before.take(was)
            part.after.take(now)
            if was is not now:
                other[stream] = was, now
        names = names_of(conn, [told for both in other.values() for told in both], self.named)
        owners = {**whose(conn, [stream for stream in other if stream > 0]), **self.strangers}
        for stream, (was, now) in other.items():
            open_kfid, external_userid = owners[stream]
            part.changed += changes(was, now, open_kfid=open_kfid, external_userid=external_userid, names=names)
        return part

    def _told(self, conn: Connection, streams: Sequence[int]) -> Iterator[tuple[int, int, Told, Told]]:
        before, after = machine_of(self.before), machine_of(self.after)
        turn = None if self.since is None else Turn(self.since, after)
        first = before if turn is not None else after
        for stream, entries in entries_of(conn, streams, self.until).items():
            more = self.injected.get(stream, ())
            if not entries and not more:
                continue
            was = tell(entries, before, stream=stream, now=self.now)
            same = not more and self.before == self.after
            now = was if same else tell([*entries, *more], first, stream=stream, now=self.now, turn=turn)
            yield stream, len(entries), was, now


def definition_of(machine: Machine) -> str:
    """Return a machine as the text that goes to other processes."""
    return to_json(machine.spec)


@lru_cache(maxsize=8)
def machine_of(definition: str) -> Machine:
    """Return the machine of such a text."""
    return compiled(parse(definition, form="json"))
