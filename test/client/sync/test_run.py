"""Runs, against servers of both kinds that keep files in memory."""

import asyncio
import errno
import os
import re
import stat
import time

import pytest
import trio
from kit.sites import answer_of
from kit.support import pattern
from kit.sync_pair import OLD, tree_of
from kit.sync_server import BASE

from dugong_like import (
    AsyncClient,
    ConnectFailed,
    ContentChanged,
    DeadlineExceeded,
    DigestMismatch,
    PartInUse,
    RateLimit,
    Retry,
    StatusError,
    TransferError,
)
from dugong_like.client.sync import local as local_module
from dugong_like.client.sync import run as run_module
from dugong_like.client.sync.record import Record
from dugong_like.drivers.loop import Loop

LARGE = pattern(700_000)
NAME = b"dugong-manifest.jsonl"
FILES = {
    "a": b"",
    "b": b"text",
    "c/d": pattern(65536),
    "c/e/f": pattern(65537),
    "large": LARGE,
    "odd\nname %20?#": b"1",
    "ä/\udcff": b"2",
    "-": b"3",
    "c/~": b"4",
}


def write_all(pair, files=FILES):
    for number, (path, data) in enumerate(files.items()):
        pair.write(path, data, OLD + number)


@pytest.mark.feature("E48")
def test_a_folder_goes_to_a_server_and_comes_back(pair):
    write_all(pair)

    there = pair.up()
    back = pair.down()

    assert pair.store.texts() == FILES == tree_of(pair.back)
    assert (there.copied, there.copied_bytes) == (len(FILES), sum(map(len, FILES.values())))
    assert there.failures == back.failures == ()
    assert back.copied == len(FILES)
    if not pair.store.webdav:
        times = {path: (pair.back / path).stat().st_mtime_ns for path in FILES}
        assert times == {path: OLD + number for number, path in enumerate(FILES)}


def test_what_is_unchanged_is_neither_sent_nor_asked_for(pair):
    write_all(pair)
    pair.up()
    pair.down()

    for result in (pair.up(), pair.down()):
        assert (result.copied, result.unchanged) == (0, len(FILES))
        assert not {"GET", "PUT", "HEAD", "DELETE"} & {
            method for method, path in pair.store.seen if path != NAME
        }
    assert pair.store.asked("PUT") == []


@pytest.mark.parametrize("etags", [True, False])
def test_changes_of_the_same_size_are_noticed_on_both_sides(pair, etags):
    pair.store.etags = etags
    write_all(pair)
    pair.up()
    pair.write("b", b"TEXT", OLD + 1000)
    pair.store.put(b"c/d", pattern(65536)[::-1])
    if not pair.store.webdav:  # a list of files is believed; see the documentation
        pair.write("c/d", FILES["c/d"], OLD + 1001)

    result = pair.up()

    assert (result.copied, pair.store.texts()) == (2, {**FILES, "b": b"TEXT"})


def test_an_older_file_is_a_change_as_well(pair):
    """After a clock step, or when a backup was restored."""
    pair.write("a", b"1234", OLD)
    pair.up()
    pair.write("a", b"4321", OLD - 10**18)

    assert pair.up().copied == 1
    assert pair.store.files[b"a"] == b"4321"


def test_a_changed_server_is_what_counts_downwards(webdav):
    write_all(webdav)
    webdav.up()
    webdav.down()
    webdav.store.put(b"b", b"TEXT")
    (webdav.back / "c/d").write_bytes(b"changed here")

    result = webdav.down()

    assert (result.copied, tree_of(webdav.back)) == (2, {**FILES, "b": b"TEXT"})


def test_nothing_is_deleted_unless_asked_for(pair):
    write_all(pair)
    pair.up()
    pair.down()
    (pair.root / "b").unlink()

    result = pair.up()
    assert (result.deleted, result.extra) == (0, 1)
    assert "b" in pair.store.texts()

    result = pair.up(delete=True)
    assert (result.deleted, result.extra) == (1, 0)
    assert "b" not in pair.store.texts()
    assert pair.down().extra == 1
    assert pair.down(delete=True).deleted == 1
    assert tree_of(pair.back) == tree_of(pair.root)


def test_deletes_come_last_and_not_after_a_failure(pair):
    write_all(pair)
    pair.up()
    (pair.root / "b").unlink()
    pair.write("new", b"new")
    pair.store.by.append(lambda seen, path: answer_of(507) if path == b"new" else None)

    result = pair.up(delete=True)

    assert (result.failed, result.deleted, result.extra) == (1, 0, 1)
    assert isinstance(pair.errors()["new"], StatusError)
    pair.store.by.clear()
    result = pair.up(delete=True)
    assert (result.failed, result.copied, result.deleted) == (0, 1, 1)
    methods = [method for method, path in pair.store.seen if path in (b"new", b"b")]
    assert methods[-1] == "DELETE"


def test_too_many_deletes_change_nothing(pair):
    write_all(pair)
    pair.up()
    for name in ("a", "b"):
        (pair.root / name).unlink()
    pair.write("new")

    with pytest.raises(TransferError, match="2 files would be deleted, more than max_delete=1"):
        pair.up(delete=True, max_delete=1)

    assert pair.store.texts() == FILES
    assert pair.up(delete=True, max_delete=2).deleted == 2


def test_nothing_is_deleted_if_a_folder_cannot_be_listed(pair, monkeypatch):
    write_all(pair)
    pair.up()
    scandir = os.scandir

    def denied(path):
        if os.fspath(path).endswith("/c"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(local_module.os, "scandir", denied)

    result = pair.up(delete=True)

    assert (result.failed, result.deleted, result.extra) == (1, 0, 3)
    assert isinstance(pair.errors()["c"], PermissionError)
    assert pair.store.texts() == FILES


def test_a_dry_run_changes_nothing(pair):
    write_all(pair)
    pair.up()
    pair.write("b", b"other")
    (pair.root / "a").unlink()

    result = pair.up(delete=True, dry_run=True)

    assert result.is_dry_run
    assert (result.copied, result.copied_bytes, result.deleted) == (1, 5, 1)
    assert pair.kinds() == {"a": "delete", "b": "copy"}
    assert not {"PUT", "DELETE", "MKCOL"} & {method for method, _ in pair.store.seen}
    result = pair.down(dry_run=True)
    assert result.copied == len(FILES)
    assert not pair.back.exists()


def test_what_is_excluded_is_neither_copied_nor_deleted(pair):
    write_all(pair)
    pair.up()
    pair.write("x.tmp")
    pair.store.put(b"c/y.tmp", b"y")
    pair.store.put(b"cache/z", b"z")
    if pair.store.webdav:
        pair.store.folders.add(b"cache")

    result = pair.up(delete=True, exclude=["*.tmp", "cache/"])

    assert (result.copied, result.deleted) == (0, 0)
    assert pair.store.files[b"c/y.tmp"] == b"y"


def test_a_file_becomes_a_folder_and_the_other_way_round(pair):
    write_all(pair, {"a": b"1", "b/c/d": b"2", "b/e": b"3"})
    pair.up()
    pair.down()
    for path in ("a", "b/c/d", "b/e"):
        (pair.root / path).unlink()
    (pair.root / "b/c").rmdir()
    (pair.root / "b").rmdir()
    write_all(pair, {"a/x/y": b"4", "b": b"5"})

    up = pair.up(delete=True)
    down = pair.down(delete=True)

    assert (up.failures, down.failures) == ((), ())
    assert pair.store.texts() == tree_of(pair.back) == {"a/x/y": b"4", "b": b"5"}
    assert (pair.up().copied, pair.down().copied) == (0, 0)


def test_what_is_in_the_way_is_reported_unless_deletes_are_wanted(pair):
    write_all(pair, {"a/b": b"1"})
    pair.up()
    pair.back.mkdir()
    (pair.back / "a").write_bytes(b"mine")

    result = pair.down()

    assert result.failed == 1
    assert str(pair.errors()["a/b"]).startswith("'a' is a file on the other side; it is deleted")
    assert (pair.back / "a").read_bytes() == b"mine"
    assert (pair.down(dry_run=True).failed, set(pair.errors())) == (1, {"a/b"})


def test_what_is_in_the_way_on_a_server_is_reported_as_well(pair):
    write_all(pair, {"a": b"1", "a-": b"2", "b/c": b"3", "d": b"4"})
    pair.up()
    for path in ("a", "b/c"):
        (pair.root / path).unlink()
    (pair.root / "b").rmdir()
    write_all(pair, {"a/x/y": b"5", "b": b"6"})

    for dry_run in (True, False):
        result = pair.up(dry_run=dry_run)
        assert (result.copied, result.failed, result.unchanged) == (0, 2, 2)
        errors = {path: str(exc) for path, exc in pair.errors().items()}
        assert errors["a/x/y"].startswith("'a' is a file on the other side; it is deleted only")
        assert errors["b"].startswith("a folder with files has this name on the other side")
        assert pair.store.asked("PUT") == []
    assert pair.up(delete=True).failed == 0


def test_a_local_folder_without_files_gives_way_to_a_file(pair):
    write_all(pair, {"a": b"1", "b": b"2"})
    pair.up()
    (pair.back / "a/deep/er").mkdir(parents=True)
    (pair.back / "b/deep").mkdir(parents=True)
    (pair.back / "b/link").symlink_to("deep")

    result = pair.down()

    assert (result.copied, result.failed) == (1, 1)
    assert isinstance(pair.errors()["b"], OSError)
    assert (pair.back / "a").read_bytes() == b"1"
    assert (pair.back / "b/link").is_symlink()


def test_what_a_killed_run_has_left_in_a_local_folder_goes_with_it(pair):
    """Or no later run could write the file that has the name of the folder now."""
    write_all(pair, {"a/b": b"1"})
    pair.up()
    pair.down()
    (pair.root / "a/b").unlink()
    (pair.root / "a").rmdir()
    write_all(pair, {"a": b"2"})
    pair.up(delete=True)
    (pair.back / "a/.dugong-0123456789abcdef").write_bytes(b"half")

    assert pair.down(delete=True).failures == ()
    assert tree_of(pair.back) == {"a": b"2"}


def test_a_local_folder_with_other_files_keeps_what_a_killed_run_has_left(pair):
    write_all(pair, {"a": b"1"})
    pair.up()
    (pair.back / "a").mkdir(parents=True)
    for name in (".dugong-0123456789abcdef", "mine"):
        (pair.back / "a" / name).write_bytes(b"2")

    assert pair.down().failed == 1
    assert sorted(path.name for path in (pair.back / "a").iterdir()) == [
        ".dugong-0123456789abcdef",
        "mine",
    ]


def test_a_folder_that_cannot_be_written_is_one_error(pair, monkeypatch):
    write_all(pair)
    pair.up()
    (pair.root / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        pair.client.sync(BASE, pair.root / "file/x", record=False)
    pair.back.mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(PermissionError, match=re.escape(str(pair.back))):
        pair.down()
    assert pair.store.asked("GET") in ([], [NAME])
    assert pair.down(dry_run=True).copied == len(FILES)


def rows_of(pair, way="up"):
    with Record(pair.record if way == "up" else pair.record.with_name("record-back")) as record:
        return list(record)


def test_a_dry_run_compares_what_has_to_be_compared(pair):
    write_all(pair)
    pair.up()
    pair.write("b", b"TEXT", OLD + 1)
    before = rows_of(pair)

    result = pair.up(dry_run=True, checksum=True)

    assert (result.copied, result.copied_bytes) == (1, 4)
    assert result.unchanged == len(FILES) - 1
    assert pair.kinds() == {"b": "copy"}
    assert rows_of(pair) == before
    assert pair.store.texts()["b"] == b"text"


def test_names_that_lead_out_of_the_folder_are_refused(pair):
    for path in (b"../evil", b"c/../../evil", b"good"):
        pair.store.put(path, b"x")
        pair.store.folders |= {b"..", b"c", b"c/..", b"c/../.."}
    if not pair.store.webdav:
        rows = '["../evil", 1, 0, "", null]\n["good", 1, 0, null, null]\n'
        text = f'{{"dugong-manifest": 1}}\n{rows}{{"files": 2}}\n'
        pair.store.put(NAME, text.encode())

    result = pair.down(delete=True)

    assert result.failed >= 1
    assert "leads out of the folder" in str(next(iter(pair.errors().values())))
    assert tree_of(pair.back) == {"good": b"x"}
    assert not (pair.back.parent / "evil").exists()


def test_nothing_is_written_or_deleted_through_links(pair, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"mine")
    write_all(pair, {"a/file": b"1", "b": b"2", "c": b"3"})
    pair.up()
    pair.back.mkdir()
    (pair.back / "a").symlink_to(outside)
    (pair.back / "b").symlink_to(outside / "file")

    result = pair.down(delete=True)

    assert (result.failed, result.copied) == (2, 1)
    assert (outside / "file").read_bytes() == b"mine"
    assert (pair.back / "b").is_symlink()


def test_links_and_special_files_are_left_out_or_followed(pair, tmp_path):
    write_all(pair, {"d/a": b"1"})
    (tmp_path / "other").write_bytes(b"other")
    os.utime(tmp_path / "other", ns=(OLD, OLD))
    (pair.root / "file").symlink_to(tmp_path / "other")
    (pair.root / "folder").symlink_to(pair.root / "d")
    (pair.root / "d" / "circle").symlink_to(pair.root)
    (pair.root / "nowhere").symlink_to("nothing")
    os.mkfifo(pair.root / "fifo")

    result = pair.up()
    assert (result.copied, result.skipped, result.failed) == (1, 5, 0)

    result = pair.up(links="follow")
    assert pair.store.texts()["file"] == b"other"
    assert pair.store.texts()["folder/a"] == b"1"
    assert result.skipped == 2
    assert result.failed >= 1, "a circle is reported"


def test_a_file_that_changes_while_it_is_read_is_sent_again(pair, monkeypatch):
    monkeypatch.setattr(run_module, "PAUSE", 0)
    write_all(pair, {"a": b"1", "large": LARGE})
    changes = [b"22", b"333"]
    real = local_module.SourceFile.check

    def check(file):
        if file.path == "a" and changes:
            pair.write("a", changes.pop(0))
        real(file)

    monkeypatch.setattr(local_module.SourceFile, "check", check)

    result = pair.up()

    assert result.failures == ()
    assert pair.store.texts() == {"a": b"333", "large": LARGE}
    assert pair.up().copied == 0


def test_a_file_that_never_rests_is_reported(pair, monkeypatch):
    monkeypatch.setattr(run_module, "PAUSE", 0)
    write_all(pair, {"a": b"1", "b": b"2"})
    real = local_module.SourceFile.check
    numbers = iter(range(1, 100))

    def check(file):
        if file.path == "a":
            pair.write("a", b"1", OLD + next(numbers))
        real(file)

    monkeypatch.setattr(local_module.SourceFile, "check", check)

    result = pair.up(delete=True)

    assert (result.failed, result.copied) == (1, 1)
    assert isinstance(pair.errors()["a"], ContentChanged)


def test_a_large_file_that_grows_or_shrinks_meanwhile_is_noticed(pair, monkeypatch):
    monkeypatch.setattr(run_module, "ATTEMPTS", 1)
    write_all(pair, {"large": LARGE})

    def progress(state):
        if state.phase == "copy" and state.bytes_done:
            with (pair.root / "large").open("ab") as file:
                file.write(b"more")

    result = pair.up(on_progress=progress)

    assert isinstance(pair.errors()["large"], ContentChanged)
    assert result.copied == 0


def test_a_new_file_rests_before_it_is_read(pair, monkeypatch):
    """Another change within the same tick of the clock would have the same time."""
    slept = []

    def co_sleep(seconds, reason):
        slept.append(seconds)
        return
        yield

    monkeypatch.setattr(run_module, "co_sleep", co_sleep)
    now = time.time_ns()
    monkeypatch.setattr(local_module.time, "time_ns", lambda: now)
    pair.write("fine", mtime_ns=now // 1000 * 1000 - 1_000_001)
    pair.write("coarse", mtime_ns=now // 10**9 * 10**9)
    pair.write("old", mtime_ns=now - 10**10)
    pair.write("future", mtime_ns=now + 10**12)

    pair.up()

    assert len(slept) == 2
    assert 0 < min(slept) < 0.02 < max(slept) <= 2


def test_a_file_that_vanishes_or_cannot_be_read_is_reported(pair, monkeypatch):
    write_all(pair, {"a": b"1", "b": b"2", "c": b"3"})
    real = os.open

    def open_(path, *args, **options):
        if os.fspath(path).endswith("/root/a"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        if os.fspath(path).endswith("/root/b"):
            raise FileNotFoundError(2, "No such file or directory", os.fspath(path))
        return real(path, *args, **options)

    monkeypatch.setattr(local_module.os, "open", open_)

    result = pair.up()

    assert (result.failed, result.copied) == (2, 1)
    assert {type(error) for error in pair.errors().values()} == {PermissionError, FileNotFoundError}


def test_after_a_kill_before_the_list_was_stored_nothing_is_sent_again(manifest):
    write_all(manifest)
    manifest.up()
    del manifest.store.files[NAME]  # as if it had been killed before

    result = manifest.up()

    assert (result.copied, result.unchanged) == (0, len(FILES))
    assert len(manifest.store.asked("HEAD")) == len(FILES)
    assert manifest.store.asked("PUT") == [NAME]
    assert manifest.down().copied == len(FILES)


def test_after_a_kill_what_was_not_recorded_is_sent_again(pair):
    write_all(pair)
    pair.up()
    with Record(pair.record) as record:
        record.remove("b")
        record.put("c/d", 65536, OLD + 2, '"another version"')
    pair.store.files.pop(NAME, None)

    result = pair.up()

    assert sorted(pair.store.asked("PUT"))[:2] == [b"b", b"c/d"]
    assert result.copied == 2


def test_what_killed_runs_have_left_is_used_or_removed(pair):
    write_all(pair, {"large": LARGE, "a/b": b"1"})
    pair.up()
    (pair.back / "a").mkdir(parents=True)
    for name in (".dugong-0123456789abcdef", "a/.dugong-0123456789abcdef.json"):
        (pair.back / name).write_bytes(b"left")
    (pair.back / ".dugong-other").write_bytes(b"of the user")

    result = pair.down()

    assert (result.failed, result.copied) == (0, 2)
    assert tree_of(pair.back) == {"large": LARGE, "a/b": b"1", ".dugong-other": b"of the user"}


STRAY = ".dugong-0123456789abcdef"


def test_names_of_temporary_files_are_left_out_and_counted(pair):
    kept = {"a": b"1", ".dugong-x": b"", f"c/{STRAY}/a": b"in a folder of that name"}
    write_all(pair, {**kept, STRAY: b"of the user", f"b/{STRAY}.json": b"also"})

    there = pair.up()

    assert (there.copied, there.skipped, there.failed) == (3, 2, 0)
    assert pair.store.texts() == kept
    assert pair.down().copied == 3
    assert tree_of(pair.back) == kept
    assert pair.down().unchanged == 3


def test_a_link_to_a_folder_may_have_such_a_name_where_links_are_followed(pair):
    """Else what the server has of the folder would be deleted."""
    write_all(pair, {f"{STRAY}/a": b"1"})
    pair.up()
    (pair.root / STRAY).rename(pair.root.parent / "moved")
    (pair.root / STRAY).symlink_to("../moved")

    result = pair.up(delete=True, links="follow")

    assert (result.unchanged, result.deleted, result.skipped) == (1, 0, 0)
    assert pair.store.texts() == {f"{STRAY}/a": b"1"}


def test_an_empty_folder_is_one_that_can_be_restored(pair):
    url = f"{BASE}empty/"
    assert pair.up(target=url, dry_run=True).failed == 0
    with pytest.raises(StatusError, match="404"):
        pair.down(url)

    for _ in range(2):
        result = pair.up(target=url)
        assert (result.copied, result.failed) == (0, 0)
    assert pair.store.asked("PUT") == pair.store.asked("MKCOL") == []  # it is there by now
    back = pair.down(url)

    assert (back.copied, back.failed) == (0, 0)
    assert pair.back.is_dir()


def test_no_list_of_no_files_is_stored_after_a_failure(pair):
    """Who restores it with --delete would lose what could not be sent."""
    write_all(pair, {"a": b"1"})
    pair.store.by.append(
        lambda seen, path: answer_of(403) if (seen.method, path) == ("PUT", b"a") else None
    )

    assert pair.up().failed == 1

    assert NAME not in pair.store.files


def test_a_large_file_goes_on_where_it_stopped(pair):
    write_all(pair, {"large": LARGE})
    pair.up()

    def stop(state):
        if state.bytes_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pair.down(on_progress=stop)
    left = {path.name for path in pair.back.iterdir()}
    result = pair.down()

    assert len(left) == 2
    assert all(name.startswith(".dugong-") for name in left)
    assert result.copied == 1
    assert tree_of(pair.back) == {"large": LARGE}


def test_files_arrive_whole_or_not_at_all(pair):
    write_all(pair, {"a": b"new", "large": LARGE})
    pair.up()
    pair.back.mkdir()
    (pair.back / "a").write_bytes(b"old!")
    (pair.back / "large").write_bytes(b"old!")
    pair.store.by.append(
        lambda seen, path: answer_of(500) if seen.method == "GET" and path in (b"a", b"large")
        else None
    )  # fmt: skip

    result = pair.down()

    assert result.failed == 2
    assert tree_of(pair.back) == {"a": b"old!", "large": b"old!"}
    pair.store.by.clear()
    assert pair.down().copied == 2


def test_hard_links_keep_the_old_bytes_and_permissions_stay(pair):
    write_all(pair, {"a": b"new", "large": LARGE})
    pair.up()
    pair.back.mkdir()
    for name in ("a", "large"):
        (pair.back / name).write_bytes(b"old!")
        (pair.back / name).chmod(0o640)
        (pair.back.parent / f"{name}.snapshot").hardlink_to(pair.back / name)

    pair.down()

    for name, data in (("a", b"new"), ("large", LARGE)):
        assert (pair.back / name).read_bytes() == data
        assert (pair.back.parent / f"{name}.snapshot").read_bytes() == b"old!"
        assert stat.S_IMODE((pair.back / name).stat().st_mode) == 0o640


@pytest.mark.skipif(not hasattr(os, "fchown"), reason="a file has no owner")
def test_files_that_have_to_be_overwritten_have_the_times_of_the_source(manifest, monkeypatch):
    """They belong to another user, say: their bytes are copied into them."""

    def fail(*_):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    write_all(manifest, {"a": b"new", "large": LARGE})
    manifest.up()
    manifest.back.mkdir()
    numbers = {}
    for name in ("a", "large"):
        (manifest.back / name).write_bytes(b"old!")
        numbers[name] = (manifest.back / name).stat().st_ino
    monkeypatch.setattr(os, "fchown", fail)

    assert manifest.down().copied == 2

    for name, number in numbers.items():
        here, there = (manifest.root / name).stat(), (manifest.back / name).stat()
        assert there.st_ino == number
        assert there.st_mtime_ns == here.st_mtime_ns
    assert manifest.down().unchanged == 2


def test_digests_are_compared_if_asked_for(pair):
    write_all(pair)
    pair.up(checksum=True)
    pair.down()
    status = (pair.root / "b").stat()
    (pair.root / "b").write_bytes(b"TEXT")
    os.utime(pair.root / "b", ns=(status.st_mtime_ns, status.st_mtime_ns))
    (pair.back / "c/d").write_bytes(b"x" * 65536)
    (pair.back / "a").touch()

    assert pair.up().copied == 0, "neither the size nor the time has changed"
    result = pair.up(checksum=True)
    assert (result.copied, result.unchanged) == (1, len(FILES) - 1)
    assert pair.store.files[b"b"] == b"TEXT"
    result = pair.down(checksum=True)
    assert (result.copied, result.unchanged) == (2, len(FILES) - 2)
    assert tree_of(pair.back) == {**FILES, "b": b"TEXT"}


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_new_file_that_is_equal_is_not_recorded_yet(pair, way, monkeypatch):
    """It may change once more without another time."""
    pair.write("a", b"1234")
    pair.up()
    pair.down()
    (pair.back if way == "down" else pair.root).joinpath("a").touch()
    rest = [1.0]
    monkeypatch.setattr(run_module, "seconds_to_rest", lambda _: rest[0])
    sync = getattr(pair, way)

    before = rows_of(pair, way)
    assert sync(checksum=True).unchanged == 1
    assert (rows_of(pair, way), pair.store.asked("PUT")) == (before, [])
    rest[0] = 0.0
    assert sync(checksum=True).unchanged == 1
    assert rows_of(pair, way) != before


def test_without_digests_on_the_server_the_bytes_are_compared(pair):
    write_all(pair)
    pair.up()
    pair.store.put(b"b", b"TEXT")

    result = pair.up(checksum=True, record=False)

    assert (result.copied, result.unchanged) == (1, len(FILES) - 1)
    assert pair.store.texts() == FILES


def test_only_what_was_done_is_told(pair):
    write_all(pair)
    pair.up(verify=True)
    assert [step.path for step in pair.steps].count("b") == 1, "not once more when it is verified"

    pair.store.put(b"b", b"TEXT")
    pair.up(checksum=True, record=False)
    if pair.store.webdav:  # otherwise the list has digests of nothing that others have stored
        assert [(*step[:2], step.reason) for step in pair.steps] == [("copy", "b", "other bytes")]
    pair.up(checksum=True)
    assert pair.steps == []


def test_a_file_of_another_client_with_the_same_tag_is_replaced(manifest):
    """Tags of size and second, as those of nginx: both have stored it within a second."""

    def answer(seen, path):
        if path != b"a":
            return None
        if seen.method == "PUT":
            manifest.store.put(path, seen.body)
            return answer_of(201)
        return _head_of('ETag: "same"', manifest.store.files[path])

    manifest.store.by.append(answer)
    write_all(manifest, {"a": b"mine"})
    manifest.up()
    mine = manifest.record
    manifest.write("a", b"your", OLD + 5 * 10**9)
    manifest.up(record=mine.with_name("other"))
    manifest.write("a", b"mine", OLD)

    assert manifest.up(record=mine).copied == 1
    assert manifest.store.files[b"a"] == b"mine"
    assert manifest.up(record=mine).unchanged == 1


def _head_of(field, data):
    return f"HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: {len(data)}\r\n\r\n".encode()


def test_what_an_earlier_run_has_sent_is_not_told(manifest):
    write_all(manifest)
    manifest.up()
    del manifest.store.files[NAME]  # as if it had been killed before

    assert manifest.up().unchanged == len(FILES)
    assert manifest.steps == []


def test_without_a_source_nothing_is_asked_of_the_server(pair):
    with pytest.raises(FileNotFoundError):
        pair.client.sync(pair.root / "nothing", BASE, record=False)
    assert {method for method, _ in pair.store.seen} <= {"OPTIONS"}


def test_what_was_copied_is_read_back_if_asked_for(pair):
    write_all(pair)
    assert pair.up(verify=True).verified == len(FILES)
    assert pair.down(verify=True).verified == len(FILES)

    pair.write("b", b"TEXT", OLD + 999)
    pair.store.by.append(
        lambda seen, path: (
            answer_of(200, 'ETag: "x"', body=b"TEXt")
            if (seen.method, path) == ("GET", b"b")
            else None
        )
    )
    result = pair.up(verify=True)
    assert (result.copied, result.verified, result.failed) == (1, 0, 1)
    assert isinstance(pair.errors()["b"], DigestMismatch)
    pair.store.by.clear()
    assert pair.up().copied == 1, "it is not taken for unchanged"
    assert pair.up().copied == 0


@pytest.mark.parametrize("etags", [True, False])
def test_what_was_found_damaged_is_repaired_by_the_next_run(pair, etags):
    pair.store.etags = etags
    damaged = pair.store.put

    def damage(seen, path):
        if (seen.method, path) != ("PUT", b"b"):
            return None
        damaged(path, b"TEXT")
        return answer_of(201, *pair.store._fields(path))

    write_all(pair)
    pair.store.by.append(damage)
    result = pair.up(verify=True)
    assert (result.verified, result.failed, pair.store.files[b"b"]) == (len(FILES) - 1, 1, b"TEXT")
    assert b'"b"' not in pair.store.files.get(NAME, b"")

    pair.store.by.clear()
    assert (pair.up().copied, pair.store.files[b"b"]) == (1, b"text")
    assert pair.up().unchanged == len(FILES)


def test_what_was_found_damaged_here_is_received_again(pair):
    write_all(pair)
    pair.up()
    received = []

    def damage(seen, path):
        if (seen.method, path) != ("GET", b"b"):
            return None
        received.append(path)
        data = b"TEXT" if len(received) == 1 else b"text"
        return answer_of(200, *pair.store._fields(path), body=data)

    pair.store.by.append(damage)
    result = pair.down(verify=True)
    assert (result.verified, result.failed) == (len(FILES) - 1, 1)

    assert (pair.down().copied, tree_of(pair.back)) == (1, FILES)
    assert pair.down().unchanged == len(FILES)


def test_a_list_whose_files_are_others_is_noticed(manifest):
    write_all(manifest, {"a": b"1", "large": LARGE, "same": b"12"})
    manifest.up(checksum=True)
    manifest.store.files[b"a"] = b"22"
    manifest.store.files[b"large"] = LARGE[::-1]
    manifest.store.put(b"same", b"21")

    manifest.down()

    errors = {path: type(error) for path, error in manifest.errors().items()}
    assert errors == {"a": ContentChanged, "large": DigestMismatch, "same": ContentChanged}
    assert tree_of(manifest.back) == {}


def test_another_version_than_the_listed_one_replaces_nothing(manifest):
    write_all(manifest, {"large": LARGE})
    manifest.up()
    manifest.back.mkdir()
    (manifest.back / "large").write_bytes(b"good")
    manifest.store.put(b"large", LARGE[::-1])

    assert manifest.down().failed == 1
    assert isinstance(manifest.errors()["large"], ContentChanged)
    assert (manifest.back / "large").read_bytes() == b"good"

    manifest.store.files[b"large"], manifest.store.versions[b"large"] = LARGE, 1
    assert manifest.down().copied == 1
    assert tree_of(manifest.back) == {"large": LARGE}


def test_two_uploads_do_not_mix_their_lists(manifest):
    write_all(manifest, {"a": b"1"})
    manifest.up()
    manifest.write("b", b"2")

    def meanwhile(seen, path):
        if (seen.method, path) == ("PUT", b"b"):
            manifest.store.put(NAME, b"of another run")

    manifest.store.by.append(meanwhile)

    with pytest.raises(StatusError, match="another run has changed the list of files"):
        manifest.up()


def test_a_network_that_fails_ends_the_run(pair):
    """The server is gone after some files: the others are not tried one by one."""
    write_all(pair, {f"{number:03}": b"x" for number in range(200)})
    pair.client = pair.store.client(retry=Retry(0))
    site = pair.store.site
    connect, attempts = site.co_connect_tcp, []

    def co_refused(host, port):
        attempts.append(host)
        raise ConnectFailed("connection refused")
        yield

    def end(seen, path):
        if seen.method == "PUT" and len(pair.store.asked("PUT")) > 20:
            site.co_connect_tcp = co_refused
            return (b"HTTP/1.1 2",)  # and the connection is closed
        return None

    pair.store.by.append(end)

    with pytest.raises(ConnectFailed):
        pair.up(jobs=1)

    assert len(attempts) < 60
    pair.store.by.clear()
    site.co_connect_tcp = connect
    result = pair.up()
    assert result.copied + result.unchanged == 200
    assert result.copied <= 180
    assert len(pair.store.texts()) == 200


def test_only_one_run_at_a_time(pair):
    write_all(pair, {"a": b"1"})
    errors = []

    def second(state):
        if state.phase == "copy" and not errors:
            with pytest.raises(PartInUse) as caught:
                pair.store.client().sync(pair.root, BASE, record=pair.record)
            errors.append(caught.value)

    pair.up(on_progress=second)

    assert len(errors) == 1
    assert pair.up().unchanged == 1


def test_time_is_up(pair):
    write_all(pair, {"a": b"1"})
    pair.store.site._answer = lambda seen: None  # for ever

    with pytest.raises(DeadlineExceeded, match="not complete within 0.05 s"):
        pair.up(total=0.05)


def test_the_folder_to_copy_has_to_exist(pair):
    with pytest.raises(FileNotFoundError):
        pair.client.sync(pair.root / "nothing", BASE, record=False, delete=True)
    (pair.root / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        pair.client.sync(pair.root / "file", BASE, record=False)
    with pytest.raises(StatusError):
        pair.client.sync("http://example.org/files/none/", pair.back, record=False, delete=True)
    assert not pair.back.exists()


def test_progress_counts_each_byte_once(pair):
    write_all(pair)
    seen = []

    pair.up(on_progress=seen.append)

    assert seen[0].phase == "list"
    last = [state for state in seen if state.phase == "copy"][-1]
    size = sum(map(len, FILES.values()))
    assert (last.files, last.done, last.failed) == (len(FILES), len(FILES), 0)
    assert (last.bytes, last.bytes_done) == (size, size)
    assert all(state.bytes_done <= state.bytes for state in seen)


def test_a_rate_limit_holds(pair):
    write_all(pair, {"a": b"x" * 1000, "large": LARGE})
    rate = RateLimit(1e9)
    pair.up(rate=rate)
    pair.down(rate=rate)

    assert tree_of(pair.back) == {"a": b"x" * 1000, "large": LARGE}


@pytest.mark.parametrize("way", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_a_coroutine_does_the_same(pair, way):
    write_all(pair)

    async def main():
        async with AsyncClient(client=pair.client) as client:
            return await client.sync(pair.root, BASE, record=pair.record)

    result = way(main) if way is trio.run else way(main())

    assert result.copied == len(FILES)


def test_a_loop_runs_it_as_an_operation(pair):
    write_all(pair)

    with Loop() as loop:
        result = loop.run(pair.client.co_sync(pair.root, BASE, record=pair.record))

    assert result.copied == len(FILES)


def test_an_operation_that_is_given_up_unlocks_the_record(pair):
    write_all(pair)
    going = pair.client.co_sync(pair.root, BASE, record=pair.record)
    next(going, None)
    going.close()

    assert pair.up().failures == ()
    assert pair.store.texts() == FILES


REDIRECTS = [301, 302, 303, 307, 308]


def test_a_page_to_which_a_redirect_leads_is_no_success(pair):
    """Such as one to log in, which answers everything with 200 and has an ETag."""
    pair.write("old", b"x" * 18)
    pair.up()
    (pair.root / "old").unlink()
    pair.write("d/small", b"x" * 18)
    pair.write("large", b"x" * 100_000)
    wrong = []
    for status in REDIRECTS:

        def answer(seen, path, status=status):
            if path == b"login":
                body = b"" if seen.method == "HEAD" else b"<html>login</html>"
                return answer_of(200, 'ETag: "page"', body=body)
            if seen.method in ("PUT", "MKCOL") and not path.endswith(b".jsonl"):
                return answer_of(status, "Location: /files/login")
            return None

        pair.store.by[:] = [answer]
        result = pair.up()
        if (result.copied, result.failed) != (0, 2):
            wrong.append((status, result))

    assert wrong == []
    assert pair.store.texts() == {"old": b"x" * 18}
    pair.store.by.clear()
    assert pair.up().copied == 2


def test_a_delete_that_leads_to_a_page_deletes_nothing(pair):
    pair.write("a")
    pair.up()
    (pair.root / "a").unlink()

    def answer(seen, path):
        if seen.method == "DELETE":
            return answer_of(303, "Location: /files/login")
        return answer_of(200, body=b"page") if path == b"login" else None

    pair.store.by.append(answer)
    result = pair.up(delete=True)

    assert (result.deleted, result.failed) == (0, 1)
    assert "the server answered 303: that leads to a page" in str(pair.errors()["a"])


def test_a_file_that_a_redirect_sends_elsewhere_is_looked_at(pair):
    """The tag of the answer may be that of another resource."""
    pair.write("a")

    def answer(seen, path):
        if seen.method == "PUT" and path == b"a":
            return answer_of(307, "Location: /files/node/a")
        if seen.method == "PUT" and path == b"node/a":
            pair.store.put(b"a", seen.body)
            return answer_of(201, 'ETag: "of the node"')
        return None

    pair.store.by.append(answer)

    assert pair.up().copied == 1
    assert pair.store.asked("HEAD") == [b"a"]
    assert pair.up().unchanged == 1
    assert (pair.down().copied, pair.down().unchanged) == (1, 1)


def test_a_record_in_the_folder_is_left_alone(pair):
    pair.write("a")
    record = pair.root / "state" / "record"

    assert pair.up(record=record).copied == 1
    assert pair.up(record=record).unchanged == 1
    assert pair.store.texts() == {"a": b"data"}
    pair.store.put(b"state/record", b"hostile")
    pair.store.folders.add(b"state")
    target = {"target": pair.root, "delete": True, "record": record}
    assert pair.down(**target).failed == 0
    assert pair.down(**target).unchanged == 1
    assert pair.up(record=record).unchanged == 1
