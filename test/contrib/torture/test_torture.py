"""The programs under contrib/torture/, which try to break the library: a fixed part of each."""

import re
import subprocess
import sys

import pytest
from kit.support import ROOT

SCENARIOS = [  # of faults.py
    "cuts", "pipelined", "stalls", "drips", "endless", "records",
    "stale", "killed", "uploads", "stuck",
]  # fmt: skip


def torture(name, *arguments):
    """Run a program; return its exit status, output and error output."""
    done = subprocess.run(
        [sys.executable, "-m", f"contrib.torture.{name}", *map(str, arguments)],
        capture_output=True, text=True, timeout=110, check=False, cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.reliability(32, 33, 34, 35, 41, 42)
def test_no_fault_makes_a_part_look_whole():
    status, out, err = torture("faults", "--tls", "--step", 29)

    assert status == 0, out
    assert err == ""
    *scenarios, total = out.splitlines()
    expected = [f"{protocol} {name}" for protocol in ("plain", "TLS") for name in SCENARIOS]
    expected.remove("plain records")
    assert [line.split(":")[0] for line in scenarios] == expected
    assert all(line.endswith("; 0 violations") for line in scenarios)
    assert total.endswith("; 0 violations")
    assert int(re.match(r"total: (\d+) transfers", total)[1]) > 1500


def test_mutated_responses_are_read_alike_however_they_are_cut():
    status, out, _ = torture("fuzz_responses", "--mutants", 5000)

    assert status == 0, out
    assert out.startswith("5000 mutants: ")
    assert out.endswith("; 0 violations\n")


@pytest.mark.feature("A42")
def test_threads_do_not_get_in_each_others_way():
    kinds = ["own_connections", "closed_connections", "network_streams", "loop_thread"]
    kinds += ["callback_streams", "names"]
    status, out, _ = torture("threads", "--seconds", 0.3, *kinds)

    assert status == 0, out
    assert [line.split(":")[0] for line in out.splitlines()[1:]] == kinds


@pytest.mark.reliability(30)
def test_calls_raise_what_they_document():
    status, out, _ = torture("fuzz_calls", "--talks", 3000)

    assert status == 0, out
    *calls, total = out.splitlines()
    assert [line.split(":")[0] for line in calls] == [
        "co_connect", "co_discard", "co_finish", "co_read", "co_read_raw", "co_read_response",
        "co_readall", "co_readinto", "co_recv_to_file", "co_send_request",
        "co_send_requests", "co_sendfile", "co_write",
        "stream", "stream.co_read", "stream.co_readinto", "stream.co_write",
    ]  # fmt: skip
    assert all(re.search(r"\d+ done", line) for line in calls)
    assert total.endswith(" calls in 3000 talks; 0 violations")
