"""The record: what earlier runs have done."""

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from kit.support import ROOT

from dugong_like import PartInUse, TransferError
from dugong_like.client.sync import record as record_module
from dugong_like.client.sync.record import Known, Record, usual_place

ROW = ("a/\udcff", 5, 123456789, "1")


def test_rows_are_there_in_the_next_run(tmp_path):
    with Record(tmp_path / "new" / "record") as record:
        record.put(*ROW)
        record.put("b", 1, 2, None)
        record.put("b", 3, 4, "x")
        record.put("c", 1, 2, None)
        record.remove("c")

    with Record(tmp_path / "new" / "record") as record:
        assert list(record) == [Known(b"a/\xff", 5, 123456789, "1"), Known(b"b", 3, 4, "x")]
        assert record.get("b") == Known(b"b", 3, 4, "x")
        assert record.get("c") is None


def test_nobody_else_may_read_it(tmp_path):
    with Record(tmp_path / "below" / "record") as record:
        record.put(*ROW)

        modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "below").iterdir()}
        assert modes == {0}
    assert (tmp_path / "below").stat().st_mode & 0o077 == 0


def test_a_second_run_is_refused_until_the_first_one_ends(tmp_path):
    with Record(tmp_path / "record") as record:
        record.put(*ROW)
        with pytest.raises(PartInUse, match="another run"):
            Record(tmp_path / "record")

    with Record(tmp_path / "record") as record:
        assert len(list(record)) == 1


@pytest.mark.parametrize("damage", [b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_one_is_begun_anew(tmp_path, damage):
    (tmp_path / "record").write_bytes(damage)

    with Record(tmp_path / "record") as record:
        assert list(record) == []
        record.put(*ROW)
    with Record(tmp_path / "record") as record:
        assert len(list(record)) == 1


@pytest.mark.parametrize("content", [b"a letter", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_of_somebody_else_is_left_alone(tmp_path, content):
    (tmp_path / "letter").write_bytes(content)

    with pytest.raises(TransferError, match=r"letter' cannot be the record: it is another file"):
        Record(tmp_path / "letter", is_own=False)

    assert (tmp_path / "letter").read_bytes() == content


def test_a_damaged_one_that_was_named_by_the_user_is_begun_anew(tmp_path):
    with Record(tmp_path / "record", is_own=False) as record:
        record.put(*ROW)
    data = (tmp_path / "record").read_bytes()
    (tmp_path / "record").write_bytes(data[:100] + b"\xff" * (len(data) - 100))

    with Record(tmp_path / "record", is_own=False) as record:
        assert list(record) == []


@pytest.mark.parametrize("is_own", [True, False])
@pytest.mark.parametrize("number", [0, 1234])  # most programs leave 0
@pytest.mark.parametrize("table", ["files", "letters"])
def test_another_database_is_left_alone(tmp_path, table, number, is_own):
    with sqlite3.connect(tmp_path / "mail") as other:
        other.execute(f"PRAGMA application_id = {number}")
        other.execute(f"CREATE TABLE {table} (x)")
        other.execute(f"INSERT INTO {table} VALUES (1)")
    other.close()
    before = (tmp_path / "mail").read_bytes()

    with pytest.raises(TransferError, match=r"mail' cannot be the record: this is another data"):
        Record(tmp_path / "mail", is_own=is_own)

    assert (tmp_path / "mail").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["mail"]


def test_an_empty_database_becomes_a_record(tmp_path):
    """Such as one whose run was killed while it made the record."""
    with sqlite3.connect(tmp_path / "record") as other:
        other.execute("PRAGMA journal_mode = WAL")
    other.close()
    assert (tmp_path / "record").read_bytes()

    with Record(tmp_path / "record", is_own=False) as record:
        record.put(*ROW)
        assert len(list(record)) == 1


def test_one_of_another_format_is_begun_anew(tmp_path, monkeypatch):
    with Record(tmp_path / "record") as record:
        record.put(*ROW)
    monkeypatch.setattr(record_module, "FORMAT", 2)

    with Record(tmp_path / "record") as record:
        assert list(record) == []


def test_without_a_file_nothing_is_kept():
    with Record(None) as record:
        record.put(*ROW)
        assert len(list(record)) == 1
    with Record(None) as record:
        assert list(record) == []


def test_a_place_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(TransferError, match="file"):
        Record(tmp_path / "file" / "record")
    with pytest.raises(TransferError):
        Record(tmp_path)


def test_rows_survive_a_kill(tmp_path):
    code = (
        "import os, signal; from pathlib import Path;"
        "from dugong_like.client.sync.record import Record;"
        f"record = Record(Path({str(tmp_path / 'record')!r}));"
        "[record.put(str(n), n, n, 'x') for n in range(500)];"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)

    assert done.returncode == -signal.SIGKILL
    with Record(tmp_path / "record") as record:
        assert len(list(record)) == 500


def test_the_usual_place_depends_on_both_sides(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    one = usual_place(Path("/a"), "http://x/")

    assert one.is_relative_to(tmp_path)
    assert one == usual_place(Path("/a/"), "http://x/")
    assert len({one, usual_place(Path("/b"), "http://x/"), usual_place(Path("/a"), "y")}) == 3
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert usual_place(Path("/a"), "x").is_relative_to(Path.home())
