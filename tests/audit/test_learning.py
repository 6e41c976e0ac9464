"""What was learned of a time since: exactly the entries with which the answer changed, and found in one way along."""

import random
from collections.abc import Sequence

import attrs
import pytest

from kfstate.audit.history import learning
from kfstate.audit.history.learning import learned
from kfstate.audit.history.stories import Story
from kfstate.machine import MACHINE, Entry, compiled
from kfstate.machine.state import pack
from kfstate.machine.table import SPEC
from kfstate.store.rows import Stream
from tests.machine.golden import entry
from tests.machine.random_histories import log

__all__: list[str] = []

HASTY = compiled(attrs.evolve(SPEC, version="hasty", clockwork=attrs.evolve(SPEC.clockwork, expires_after=60)))


def story(entries: Sequence[Entry], gaps: Sequence[tuple[int, int]] = ()) -> Story:
    """Return a conversation that came in like this."""
    return Story(Stream(1, "", "conversation", "wkA", 1, 0), "wm1", list(entries), {}, gaps)


def answers(told: Story, second: int, until: int) -> list[object]:
    """Return what people are shown of a second, after each position."""
    found: list[object] = []
    for position in range(until + 1):
        seen = told.state(position, second, HASTY if second % 2 else MACHINE)
        if seen is None:
            found.append(None)
        else:
            state = attrs.evolve(seen[0], **learning._UNSHOWN)  # type: ignore[arg-type]  # of those
            found.append((state, seen[1] and state.doubt == "none"))
    return found


def shuffled(chance: random.Random, entries: Sequence[Entry]) -> list[Entry]:
    """Return entries as they came in another order, with even positions; what they point at stays where it was."""
    order = sorted(range(len(entries)), key=lambda at: at + chance.choice((0, 0, 0, 3, 99)) * chance.random())
    places = {entries[at].position: 2 * place for place, at in enumerate(order, 1)}
    return [
        entries[at]._replace(position=2 * place, target=places.get(entries[at].target or 0, entries[at].target))
        for place, at in enumerate(order, 1)
    ]


def test_what_was_learned_is_exact() -> None:
    """Whatever comes late, is voided, decoded anew or lies behind a gap: as many folds of the whole tell the same."""
    for seed in range(80):
        chance = random.Random(seed)
        made = log(chance, streams=3, size=12)
        entries = shuffled(chance, [one for one in made if one.stream == seed % 3 + 1])
        seconds = sorted({one.sort_second for one in entries})
        gaps = [(2 * chance.randrange(9) + 1, chance.choice(seconds) + chance.choice((-1, 0, 1))) for _ in range(2)]
        told, head = story(entries, gaps), entries[-1].position + 1
        for second in chance.sample(seconds, min(3, len(seconds))):
            shown = answers(told, second, head)
            changed = [place for place in range(1, head + 1) if shown[place] != shown[place - 1]]
            for after in (0, head // 2, head):
                until = chance.choice((head, max(head - 4, after)))
                expected = [place for place in changed if after < place <= until]
                machine = HASTY if second % 2 else MACHINE
                assert expected == learned(told, second, after, until, machine), (seed, second, after)


def test_a_calm_message_is_voided_and_a_gap_is_not_known_yet() -> None:
    """The time of the customer's last message changes; a gap counts from its own position on."""
    made = [entry("0 change 1 new=a tie=0", 1), entry("5 customer tie=0", 2), entry("6 void 2 tie=0", 3)]
    second = made[-1].sort_second + 1
    told = story(made, [(5, second)])
    assert [3, 5] == learned(told, second, 2, 5, MACHINE)
    assert [3] == learned(told, second, 2, 4, MACHINE)


@pytest.mark.parametrize("late", [0, 1])
def test_it_takes_few_folds(monkeypatch: pytest.MonkeyPatch, late: int) -> None:
    """A correction, or many entries that come after all others, do not make it fold everything again and again."""
    size, folds = 400, 0

    def counted(state: object) -> tuple[object, ...]:
        nonlocal folds
        folds += 1
        return pack(state)

    monkeypatch.setattr(learning, "pack", counted)
    made = [entry("0 customer tie=0", 1), entry("1 customer tie=0", 2), entry("2 void 2 tie=0", 3)]
    seconds = [60 + number for number in range(size)]
    if late:
        seconds = seconds[::2] + seconds[1:-1:2] + seconds[-1:]
    made += [entry(f"{second} customer tie=0", 4 + at) for at, second in enumerate(seconds)]
    second, head = made[-1].sort_second + 9, made[-1].position
    assert size // 2 - 9 < len(learned(story(made), second, 5, head, MACHINE))
    assert size - 9 < folds < 3 * size
    folds = 0
    assert [] == learned(story(made), second, head, head, MACHINE)
    assert folds <= size + 3
