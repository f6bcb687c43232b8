"""Tables of the documentation that are made from tests and source name nothing that is missing.

The build of the pages would find it as well, but no test builds them.

Not here: the pages themselves (.ci/run builds them).
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tomllib
from types import ModuleType

import pytest
from kit.support import ROOT

pytest.importorskip("sphinx")

DOC = ROOT / "doc"
SAFETY = (DOC / "safety.rst").read_text()


@pytest.fixture(scope="module")
def from_source() -> ModuleType:
    return extension("from_source")


@pytest.fixture
def figures(from_source: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "from_source", from_source)
    return extension("figures")


def extension(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOC / "_ext" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["names", "coming_from"])
def test_each_test_in_the_tables_of_names_exists(from_source: ModuleType, page: str) -> None:
    tables = tomllib.loads((DOC / f"{page}.toml").read_text()).values()
    named = [test for table in tables for _, test in table.values()]

    assert [
        test
        for test in named
        if test[0] not in from_source.NO_TEST and not from_source.is_test(test)
    ] == []


def test_each_rule_has_a_test_that_exists(from_source: ModuleType) -> None:
    tables = tomllib.loads((DOC / "safety.toml").read_text())
    shown = re.findall(r"^\.\. rules-table:: safety.toml (\w+)$", SAFETY, re.MULTILINE)

    assert shown == list(tables)
    named = [test for rules in tables.values() for test in rules.values()]
    assert [test for test in named if not from_source.is_test(test)] == []


@pytest.mark.parametrize(
    ("file", "marker"),
    [("features.toml", "feature"), ("programs.toml", "real"), ("conformance.toml", "reliability")],
)
def test_each_row_is_marked_and_each_mark_is_a_row(
    from_source: ModuleType, file: str, marker: str
) -> None:
    [rows] = tomllib.loads((DOC / file).read_text()).values()
    marked = {row for row, _ in from_source.marked_tests(ROOT / "test", marker)}

    assert marked == rows.keys()


def test_each_table_of_states_exists(from_source: ModuleType) -> None:
    pages = "".join(path.read_text() for path in DOC.rglob("*.rst"))
    named = re.findall(r"^\.\. state-table:: (\w+)$", pages, re.MULTILINE)

    assert set(named) == from_source.MACHINES.keys()


def test_each_line_of_the_tables_of_figures_has_figures(figures: ModuleType) -> None:
    run = json.loads((DOC / "performance.json").read_text())
    workloads = {workload["name"]: workload for workload in run["workloads"]}
    lines = re.findall(r"^   .*\| .*\|.*\|.*$", (DOC / "performance.rst").read_text(), re.MULTILINE)

    for line in lines:
        _, name, ours, peers = figures.parts(line)
        cost, _, _, others = figures.figures(workloads[name], ours, peers)
        assert cost[0].isdigit(), line
        assert others.count(",") == max(len(peers) - 1, 0), line
    assert len(lines) >= 40


def test_table_of_figures_names_a_peer_whose_row_failed(figures: ModuleType) -> None:
    ours = {"client": "ours", "failed": False, "cost": 2.0, "to_floor": 1.5, "to_pycurl": None}
    crashed = {"client": "peer/asyncio", "failed": True, "cost": 0.0}
    workload = {"name": "get", "unit": "CPU us/request", "differences": ""}

    workload["clients"] = [ours, crashed]
    assert figures.figures(workload, "ours", ["peer/asyncio"]) == [
        "2.00 us",
        "1.50",
        "-",
        "peer failed",
    ]
    with pytest.raises(KeyError):
        figures.figures(workload, "ours", ["nobody"])
    workload["clients"] = [{**ours, "failed": True}]
    with pytest.raises(AssertionError, match="ours has no figure for get"):
        figures.figures(workload, "ours", [])
