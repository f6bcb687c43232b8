"""The picture of the first page, drawn from the figures of performance.json.

``.. performance-picture:: sequential pipelined`` draws a panel for each of these workloads: a bar
for the library and one for each of `PEERS`, as long as the CPU time of one request. The picture is
part of the page, so its colours are those of the theme, light or dark.
"""

import json
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

OURS = "dugong_like"
PEERS = ("pycurl", "http.client", "aiohttp", "httpx", "requests")
WIDTH = 720  # all lengths are in pixels of a picture that is as wide as this
NAMES = 110  # where the bars begin
LONGEST = 520  # a bar that is cut off
CUT = 8  # bars are cut off at so many times the shortest one
ROW = 20
TITLE = 34


def costs(workload: dict[str, Any]) -> dict[str, float]:
    """Return the CPU time of each client that the picture shows, by its name.

    A workload on an event loop has names such as ``aiohttp/asyncio``; the loop is left out.
    """
    found = {
        line["client"]: line["cost"] for line in workload["clients"] if line["cost"] is not None
    }
    shown = {}
    for name in (OURS, *PEERS):
        for client in (name, f"{name}/asyncio"):
            if client in found:
                shown.setdefault(name, found[client])
    return shown


def amount(cost: float) -> str:
    """Return *cost* with three digits, or with all of those in front of the point."""
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:.3g}"  # noqa: PLR2004


def panel(workload: dict[str, Any], top: int) -> list[str]:
    """Draw the panel of a workload, *top* pixels below the top of the picture."""
    shown = costs(workload)
    scale = LONGEST / (CUT * min(shown.values()))
    parts = [f'<text class="title" x="0" y="{top + 20}">{escape(workload["title"])}</text>']
    for number, (name, cost) in enumerate(sorted(shown.items(), key=lambda item: item[1])):
        y = top + TITLE + number * ROW
        length = min(cost * scale, LONGEST)
        kind = "ours" if name == OURS else "peer"
        end = " »" if cost * scale > LONGEST else ""
        parts += [
            f'<text class="{kind}" x="{NAMES - 8}" y="{y + 11}" text-anchor="end">{name}</text>',
            f'<rect class="{kind}" x="{NAMES}" y="{y}" width="{length:.1f}" height="{ROW - 6}"/>',
            f'<text x="{NAMES + length + 6:.1f}" y="{y + 11}">{end} {amount(cost)} µs</text>',
        ]
    return parts


def draw(workloads: list[dict[str, Any]]) -> str:
    """Return the picture (SVG)."""
    parts: list[str] = []
    top = 0
    for workload in workloads:
        parts += panel(workload, top)
        top += TITLE + ROW * len(costs(workload)) + 10
    label = "CPU time of a request with several clients; the shorter the bar the better"
    start = f'<svg class="performance" viewBox="0 0 {WIDTH} {top}" role="img" aria-label="{label}">'
    return "\n".join([start, *parts, "</svg>"])


class PerformancePicture(Directive):
    """A panel for each workload that is named."""

    required_arguments = 1
    optional_arguments = 9

    def run(self) -> list[nodes.Node]:
        """Return the picture as part of a page."""
        environment = self.state.document.settings.env
        environment.note_dependency("performance.json")
        result = json.loads(Path(environment.srcdir, "performance.json").read_text())
        by_name = {workload["name"]: workload for workload in result["workloads"]}
        picture = draw([by_name[name] for name in self.arguments])
        return [nodes.raw("", picture, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("performance-picture", PerformancePicture)
    return {"parallel_read_safe": True}
