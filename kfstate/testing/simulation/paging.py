"""Simulated entries as the pages and NDJSON lines in which they reach a service."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import msgspec

from kfstate.testing.builders import Element, page
from kfstate.testing.simulation.dice import Chance, chance, shuffle
from kfstate.testing.simulation.profile import Profile
from kfstate.testing.simulation.stage import Delivery
from kfstate.testing.simulation.world import World

__all__ = ["TextSink", "pages", "write_ndjson"]


class TextSink(Protocol):
    """What can be written to: an open text file, ``sys.stdout``."""

    def write(self, text: str, /) -> object:
        """Write ``text``."""
        ...


def pages(
    seed: int | str,
    conversations: int,
    *,
    profile: Profile | None = None,
    own_entries: bool = True,
    entries: int | None = None,
    page_size: int = 1_000,
    shuffled: bool = False,
    window: int | None = 10_000,
    overlap: float = 0.2,
) -> Iterator[Element]:
    """Yield the same world as :func:`simulate`, as ``sync_msg`` pages with own entries between them.

    In order, the pages of an account follow each other, and an own entry comes after all that its account brought
    before it: it ends the account's page, as a service pulls before it acts. Shuffled, entries are mixed, pages are cut
    anywhere and overlap: each entry comes at least once.

    Mixing own entries is harsher than life: a log takes an own entry as later than what it had stored before, so
    only the elements of pages (``own_entries=False``) promise the same states in every order.

    Args:
        seed: As for :func:`simulate`; so are ``conversations``, ``profile``, ``own_entries`` and ``entries``.
        conversations: See above.
        profile: See above.
        own_entries: See above.
        entries: See above; repeats made by overlapping pages are not counted.
        page_size: Most elements of a page (WeCom's limit is 1,000); pages may be shorter.
        shuffled: Mix the order and let pages overlap.
        window: How many entries are mixed at a time; None mixes all of them, and holds all of them to do so.
        overlap: Shuffled only: how many earlier entries a page brings again, as a share of its own.

    Returns:
        Pages (they have ``msg_list``) and own entries (they have ``kind``).
    """
    if not 1 <= page_size <= 1_000:
        raise ValueError(f"page_size must be between 1 and 1000, not {page_size!r}")
    if overlap < 0:
        raise ValueError(f"overlap must not be negative, not {overlap!r}")
    for name, value, least in (("conversations", conversations, 0), ("entries", entries, 1), ("window", window, 1)):
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, not {value!r}")
    world = World(seed, conversations, profile=profile, own_entries=own_entries, entries=entries)
    if not shuffled:
        return _in_order(world, page_size)
    rand = chance(seed, "order")
    return _overlapping(world, _mixed(world, window, rand), rand, page_size=page_size, overlap=overlap)


def write_ndjson(file: TextSink, lines: Iterable[Mapping[str, object]]) -> int:
    """Write pages and own entries to ``file``, one JSON object per line, and return how many.

    Text is written as it is, not escaped: the file must be able to encode Chinese (UTF-8).
    """
    encode = msgspec.json.Encoder().encode
    count = 0
    for line in lines:
        file.write(f"{encode(line).decode()}\n")
        count += 1
    return count


class _Account:
    """The pages of one account: what waits for the next one, what came lately, and the cursor."""

    __slots__ = ("cursor", "number", "recent", "size", "waiting")

    def __init__(self, name: str, recent: int) -> None:
        self.waiting: list[Element] = []
        self.recent: deque[Element] = deque(maxlen=recent)
        self.cursor = f"CURSOR{name}"
        self.number = 0
        self.size = 0

    def page(self, elements: list[Element], *, has_more: bool) -> Element:
        self.number += 1
        return page(elements, next_cursor=f"{self.cursor}{self.number:012d}", has_more=has_more)


def _accounts(world: World, recent: int) -> list[_Account]:
    tag = world.stage.tag
    return [_Account(f"{tag}{number:06d}", recent) for number in range(len(world.stage.accounts))]


def _in_order(world: World, page_size: int) -> Iterator[Element]:
    accounts = _accounts(world, 0)
    for delivery in world:
        account = accounts[delivery.account]
        waiting = account.waiting
        if delivery.own:
            if waiting:
                yield account.page(waiting, has_more=False)
                account.waiting = []
            yield delivery.item
            continue
        waiting.append(delivery.item)
        if len(waiting) == page_size:
            yield account.page(waiting, has_more=True)
            account.waiting = []
            if account.number % 50 == 0:
                yield account.page([], has_more=True)
    for account in accounts:
        if account.waiting or account.number:
            yield account.page(account.waiting, has_more=False)


def _mixed(world: World, window: int | None, rand: Chance) -> Iterator[Delivery]:
    """Yield the deliveries in another order: wholly mixed, or each drawn from the ``window`` next ones."""
    held: list[Delivery] = []
    for delivery in world:
        if window is None or len(held) < window:
            held.append(delivery)
            continue
        index = int(rand() * len(held))
        yield held[index]
        held[index] = delivery
    shuffle(rand, held)
    yield from held


def _overlapping(
    world: World, deliveries: Iterable[Delivery], rand: Chance, *, page_size: int, overlap: float
) -> Iterator[Element]:
    accounts = _accounts(world, page_size)
    said: deque[Element] = deque(maxlen=page_size)
    for account in accounts:
        account.size = 1 + int(rand() * page_size)
    for delivery in deliveries:
        if delivery.own:
            yield delivery.item
            said.append(delivery.item)
            if rand() < overlap:
                yield said[int(rand() * len(said))]
            continue
        account = accounts[delivery.account]
        account.waiting.append(delivery.item)
        if len(account.waiting) >= account.size:
            yield _overlapping_page(account, rand, page_size, overlap)
            account.size = 1 + int(rand() * page_size)
    for account in accounts:
        if account.waiting:
            yield _overlapping_page(account, rand, page_size, overlap)


def _overlapping_page(account: _Account, rand: Chance, page_size: int, overlap: float) -> Element:
    """Return a page of what waits, among it some of what came before, in any order."""
    fresh, recent = account.waiting, account.recent
    account.waiting = []
    room = page_size - len(fresh)
    again = min(room, len(recent), int(len(fresh) * overlap + rand()))
    elements = fresh + [recent[int(rand() * len(recent))] for _ in range(again)]
    shuffle(rand, elements)
    recent.extend(fresh)
    return account.page(elements, has_more=rand() < 0.5)
