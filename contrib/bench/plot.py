"""The figures as one picture (SVG): for each workload a row of dots, one for each client.

The axis is the CPU time divided by that of the floor, and logarithmic, for the slowest clients
cost forty times as much as the fastest. Written by hand, so that a plot needs no library.

Not here: workloads without a ratio to a floor, such as memory and growth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import Any, Final

from .clients import is_floor, is_ours

WIDTH: Final = 900  # of the picture, in its own units, as everything below
LEFT: Final = 250  # where 1 x floor begins to count: titles stand before it
RIGHT: Final = 30
ROW: Final = 15  # height of a client
GAP: Final = 34  # between workloads
TOP: Final = 56
LOWEST, HIGHEST = 0.4, 64.0  # ratios at both ends of the axis
TICKS: Final = (0.5, 1, 2, 4, 8, 16, 32, 64)
COLOURS: Final = {"ours": "#c2410c", "floor": "#6b7280", "peer": "#1d4ed8"}
STYLE: Final = """
text { font: 11px sans-serif; fill: #1f2937 } .title { font-weight: bold }
.axis { stroke: #d1d5db } .floor { stroke: #6b7280; stroke-dasharray: 3 3 }
.ours { fill: #c2410c; font-weight: bold } .small { font-size: 10px; fill: #6b7280 }
"""


def plot(result: dict[str, Any]) -> str:
    """Return the picture of what __main__.py writes as JSON."""
    tables = [table for table in result["workloads"] if _rows(table)]
    height = TOP + sum(GAP + ROW * len(_rows(table)) for table in tables) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        _text(10, 20, "CPU time of the client, divided by that of hand-written sockets", "title"),
        _text(10, 36, _caption(result["environment"]), "small"),
    ]
    y = TOP
    for table in tables:
        rows = _rows(table)
        bottom = y + GAP + ROW * len(rows)
        parts += _axis(y + 18, bottom - 8)
        parts.append(_text(10, y + 12, table["title"], "title"))
        for number, line in enumerate(rows):
            parts += _row(line, y + 28 + ROW * number)
        y = bottom
    return "\n".join([*parts, "</svg>\n"])


def _rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the lines that have a place on the axis, the cheapest one first."""
    if table["differences"]:
        return []
    lines = [line for line in table["clients"] if line["to_floor"]]
    return sorted(lines, key=lambda line: line["to_floor"])


def _caption(environment: dict[str, Any]) -> str:
    names = ("cpu", "system", "python", "server")
    cores = "one core" if environment["cores"] == 1 else "a core each"
    where = (
        f"client and server on {cores}"
        if environment["cores"] == 1
        else f"client and server: {cores}"
    )
    return ", ".join([*(str(environment[name]) for name in names), where, environment["date"]])


def _x(ratio: float) -> float:
    ratio = min(max(ratio, LOWEST), HIGHEST)
    part = math.log(ratio / LOWEST) / math.log(HIGHEST / LOWEST)
    return LEFT + part * (WIDTH - LEFT - RIGHT)


def _text(x: float, y: float, text: str, class_: str = "", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{class_}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )


def _axis(top: float, bottom: float) -> Iterator[str]:
    for tick in TICKS:
        x = _x(tick)
        class_ = "floor" if tick == 1 else "axis"
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" class="{class_}"/>'
        yield _text(x, top - 3, f"{tick:g}", "small", "middle")


def _row(line: dict[str, Any], y: float) -> Iterator[str]:
    """Yield the name, the dot and the figure of a client."""
    name, ratio = line["client"], line["to_floor"]
    kind = "floor" if is_floor(name) else "ours" if is_ours(name) else "peer"
    class_ = "ours" if kind == "ours" else ""
    x = _x(ratio)
    yield _text(LEFT - 12, y, name, class_, "end")
    yield f'<circle cx="{x:.1f}" cy="{y - 4:.1f}" r="4.5" fill="{COLOURS[kind]}"/>'
    ratio_text = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
    yield (
        _text(x + 9, y, ratio_text, class_)
        if x < WIDTH - 60
        else _text(x - 9, y, ratio_text, class_, "end")
    )
