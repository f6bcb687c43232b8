"""The programs under contrib/torture/: a fixed part of each, and that they find what is wrong.

Not here: those with a test file of their own (test_pairs.py, test_soak.py), and the command that
runs all of them (test_torture.py).
"""

import re
import subprocess
import sys

import pytest
from kit.support import ROOT, program

from contrib.torture import (
    faults,
    fuzz_calls,
    fuzz_http2,
    fuzz_responses,
    http2_client,
    interruptions,
    threads,
)
from contrib.torture.program import Limit, Summary
from dugong_like import ConnectionClosed, HTTPConnection
from dugong_like.http.h2 import hpack_decoder, hpack_encoder, incoming, output, shared
from dugong_like.polling.wake import co_checkpoint

pytestmark = [pytest.mark.usefixtures("nothing_is_left_open"), pytest.mark.timeout(600)]

SCENARIOS = [  # of faults.py
    "cuts", "pipelined", "stalls", "drips", "endless", "records",
    "stale", "killed", "uploads", "stuck",
]  # fmt: skip


def torture(name, *arguments):
    """Run a program; return its exit status, what it printed before its last line, and that."""
    done = subprocess.run(
        [sys.executable, "-m", f"contrib.torture.{name}", *map(str, arguments)],
        capture_output=True, text=True, timeout=580, check=False, cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stderr == ""
    *lines, last = done.stdout.splitlines()
    return done.returncode, lines, Summary.parse(last)


@pytest.mark.slow
@pytest.mark.reliability(32, 33, 34, 35, 41, 42)
def test_no_fault_makes_a_part_look_whole():
    status, lines, summary = torture("faults", "--tls", "--step", 29, "--seed", 0)

    assert status == 0, lines
    expected = [f"{protocol} {name}" for protocol in ("plain", "TLS") for name in SCENARIOS]
    expected.remove("plain records")
    assert [line.split(":")[0] for line in lines] == expected
    assert summary.count > 1500
    assert summary == (summary.count, "transfers with faults", 0, 0)


@pytest.mark.slow
def test_mutated_responses_are_read_alike_however_they_are_cut():
    status, lines, summary = torture("fuzz_responses", "--count", 3000)

    assert (status, summary) == (0, (3000, "mutated responses", 1, 0)), lines


@pytest.mark.reliability(70)
@pytest.mark.parametrize(
    "count", [200, pytest.param(10000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_http2_engine_copes_with_all_that_a_server_sends(count, capsys):
    status = fuzz_http2.main(["--count", str(count)])

    lines, summary = lines_of(capsys)
    assert (status, summary) == (0, (count, "talks of HTTP/2", 1, 0)), lines


@pytest.mark.parametrize(
    "count", [402, pytest.param(5001, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_connections_that_nginx_ends_lose_no_request_and_repeat_none(count, capsys):
    program("nginx")

    status = http2_client.main(["--count", str(count)])

    lines, summary = lines_of(capsys)
    assert (status, summary) == (0, (count, "requests over HTTP/2", 1, 0)), lines


@pytest.mark.slow
@pytest.mark.feature("A42")
def test_threads_do_not_get_in_each_others_way():
    kinds = ["own_connections", "closed_connections", "network_streams", "loop_thread"]
    kinds += ["callback_streams", "names"]

    status, lines, summary = torture("threads", "--seconds", 1.8, *kinds)

    assert (status, summary.violations) == (0, 0), lines
    assert [line.split(":")[0] for line in lines[1:]] == kinds


@pytest.mark.slow
@pytest.mark.reliability(30)
def test_calls_raise_what_they_document():
    status, lines, summary = torture("fuzz_calls", "--count", 2000)

    assert (status, summary) == (0, (2000, "talks of random calls", 1, 0)), lines
    streams = ["stream", "stream.co_read", "stream.co_readinto", "stream.co_write"]
    assert [line.split(":")[0] for line in lines] == sorted({*fuzz_calls.CALLS, *streams})
    assert all(re.search(r"\d+ done", line) for line in lines)


@pytest.mark.slow
@pytest.mark.reliability(40)
def test_interrupted_operations_lose_and_mix_up_nothing():
    status, lines, summary = torture("interruptions", "--tls", "--count", 60)

    assert (status, summary) == (0, (60, "talks with interruptions", 1, 0)), lines
    for ending in ("send: done", "send: interrupted", "read: done", "read: interrupted"):
        assert re.search(rf"\d+ {ending}", lines[-1])


WAYS = {"batch", "early", "fifo", "pieces", "steps", "talk", "view", "whole"}
GIVEN_UP = {"cancelled", "closed", "out of time", "reset"}


@pytest.mark.slow
@pytest.mark.parametrize("tls", [[], ["--tls"]], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("client", "ways"),
    [([], WAYS), (["--client"], {"request", "stream"})],
    ids=["connection", "client"],
)
def test_nothing_is_wrong_if_everybody_shares_http_2(client, ways, tls):
    pytest.importorskip("h2")
    users = ["--threads", 8, "--tasks", 50, "--trio", 20]
    status, lines, summary = torture("http2", "--count", 2000, *users, *client, *tls)

    assert status == 0, lines
    assert summary.count >= 2000
    assert {line.split(maxsplit=1)[1] for line in lines} == {*GIVEN_UP, *ways}


# ---- a library that does what it must not do


def lines_of(capsys):
    """Return the lines with violations, and what the last one says."""
    *lines, last = capsys.readouterr().out.splitlines()
    return [line for line in lines if line.startswith("VIOLATION: ")], Summary.parse(last)


def test_a_part_that_looks_whole_is_found(monkeypatch, capsys):
    whole = HTTPConnection.co_readall

    def co_careless(conn):
        try:
            return (yield from whole(conn))
        except ConnectionClosed:
            return b""

    monkeypatch.setattr(HTTPConnection, "co_readall", co_careless)
    monkeypatch.setattr(faults.Tally, "listen", lambda tally: None)  # the tests do that themselves

    assert faults.main(["--step", "50", "--only", "plain cuts: sized"]) == 1
    found, summary = lines_of(capsys)
    assert len(found) == summary.violations > 0
    again = re.search(r"VIOLATION: (.*) \(--seed (\d+)\)", found[0])
    assert faults.main(["--step", "50", "--seed", again[2], "--only", again[1]]) == 1
    found, summary = lines_of(capsys)
    assert summary.violations == summary.count == 1


def test_an_exception_that_is_not_documented_is_found(monkeypatch, capsys):
    def co_careless(conn, *_):
        yield from ()
        raise KeyError("content-length")

    co_careless.__doc__ = HTTPConnection.co_read.__doc__
    monkeypatch.setattr(HTTPConnection, "co_read", co_careless)

    assert fuzz_calls.main(["--count", "100"]) == 1
    found, summary = lines_of(capsys)
    assert all("raised KeyError('content-length')" in line for line in found)
    assert len(found) == summary.violations > 0


def test_a_difference_between_whole_and_bytewise_is_found(monkeypatch, capsys):
    whole = HTTPConnection.co_read

    def co_careless(conn, size):
        piece = yield from whole(conn, size)
        return piece if len(piece) > 1 else piece.upper()

    monkeypatch.setattr(HTTPConnection, "co_read", co_careless)

    assert fuzz_responses.main(["--count", "100"]) == 1
    found, summary = lines_of(capsys)
    assert len(found) == summary.violations > 0


def http2_violations(monkeypatch, capsys, attempt, count=30):
    """Return the violations that the fuzzer finds with one kind of attempts."""
    monkeypatch.setattr(fuzz_http2, "ATTEMPTS", [attempt])
    assert fuzz_http2.main(["--count", str(count)]) == 1
    found, summary = lines_of(capsys)
    assert len(found) == summary.violations > 0
    return "\n".join(found)


def test_an_exception_of_the_http2_engine_is_found(monkeypatch, capsys):
    def on_headers(handler, stream_id, block, end):
        raise KeyError("x")

    monkeypatch.setattr(incoming.Incoming, "on_headers", on_headers)
    for attempt in (fuzz_http2.try_cuts, fuzz_http2.try_calls):
        assert "KeyError: 'x'" in http2_violations(monkeypatch, capsys, attempt)


def test_a_difference_between_frames_whole_and_in_pieces_is_found(monkeypatch, capsys):
    whole = incoming.Incoming.on_data

    def on_data(handler, stream_id, data, size, end):
        whole(handler, stream_id, data[:50], size, end)

    monkeypatch.setattr(incoming.Incoming, "on_data", on_data)
    assert "in one piece" in http2_violations(monkeypatch, capsys, fuzz_http2.try_cuts)


def test_http2_memory_without_a_limit_is_found(monkeypatch, capsys):
    monkeypatch.setattr(output, "MAX_REPLIES", 10**9)
    pings = b"\0\0\x08\x06\0\0\0\0\0" + bytes(8)
    monkeypatch.setattr(
        fuzz_http2, "wire_of", lambda *_: (bytes(3) + b"\4" + bytes(5), pings * 9000)
    )
    found = http2_violations(monkeypatch, capsys, fuzz_http2.try_cuts, count=1)
    assert re.search(r"the engine holds \d+ bytes; \d+ are allowed", found)


def test_an_http2_stream_that_does_not_end_is_found(monkeypatch, capsys):
    monkeypatch.setattr(shared.Shared, "end_connection", lambda *_: None)
    found = http2_violations(monkeypatch, capsys, fuzz_http2.try_calls)
    assert "not all streams have ended" in found


def test_header_blocks_that_are_decoded_wrongly_are_found(monkeypatch, capsys):
    def add(decoder, field):
        decoder._entries.append(field)  # as the oldest one

    monkeypatch.setattr(hpack_decoder.Decoder, "_add", add)
    assert "instead of" in http2_violations(monkeypatch, capsys, fuzz_http2.try_blocks)


def test_sections_that_are_encoded_wrongly_are_found(monkeypatch, capsys):
    monkeypatch.setattr(hpack_encoder.Encoder, "_make_room", lambda *_: None)
    found = http2_violations(monkeypatch, capsys, fuzz_http2.try_blocks)
    assert "InvalidTableIndex" in found or "reads" in found


@pytest.mark.slow
def test_bytes_that_an_interrupted_read_loses_are_found(monkeypatch, capsys):
    whole = HTTPConnection.co_read

    def co_careless(conn, size):
        piece = yield from whole(conn, size)
        yield from co_checkpoint()
        return piece

    monkeypatch.setattr(HTTPConnection, "co_read", co_careless)

    assert interruptions.main(["--count", "40"]) == 1
    found, summary = lines_of(capsys)
    assert len(found) == summary.violations > 0


def test_a_thread_that_fails_is_found(monkeypatch, capsys):
    def co_careless(conn, path):
        yield from ()
        return b"wrong"

    monkeypatch.setattr(threads, "co_get", co_careless)

    assert threads.main(["--count", "100", "own_connections"]) == 1
    assert lines_of(capsys)[1].violations > 0


# ---- what they share


def test_a_limit_is_reached_by_number_or_by_time():
    assert [Limit(count=3).reached(done) for done in (0, 2, 3)] == [False, False, True]
    assert [Limit(seconds=3600).reached(done) for done in (0, 10**9)] == [False, False]
    assert Limit(seconds=0).reached(0)
    assert Limit(count=0).reached(0)
    assert not Limit().reached(10**9)
    assert Limit(seconds=3600, count=10).progress(5) == 0.5


def test_a_summary_is_read_as_it_is_written():
    summary = Summary(12, "rounds of threads, without the GIL", -3, 4)

    assert Summary.parse(f"{summary}\n") == summary
    assert Summary.parse("12 requests in 0.1 s") is None
