"""The ratios to the floor as one picture (SVG): a panel for each workload, a dot for each client.

The axis is logarithmic, for the slowest clients cost forty times as much as the fastest. Written by
hand, so that a plot needs no library.

Not here: workloads without a ratio to a floor, such as memory and growth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import Any, Final

from .clients import is_floor, is_ours

# Lengths are in the picture's own units, which are pixels if it is shown as it is.
WIDTH: Final = 1040
COLUMN: Final = 520  # width of a panel; there are two beside each other
NAMES: Final = 152  # where a panel's axis begins, behind the names
RIGHT: Final = 40  # room for the last figure
ROW: Final = 14  # height of a client
PANEL: Final = 50  # height of a panel without clients
TOP: Final = 50
LOWEST, HIGHEST = 0.4, 64.0  # ratios at both ends of the axis
TICKS: Final = (0.5, 1, 2, 4, 8, 16, 32, 64)
STYLE: Final = """
text { font: 11px "DejaVu Sans", Verdana, sans-serif; fill: #374151 }
text.title { font-weight: bold; fill: #111827 } text.small { font-size: 9px; fill: #6b7280 }
text.ours { fill: #c2410c; font-weight: bold }
line { stroke: #e5e7eb } line.one { stroke: #6b7280; stroke-dasharray: 3 3 }
circle { fill: #1d4ed8 } circle.ours { fill: #c2410c } circle.floor { fill: #6b7280 }
rect { fill: #ffffff }
@media (prefers-color-scheme: dark) {
text { fill: #d1d5db } text.title { fill: #f9fafb } text.small { fill: #9ca3af }
text.ours, circle.ours { fill: #fb923c } circle { fill: #60a5fa }
line { stroke: #374151 } line.one { stroke: #9ca3af } rect { fill: #131416 }
}
"""


def plot(result: dict[str, Any]) -> str:
    """Return the picture of what __main__.py writes as JSON."""
    bottoms = [TOP, TOP]  # how far the columns are filled
    panels: list[str] = []
    for table in result["workloads"]:
        if rows := _rows(table):
            column = bottoms.index(min(bottoms))
            panels += _panel(table["title"], rows, column * COLUMN, bottoms[column])
            bottoms[column] += PANEL + ROW * len(rows)
    title = "CPU time of the client, divided by that of hand-written code for sockets"
    size = f"0 0 {WIDTH} {max(bottoms)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" role="img">',
        f'<style>{STYLE}</style><rect width="100%" height="100%"/>',
        _text(10, 18, title, "title"),
        _text(10, 34, _caption(result["environment"]), "small"),
    ]
    return "\n".join([*parts, *panels, "</svg>\n"])


def _rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the lines that have a place on the axis, the cheapest one first."""
    if table["differences"]:
        return []
    lines = [line for line in table["clients"] if line["to_floor"]]
    return sorted(lines, key=lambda line: line["to_floor"])


def _caption(environment: dict[str, Any]) -> str:
    alone = environment["cores"] != 1
    where = "client and server on two cores" if alone else "client and server on one core"
    names = ("cpu", "system", "python", "tls", "server", "date")
    return ", ".join([where, *(str(environment[name]) for name in names)])


def _panel(title: str, rows: list[dict[str, Any]], left: float, top: float) -> Iterator[str]:
    yield _text(left + 10, top + 12, title, "title")
    bottom = top + 30 + ROW * len(rows)
    for tick in TICKS:
        x = left + _x(tick)
        class_ = "one" if tick == 1 else ""
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top + 27}" y2="{bottom}" class="{class_}"/>'
        yield _text(x, top + 24, f"{tick:g}", "small", "middle")
    for number, line in enumerate(rows):
        name, ratio = line["client"], line["to_floor"]
        x, y = left + _x(ratio), top + 38 + ROW * number
        class_ = "floor" if is_floor(name) else "ours" if is_ours(name) else "peer"
        yield _text(left + NAMES - 10, y, name, class_, "end")
        yield f'<circle cx="{x:.1f}" cy="{y - 4:.1f}" r="4" class="{class_}"/>'
        yield _text(x + 8, y, f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}", class_)


def _x(ratio: float) -> float:
    """Return where *ratio* is in a panel; what is beyond the axis stands at its end."""
    ratio = min(max(ratio, LOWEST), HIGHEST)
    part = math.log(ratio / LOWEST) / math.log(HIGHEST / LOWEST)
    return NAMES + part * (COLUMN - NAMES - RIGHT)


def _text(x: float, y: float, text: str, class_: str = "", anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" class="{class_}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(text)}</text>"
