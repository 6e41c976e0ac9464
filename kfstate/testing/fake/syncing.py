"""``sync_msg``: pages of an account's mailbox, and how they go wrong."""

from collections.abc import Mapping
from typing import Any

from kfstate.clock import SECOND
from kfstate.testing.fake.mailbox import Mailbox, Read, cursor_at, position_of
from kfstate.testing.fake.refusals import RefusedError, choice, desk_of, number, text
from kfstate.testing.fake.world import Desk, World
from kfstate.testing.simulation.dice import shuffle

__all__ = ["sync_msg"]


def sync_msg(world: World, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page; without a cursor it begins with the earliest entry of the last 3 days."""
    desk = desk_of(world, request)
    cursor = text(request, "cursor", default="", longest=64)
    token = text(request, "token", default="")
    limit = number(request, "limit", low=1, high=1_000, default=1_000)
    choice(request, "voice_format", (0, 1), 0)
    if not token:
        _limited(world, desk)
    elif world.pull_tokens.valid(token, world.now(), desk.open_kfid) != "good":
        raise RefusedError(95007)
    start = 0
    if cursor:
        found = position_of(cursor, desk.open_kfid)
        if found is None:
            raise RefusedError(40058, "field `cursor`")
        generation, start = found
        if generation != world.generation:  # seen after the secret was exchanged: nothing comes until it is given up
            return {"next_cursor": cursor, "has_more": 0, "msg_list": []}
    page = _page(world, desk.mailbox, start, limit)
    entries = list(page.entries)
    if world.dice.says("shuffled"):
        shuffle(world.dice.sequence("order of a page"), entries)
    next_cursor = cursor_at(desk.open_kfid, world.generation, page.position)
    return {"next_cursor": next_cursor, "has_more": int(page.more), "msg_list": entries}


def _limited(world: World, desk: Desk) -> None:
    """Refuse pulls without a token that come too often."""
    most, now = world.facts.pulls_without_token, world.now()
    if most is None:
        return
    desk.pulls = [at for at in desk.pulls if now - at < 60 * SECOND]
    if len(desk.pulls) >= most:
        raise RefusedError(45009)
    desk.pulls.append(now)


def _page(world: World, mailbox: Mailbox, start: int, limit: int) -> Read:
    """Return what can be read, or less of it."""
    now = world.now()
    read = mailbox.read(start, limit, now)
    if not read.entries:
        return read
    if world.dice.says("empty_pages"):
        return Read([], start, more=True)
    if len(read.entries) > 1 and world.dice.says("short_pages"):
        shorter = 1 + int(world.dice.sequence("length of a page")() * (len(read.entries) - 1))
        return mailbox.read(start, shorter, now)
    return read
