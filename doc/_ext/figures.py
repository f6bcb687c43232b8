"""Tables of the figures of doc/performance.json, so that a new run changes them all.

``.. figures-table::`` has a line for each row: what it is, the workload, our client and the peers
to name, with ``|`` between them. A client may be followed by the number of what it does at once.

``.. websocket-table::`` has all rows of doc/performance-websocket.json, if there has been a run.
"""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from from_source import table
from sphinx.application import Sphinx

FIGURES = "performance.json"
WEBSOCKET_FIGURES = "performance-websocket.json"
WEBSOCKET_HEADER = ["Echo of 1 KiB", "CPU", "CPU of websockets", "ratio"]
LARGE = 10  # figures from here on are written without a fraction
HEADER = ["Work", "CPU", "of the floor", "of pycurl", "Other libraries"]


class FiguresTable(Directive):
    """What the rows of the last run cost: absolute, and as multiples of floor and pycurl."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        environment = self.state.document.settings.env
        environment.note_dependency(FIGURES)
        workloads = {
            workload["name"]: workload
            for workload in json.loads(Path(environment.srcdir, FIGURES).read_text())["workloads"]
        }
        rows = []
        for line in self.content:
            label, name, ours, peers = parts(line)
            parsed, problems = self.state.inline_text(label, self.lineno)
            assert not problems, problems
            cells = figures(workloads[name], ours, peers)
            rows.append([nodes.inline("", "", *parsed), *map(nodes.Text, cells)])
        return [table([40, 15, 10, 10, 25], HEADER, rows)]


class WebSocketTable(Directive):
    """The rows of the last run of contrib/bench/websocket.py: ours beside those of websockets."""

    def run(self) -> list[nodes.Node]:
        """Return the table; a sentence before the first run."""
        environment = self.state.document.settings.env
        environment.note_dependency(WEBSOCKET_FIGURES)
        path = Path(environment.srcdir, WEBSOCKET_FIGURES)
        if not path.exists():
            return [nodes.paragraph(text="There are no figures of this machine yet.")]
        rows = [
            [nodes.Text(cell) for cell in cells] for cells in echoes(json.loads(path.read_text()))
        ]
        return [table([30, 20, 20, 15], WEBSOCKET_HEADER, rows)]


def echoes(lines: list[dict[str, Any]]) -> list[list[str]]:
    """Return the cells of all rows, as text."""
    peers = {line["work"]: line for line in lines if line["client"] == "websockets"}
    return [
        [
            line["work"],
            f"{short(line['cpu'])} µs",
            f"{short(peers[line['work']]['cpu'])} µs",
            ratio(line["ratio"]),
        ]
        for line in lines
        if line["client"] == "dugong_like"
    ]


def parts(line: str) -> tuple[str, str, str, list[str]]:
    """Return what a line of a table says: its label, the workload, our client and the peers."""
    label, name, ours, peers = (cell.strip() for cell in line.split("|"))
    return label, name, ours, peers.split()


def figures(workload: dict[str, Any], ours: str, peers: list[str]) -> list[str]:
    """Return the cells of one row, as text.

    A peer whose row failed is named as such. One that was not measured is an error, as is a row
    of ours without a figure.
    """
    costs = {line["client"]: line for line in workload["clients"]}
    size = ours.partition(" ")[2]
    unit = workload["unit"].removeprefix("CPU ").partition("/")[0]
    others = []
    for peer in peers:
        name = f"{peer} {size}" if size else peer
        failed = costs[name]["failed"]
        cost = "failed" if failed else short(costs[name]["cost"])
        others.append(f"{peer.partition('/')[0]} {cost}")
    line = costs[ours]
    assert not line["failed"], f"{ours} has no figure for {workload['name']}"
    return [
        f"{short(line['cost'])} {unit}",
        ratio(None if workload["differences"] else line["to_floor"]),
        ratio(line["to_pycurl"]),
        ", ".join(others) or "-",
    ]


def short(cost: float) -> str:
    """Write a figure with two digits behind the point, or none if it is large."""
    return f"{cost:.0f}" if cost >= LARGE else f"{cost:.2f}"


def ratio(value: float | None) -> str:
    """Write a ratio; there is none if the run has nothing to compare with."""
    return f"{value:.2f}" if value else "-"


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx about the directive."""
    app.add_directive("figures-table", FiguresTable)
    app.add_directive("websocket-table", WebSocketTable)
    return {"parallel_read_safe": True}
