"""A deliberately naive reading of a simulated history: which change met which state."""

import itertools
import json
from collections import defaultdict
from typing import Any

HOURS_48 = 48 * 3_600

Met = tuple[str, int]


def kind_of(item: dict[str, Any]) -> str:
    """Return a short name for what an entry is."""
    if "kind" in item:
        detail = item.get("service_state", item.get("errcode", item.get("via")))
        return f"{item['kind']}:{detail}"
    if item["msgtype"] == "event":
        body = item["event"]
        return f"{body['event_type']}:{body['change_type']}" if "change_type" in body else str(body["event_type"])
    return f"{item['msgtype'] if item['msgtype'] == 'hologram' else 'message'}:{item['origin']}"


def second_of(item: dict[str, Any]) -> int:
    """Return the second in which an entry happened."""
    return int(item["occurred_at"] if "kind" in item else item["send_time"])


def conversation_of(item: dict[str, Any]) -> tuple[str, str] | None:
    """Return the conversation of an entry, if it has one."""
    body = item.get("event", item)
    return (body["open_kfid"], body["external_userid"]) if "external_userid" in body else None


def histories(items: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return the entries of each conversation once, in the order of their seconds."""
    seen: set[str] = set()
    found: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for item in items:
        text = json.dumps(item, sort_keys=True)
        conversation = conversation_of(item)
        if conversation and text not in seen:
            seen.add(text)
            found[conversation].append(item)
    return [sorted(history, key=second_of) for history in found.values()]


def share_of_ties(items: list[dict[str, Any]]) -> float:
    """Return how many of the neighbours in a conversation share a second."""
    pairs = [pair for history in histories(items) for pair in itertools.pairwise(history)]
    return sum(second_of(a) == second_of(b) for a, b in pairs) / len(pairs)


def met(items: list[dict[str, Any]]) -> set[Met]:
    """Return every pair of what happened and the state that it met; -1 is a session older than its 48 hours."""
    found: set[Met] = set()
    for history in histories(items):
        state, spoken = 4, second_of(history[0])
        for item in history:
            kind, second = kind_of(item), second_of(item)
            if state != 4 and second - spoken > HOURS_48:
                found.add((kind, -1))
                state = 4
            found.add((kind, state))
            state = after(kind, state)
            if kind == "message:3":
                spoken = second
    return found


def after(kind: str, state: int) -> int:
    """Return the state that an entry leaves behind."""
    name, _, detail = kind.partition(":")
    if name in {"state_changed", "state_reading", "correction"}:
        return int(detail)
    if name == "session_status_change" and detail in "1234":
        return 4 if detail == "3" else 3
    if kind == "message:3":
        return 0 if state == 4 else state
    if kind == "message_sent:send_msg" and state == 0:
        return 1
    return 3 if kind == "message:5" and state != 4 else state
