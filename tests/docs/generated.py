"""The parts of the documents that are made from the code: ``python -m tests.docs.generated`` writes them anew.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Sequence

from kfstate import Engine
from kfstate.archive.face import Archive
from kfstate.audit.face import Audit
from kfstate.machine.check import TRIGGERS
from kfstate.machine.diagram import mermaid, table
from kfstate.machine.entry import triggers_of
from kfstate.machine.guards import GUARDS
from kfstate.machine.kinds import FROM_WECOM, KINDS, RANKS
from kfstate.machine.spec import ANY
from kfstate.machine.table import SPEC
from kfstate.store.own_kinds import FACTS, RULES
from kfstate.wecom import Live
from kfstate.wecom.errcodes import ERRCODES, RETRIES
from tests.docs.blocks import ROOT, documents

__all__ = ["PARTS", "found", "write"]

_PART = re.compile(r"<!-- generated: ([\w-]+) -->\n(.*?)<!-- end -->", re.DOTALL)


def _rows(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, [":--"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n".replace("|  |", "| |").replace("|  |", "| |") for cells in lines)


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _machine() -> str:
    heads = ("name", "trigger", "from", "guard", "to", "outcome", "evidence", "doubt")
    plain = {"from", "outcome"}
    rows = table(SPEC)
    return _rows(
        [head.capitalize() for head in heads],
        [[row[head] if head in plain or not row[head] else f"`{row[head]}`" for head in heads] for row in rows],
    )


def _guards() -> str:
    return _rows(
        ("Guard", "Holds where"),
        [(f"`{name}`", (guard.__doc__ or "").splitlines()[0].rstrip(".")) for name, guard in GUARDS.items()],
    )


def _may() -> str:
    return _rows(
        ("From \\ to", *(f"{int(to)} {to.word}" for to in ANY)),
        [(f"**{int(before)} {before.word}**", *(SPEC.api[before, to] for to in ANY)) for before in ANY],
    )


def _clockwork() -> str:
    times = SPEC.clockwork
    return _rows(
        ("Name", "Value", "Unit"),
        [
            ("`expires_after`", str(times.expires_after), "seconds"),
            ("`expiry_anchor`", f"`{times.expiry_anchor}`", ""),
            ("`doubtful_after`", str(times.doubtful_after), "seconds"),
            ("`straggler`", str(times.straggler), "seconds"),
            ("`send_limit`", str(times.send_limit), "messages"),
        ],
    )


def _diagram(*, repairs: bool) -> str:
    return f"```mermaid\n{mermaid(SPEC, repairs=repairs)}```\n"


def _kinds() -> str:
    def outcomes(kind: str) -> list[str]:
        wanted = set(triggers_of(kind))
        return list(dict.fromkeys(row.outcome for row in SPEC.rows if row.trigger in wanted))

    def subdivided(kind: str) -> str:
        return _code(trigger for trigger in TRIGGERS if trigger in triggers_of(kind) and trigger != kind)

    ordered = sorted(KINDS, key=lambda kind: (kind not in FROM_WECOM, RANKS.get(kind, 3), kind))
    return _rows(
        ("Kind", "From", "Rank", "Triggers, where they are not the kind itself", "Outcomes"),
        [
            (
                f"`{kind}`", "WeCom" if kind in FROM_WECOM else "us", str(RANKS.get(kind, 3)), subdivided(kind),
                ", ".join(outcomes(kind)),
            )
            for kind in ordered
        ],
    )  # fmt: skip


def _own_facts() -> str:
    return _rows(
        ("Kind", "Stream", "Needs", "May have"),
        [
            (
                f"`{kind}`", "as its ids say" if rule.stream == "any" else rule.stream,
                _code(name for name in FACTS if name in rule.needs),
                _code(name for name in FACTS if name in rule.allows - rule.needs),
            )
            for kind, rule in RULES.items()
        ],
    )  # fmt: skip


def _retries() -> str:
    return _rows(("`retry`", "What it takes"), [(f"`{word}`", meaning) for word, meaning in RETRIES.items()])


def _errcodes() -> str:
    return _rows(
        ("Code", "Name", "Meaning", "What to do", "Again"),
        [(str(row.code), f"`{row.name}`", row.meaning, row.remedy, f"`{row.retry}`") for row in ERRCODES.values()],
    )


def _errcodes_zh() -> str:
    return _rows(
        ("错误码", "含义", "处理"), [(str(row.code), row.meaning_zh, row.remedy_zh) for row in ERRCODES.values()]
    )


def _engine() -> str:
    return _calls(Engine)


def _audit() -> str:
    return _calls(Audit, made=False)


def _archive() -> str:
    return _calls(Archive, made=False)


def _live() -> str:
    return _calls(Live)


def _calls(owner: type, *, made: bool = True) -> str:
    kinds = [kind for kind in owner.__mro__ if kind is not object]
    names = [name for kind in kinds for name in vars(kind) if not name.startswith("_")]
    methods = [(name, getattr(owner, name)) for name in names if not isinstance(getattr(owner, name), property)]
    own = (owner.__name__, inspect.signature(owner), owner.__init__)  # type: ignore[misc]
    rows = [*([own] if made else []), *((name, inspect.signature(method), method) for name, method in methods)]
    return _rows(
        ("Call", "What it does"),
        [(f"`{_call(name, signature)}`", _plain(doc.__doc__ or "")) for name, signature, doc in rows],
    )


def _plain(docstring: str) -> str:
    """Return the first line of a docstring as Markdown."""
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", docstring.splitlines()[0]).replace("``", "`")


def _call(name: str, signature: inspect.Signature) -> str:
    parts = []
    star = False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        default = parameter.default
        told = default.__name__ if inspect.isfunction(default) else repr(default)
        parts.append(parameter.name if default is parameter.empty else f"{parameter.name}={told}")
    return f"{name}({', '.join(parts)})"


PARTS: dict[str, Callable[[], str]] = {
    "machine": _machine,
    "guards": _guards,
    "may": _may,
    "clockwork": _clockwork,
    "diagram": lambda: _diagram(repairs=False),
    "diagram-repairs": lambda: _diagram(repairs=True),
    "kinds": _kinds,
    "own-facts": _own_facts,
    "retries": _retries,
    "errcodes": _errcodes,
    "errcodes-zh": _errcodes_zh,
    "engine": _engine,
    "audit": _audit,
    "archive": _archive,
    "live": _live,
}
"""Name → what makes the part."""


def found(text: str) -> list[tuple[str, str]]:
    """Return the name of every part of a document, with what stands in it."""
    return _PART.findall(text)


def write() -> None:
    """Write every part of every document anew."""
    for name in documents():
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        fresh = _PART.sub(lambda part: f"<!-- generated: {part[1]} -->\n{PARTS[part[1]]()}<!-- end -->", text)
        if fresh != text:
            path.write_text(fresh, encoding="utf-8")


if __name__ == "__main__":
    write()
