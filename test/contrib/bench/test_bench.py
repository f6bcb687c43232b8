"""The benchmark suite under contrib/bench/: that it runs, not how fast anything is."""

import importlib
import json
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from kit.support import ROOT, program

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def bench(*arguments):
    """Run the suite with little work, one round, and no client that has to be installed."""
    program("nginx")
    command = [sys.executable, "-m", "contrib.bench", "--quick", "--rounds", "1"]
    return subprocess.run(
        [*command, "--clients", "dugong_like,http.client", *map(str, arguments)],
        capture_output=True, text=True, timeout=110, check=False, cwd=ROOT,
    )  # fmt: skip


def test_small_requests_give_a_table_json_and_a_plot(tmp_path):
    done = bench(
        "--only", "sequential-tls", "--only", "pipelined",
        "--json", tmp_path / "out.json", "--plot", tmp_path / "out.svg",
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "out.json").read_text())
    assert [table["name"] for table in result["workloads"]] == ["sequential-tls", "pipelined"]
    for table in result["workloads"]:
        lines = {line["client"]: line for line in table["clients"]}
        assert {"floor", "dugong_like", "dugong_like/asyncio", "http.client"} <= set(lines)
        assert lines["floor"]["to_floor"] == lines["http.client"]["to_peer"] == 1
        assert all(line["cost"] > 0 and len(line["rounds"]) == 1 for line in lines.values())
        assert all(f"\n{client} " in done.stdout for client in lines)
    assert ET.parse(tmp_path / "out.svg").getroot().tag.endswith("svg")


def test_large_bodies_arrive_whole_in_both_directions():
    done = bench("--only", "save", "--only", "upload-chunked-tls")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nhttp.client ") == 2


def test_a_client_that_is_not_installed_is_named(tmp_path):
    (tmp_path / "pycurl.py").write_text("raise ModuleNotFoundError('no pycurl here')")
    program("nginx")

    done = subprocess.run(
        [sys.executable, "-m", "contrib.bench", "--quick", "--rounds", "1",
         "--only", "sequential", "--clients", "pycurl"],
        capture_output=True, text=True, timeout=110, check=False, cwd=ROOT,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "none: not installed: no pycurl here" in done.stdout


def test_an_unknown_workload_is_an_error():
    done = bench("--only", "nothing")

    assert done.returncode == 2
    assert "no such workload: nothing" in done.stderr


def test_steps_of_a_small_request_are_measured(capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    steps = importlib.import_module("contrib.bench.steps")
    steps.main(rounds=2, times=6000)  # so many requests that sending has to wait once

    title, *lines = capsys.readouterr().out.splitlines()
    assert title.split() == ["step", "us"]
    figures = {line[:38].strip(): float(line[38:]) for line in lines}
    operations = ["send_request", "read_response", "readall"]
    assert [name for name in figures if name in operations] == operations
    total = sum(figures[name] for name in operations)
    assert figures["together"] == pytest.approx(total, abs=0.02)
    assert all(figures[name] > 0 for name in operations)
