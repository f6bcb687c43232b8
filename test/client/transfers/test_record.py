"""Records: what is read of a whole one, of one that was cut off, and of a damaged one."""

import json
import os
import subprocess
import sys

import pytest

from dugong_like import PartInUse
from dugong_like.client.transfers import locked_lines as module
from dugong_like.client.transfers.record import Facts, Record
from dugong_like.client.transfers.spans import Spans

FACTS = Facts('"1"', 1000)
URL = "http://example.org/x"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.part.json"


def opened(path, url=URL):
    return Record(path, url, "x.part")


def written(path, *claims):
    record = opened(path)
    record.clear()
    record.begin(FACTS)
    for claim in claims:
        record.claim(Spans(claim))
    record.close()
    return path.read_bytes()


def read(path, url=URL):
    record = opened(path, url)
    facts, spans = record.read()
    record.close()
    return facts, list(spans)


def test_the_last_claim_counts(path):
    written(path, [(0, 10)], [(0, 20), (50, 60)])
    assert read(path) == (FACTS, [(0, 20), (50, 60)])
    assert read(path, "http://example.org/y") == (None, [])


def test_a_record_that_is_cut_off_anywhere_claims_less(path):
    whole = written(path, [(0, 10)], [(0, 20), (50, 60)])
    lines = whole.splitlines(keepends=True)
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        facts, spans = read(path)
        complete = whole[:cut].count(b"\n")
        assert facts == (FACTS if complete else None)
        assert spans == [[], [], [(0, 10)]][complete]
        if complete:  # it goes on with a line of its own
            record = opened(path)
            record.claim(Spans([(0, 30)]))
            record.close()
            assert read(path)[1] == [(0, 30)]
    assert len(lines) == 3


DAMAGED = [
    *(b"\0" * 50 + b"\n", b"{}\n", b"[1]\n", b"[[1]]\n", b"[[1,2,3]]\n", b"[[-1,5]]\n", b"null\n"),
    *(b"[[5,5]]\n", b"[[5,4]]\n", b"[[0,5],[4,9]]\n", b"[[0,1001]]\n", b"[[0,1e3]]\n"),
    *(b"[[0,true]]\n", b"[[0,5.0]]\n", b'[["0",5]]\n', b"[" * 20_000 + b"\n", b"\xff\n", b"\n"),
]


@pytest.mark.parametrize("line", DAMAGED, ids=lambda line: line[:12].decode("latin-1").strip())
def test_a_damaged_line_is_passed_over(path, line):
    whole = written(path, [(0, 10)])
    path.write_bytes(whole + line)
    assert read(path) == (FACTS, [(0, 10)])
    path.write_bytes(whole + line[:-1])
    assert read(path) == (FACTS, [(0, 10)])


HEADS = [
    b"", b"{", b"[]", b"null", b"\0", b"\xff", b"{}", b"[" * 20_000,
    *(json.dumps({"format": 1, "validator": '"1"', "size": 5, **more}).encode() for more in (
        {}, {"url": 5}, {"url": "x"})),
]  # fmt: skip


@pytest.mark.parametrize("head", HEADS, ids=range(len(HEADS)))
def test_a_damaged_head_claims_nothing(path, head):
    path.write_bytes(head + b"\n[[0,5]]\n")
    assert read(path) == (None, [])


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"validator": None}, {"size": -1}, {"size": "5"}, {"size": True}]
)
def test_facts_of_another_kind_claim_nothing(path, change):
    head, rest = written(path, [(0, 10)]).split(b"\n", 1)
    path.write_bytes(json.dumps({**json.loads(head), **change}).encode() + b"\n" + rest)
    assert read(path) == (None, [])


def test_many_claims_are_found_from_the_end(path, monkeypatch):
    monkeypatch.setattr(module, "MAX_LINE", 512)
    written(path, *([(0, 10 * number)] for number in range(1, 100)))
    assert read(path) == (FACTS, [(0, 990)])
    record = opened(path)
    record.claim(Spans((5 * number, 5 * number + 1) for number in range(200)))  # too many
    record.close()
    assert read(path) == (FACTS, [(0, 990)])


def test_clear_claims_nothing(path):
    written(path, [(0, 10)])
    record = opened(path)
    record.clear()
    assert read_while_open(path) == b""
    record.begin(Facts('"2"', None))
    record.claim(Spans([(0, 5)]))
    record.close()
    assert read(path) == (Facts('"2"', None), [(0, 5)])


def read_while_open(path):
    return path.read_bytes()


def test_one_run_at_a_time(path):
    pytest.importorskip("fcntl")
    record = opened(path)
    with pytest.raises(PartInUse, match=r"x\.part: another run") as failed:
        opened(path)
    assert failed.value.path == "x.part"
    record.close()
    opened(path).close()


def test_a_record_that_was_removed_while_it_was_opened_is_not_used(path, monkeypatch):
    written(path, [(0, 10)])
    lock, seen = module._lock, []

    def late(number, *about):
        if not seen:
            seen.append(path.unlink())  # by the run that has completed the part
        lock(number, *about)

    monkeypatch.setattr(module, "_lock", late)
    record = opened(path)
    assert record.read()[0] is None
    assert os.path.samestat(path.stat(), os.fstat(record._file.fileno()))
    record.remove_if_empty()
    assert not path.exists()
    record.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_another_process_does_not_get_it(path):
    record = opened(path)
    code = (
        "import sys; from dugong_like import PartInUse\n"
        "from pathlib import Path; from dugong_like.client.transfers.record import Record\n"
        "try: Record(Path(sys.argv[1]), 'x', 'x')\n"
        "except PartInUse: print('in use')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    record.close()
    assert done.stdout == "in use\n"
