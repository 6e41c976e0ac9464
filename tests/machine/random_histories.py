"""Random histories that reach every state: by seed, and as strategies of Hypothesis."""

import random
from collections.abc import Sequence

from hypothesis import strategies as st

from kfstate.machine import Entry
from kfstate.machine.entry import is_own
from kfstate.machine.kinds import KINDS
from tests.machine.golden import entry

__all__ = ["BASIC", "RARE", "REWRITING", "arrived", "log", "seeded", "stories", "told"]

BASIC = (
    "customer", "customer", "customer", "click", "changed 1", "changed 2", "changed 2", "changed 3 new=a",
    "changed 3 new=b", "changed 4", "change 1 new=a", "change 1 new=b", "change 2 old=a new=b", "change 2 old=b new=a",
    "change 3 old=a", "change 3 old=b", "change 4 old=a new=a", "change 4 old=a new=b", "servicer by=a",
    "servicer by=a", "servicer by=b", "sent", "message_intended via=send_msg counts=1", "enter_session",
)  # fmt: skip
"""What happens every day, often what fits."""

RARE = (
    *(f"reading {state}" for state in (0, 1, 2, 4, 7)), "reading 3 by=a", "reading 3 by=b", "reading 3", "changed 0",
    "changed 9", "change 9 old=a new=b", "change 2 old=c new=a", "change 3", "servicer by=c", "servicer",
    *(f"refused {code}" for code in (95001, 95002, 95013, 95018, 45009)),
    *(f"trans_refused {code} by=a" for code in (95013, 95014, 95016, 95019)),
    "refused 95001 counts=-1", "sent_on_event", "kind_of_tomorrow",
    *sorted(KINDS - {"correction", "redecoded", "session_status_change", "message_sent"}),
)  # fmt: skip
"""What happens now and then, and what nobody expects."""

REWRITING = (*(f"set {state}" for state in (0, 1, 2, 4)), "set 3 by=a", "void 99999", "redecoded 99999")
"""Corrections and decodings that stand for themselves: what they speak of is not there."""

GAPS = (0, 0, 0, 0, 1, 2, 5, 9, 30, 4_000, 90_000, 47 * 3600, 48 * 3600, 200_000)
_TOLD = st.tuples(
    st.one_of(st.sampled_from(BASIC), st.sampled_from(BASIC + RARE + REWRITING)),
    st.sampled_from(GAPS),
    st.integers(0, 3),
)


def told(words: Sequence[tuple[str, int, int]]) -> list[Entry]:
    """Return the entries of a story: words of the notation, seconds since the one before, tie."""
    second, made = 0, []
    for place, (word, gap, tie) in enumerate(words, start=1):
        second += gap
        made.append(entry(f"{second} {word} tie={tie}", place))
    return made


def stories(*, max_size: int = 30) -> st.SearchStrategy[list[Entry]]:
    """Return a strategy for stories of one conversation, in the order in which they happened."""
    return st.lists(_TOLD, min_size=1, max_size=max_size).map(told)


def seeded(chance: random.Random, size: int, words: Sequence[str] = BASIC + RARE + REWRITING) -> list[Entry]:
    """Return a story of this size, by seed."""
    return told([(chance.choice(words), chance.choice(GAPS), chance.randrange(4)) for _ in range(size)])


def arrived(story: Sequence[Entry], order: Sequence[int], *, first: int = 1) -> list[Entry]:
    """Return a story as it came in by this order: with positions, and `again` where the same facts came before.

    What we made ourselves keeps its order among itself: the log has it as we made it.
    """
    own = iter([made for made in story if is_own(made)])
    known: set[Entry] = set()
    came = []
    for position, at in enumerate(order, start=first):
        made = next(own) if is_own(story[at]) else story[at]
        facts = made._replace(position=0)
        again = 1 if facts in known and not is_own(made) else 0
        known.add(facts)
        came.append(made._replace(position=position, again=again))
    return came


def log(chance: random.Random, *, streams: int, size: int) -> list[Entry]:
    """Return a log of several conversations, by position, with ties and repeats.

    Of three streams the first also has late entries, the second late entries, corrections and decodings.
    """
    waiting = [
        [made._replace(stream=stream) for made in seeded(chance, size, BASIC + RARE + REWRITING * (stream % 3 == 2))]
        for stream in range(1, streams + 1)
    ]
    entries: list[Entry] = []
    while any(waiting):
        story = chance.choice([story for story in waiting if story])
        unruly = story[0].stream % 3
        late = unruly and chance.random() < 0.1 and len(story) > 2
        made = story.pop(chance.randrange(1, 3) if late else 0)
        entries.append(made._replace(position=len(entries) + 1, again=chance.choice([0] * 12 + [1, 2])))
        if unruly == 2 and chance.random() < 0.1:
            entries.append(
                _rewriting(chance, [entry for entry in entries if entry.stream == made.stream], len(entries))
            )
    return entries


def _rewriting(chance: random.Random, entries: Sequence[Entry], position: int) -> Entry:
    target = chance.choice(entries)
    if chance.random() < 0.5:
        made = entry(f"0 void {target.position}", position + 1)
        return made._replace(stream=target.stream, sort_second=entries[-1].sort_second)
    decoded = entry(f"0 {chance.choice(BASIC)}", position + 1)
    return decoded._replace(
        stream=target.stream, sort_second=target.sort_second, tie=target.tie, kind="redecoded", as_kind=decoded.kind,
        target=target.position,
    )  # fmt: skip
