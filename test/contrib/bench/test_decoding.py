"""The program that has several clients decode: that it runs, and that its verdicts are right."""

import re
import subprocess
import sys

import pytest
from kit.support import ROOT

from contrib.bench import decoding
from contrib.bench.coded_bodies import TEXT, Case

VALID, BROKEN = Case("a", "gzip", b"", TEXT), Case("b", "br", b"", None)


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "contrib.bench.decoding", *arguments],
        capture_output=True, text=True, check=False, timeout=110, cwd=ROOT,
    )  # fmt: skip


@pytest.mark.slow
def test_this_library_gets_all_right():
    done = run("--clients", "dugong_like")

    assert done.returncode == 0, done.stdout + done.stderr
    [head, counts, _, legend, cost] = done.stdout.splitlines()
    assert head.split() == ["dugong_like"]
    right, count = counts.split()[1].split("/")
    assert right == count
    assert int(count) > 60
    assert legend == decoding.LEGEND
    assert re.fullmatch(r"gzip, 100 KiB of JSON: \d+ µs, zlib alone \d+ µs", cost)


@pytest.mark.slow
def test_others_stand_beside_it():
    pytest.importorskip("requests")
    done = run("--clients", "requests,dugong_like", "--path", "requests=/nowhere")

    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["requests", "dugong_like"]
    rows = [line for line in lines if line.startswith("gzip: without the last byte ")]
    assert [row.split()[-2:] for row in rows] in ([], [["TAKEN", "-"]])


def test_a_client_that_is_not_installed_is_left_out(monkeypatch, capsys):
    monkeypatch.setitem(decoding.CLIENTS, "nothing", decoding.like_httpx)
    decoding.child("nothing", 1, 1)
    assert "No module named 'nothing'" in capsys.readouterr().out
    done = run("--clients", "nothing")
    assert done.returncode == 1
    assert "not known: nothing" in done.stderr


def test_verdicts():
    right = decoding.digest(TEXT)

    assert decoding.judge(VALID, right, set()) == decoding.RIGHT
    assert decoding.judge(VALID, decoding.digest(TEXT[:-1]), set()) == decoding.LOST
    assert decoding.judge(VALID, "", set()) == decoding.REFUSED
    assert decoding.judge(BROKEN, right, {"br"}) == decoding.TAKEN
    assert decoding.judge(BROKEN, "", {"br"}) == decoding.RIGHT
    assert decoding.judge(BROKEN, "", {"gzip"}) == decoding.UNASKED
    verdicts = {"one": ["-", "-"], "two": ["LOST", ""]}
    lines = list(decoding.table([VALID, BROKEN], verdicts))
    assert [line.split() for line in lines] == [
        ["one", "two"], ["gzip:", "a", "-", "LOST"], ["right", "2/2", "0/1"],
    ]  # fmt: skip
