"""Parts of a page of HTML that needs nothing but itself: everything that is put into it is escaped here."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from kfstate.queries.views import readable

__all__ = ["bars", "facts", "legend", "page", "section", "table"]

_COLOURS = {"untreated": "#d29922", "robot": "#2aa1b3", "queue": "#a347ba", "manual": "#26a269", "finished": "#c0bfbc"}
_STYLE = """
body { font: 15px/1.5 system-ui, "PingFang SC", "Microsoft YaHei", sans-serif; margin: 2em auto; max-width: 76em;
  padding: 0 1em; color: #222; background: #fff }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ccc }
table { border-collapse: collapse; width: 100%; font-size: .9em } caption { text-align: left; color: #555 }
th, td { text-align: left; vertical-align: top; padding: .25em .6em; border-bottom: 1px solid #e5e5e5 }
th { background: #f4f4f4 } td { overflow-wrap: anywhere } .bad { background: #fff0ee } .ok { color: #1a7f37 }
.broken { color: #c01c28; font-weight: bold } code { font-size: .85em; overflow-wrap: anywhere } svg { width: 100% }
.key span { display: inline-block; width: .9em; height: .9em; margin: 0 .3em 0 1em } @media print { body { margin: 0 } }
"""
_WIDTH, _HEIGHT = 1000, 26


def page(title: str, parts: Iterable[str], *, lang: str) -> str:
    """Return a whole page. It runs nothing and asks no other host for anything, and tells the browser so."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    return readable(
        f'<!doctype html>\n<html lang="{escape(lang)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def section(heading: str, *parts: str) -> str:
    """Return a part with a heading."""
    return f"<section>\n<h2>{escape(heading)}</h2>\n" + "\n".join(parts) + "\n</section>"


def facts(found: Mapping[str, object], *, classes: Mapping[str, str] | None = None) -> str:
    """Return a table of words and values."""
    rows = "".join(
        f'<tr><th>{escape(name)}</th><td class="{(classes or {}).get(name, "")}">{_cell(value)}</td></tr>\n'
        for name, value in found.items()
    )
    return f"<table>\n{rows}</table>"


def table(headings: Sequence[str], rows: Iterable[tuple[Sequence[object], bool]]) -> str:
    """Return a table; each row comes with whether it is one to look at."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(
        f"<tr{' class=' + chr(34) + 'bad' + chr(34) if bad else ''}>"
        + "".join(f"<td>{_cell(value)}</td>" for value in cells)
        + "</tr>\n"
        for cells, bad in rows
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"


def _cell(value: object) -> str:
    return "–" if value is None or value == "" else escape(str(value))


def bars(spans: Sequence[tuple[str, int, int, str]]) -> str:
    """Return states over time as a drawing: each span is a state, its seconds from and to, and what it says."""
    first, last = min(span[1] for span in spans), max(span[2] for span in spans)
    scale = _WIDTH / max(last - first, 1)
    drawn = "".join(
        f'<rect x="{(began - first) * scale:.1f}" y="0" width="{max((end - began) * scale, 1.5):.1f}" '
        f'height="{_HEIGHT}" fill="{_COLOURS[state]}"><title>{escape(says)}</title></rect>'
        for state, began, end, says in spans
    )
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" preserveAspectRatio="none" height="26">{drawn}</svg>'


def legend(names: Mapping[str, str]) -> str:
    """Return what the colours of :func:`bars` mean: state → its name."""
    parts = (f'<span style="background:{_COLOURS[state]}"></span>{escape(name)}' for state, name in names.items())
    return f'<p class="key">{"".join(parts)}</p>'
