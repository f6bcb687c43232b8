"""The list of files that is kept on a server without WebDAV."""

import json
import sqlite3
from contextlib import closing

import pytest
from kit.sites import answer_of
from kit.sync_pair import tree_of

from dugong_like import StatusError, TransferError
from dugong_like.client.sync.manifest import NAME, Lines
from dugong_like.client.sync.record import Record
from dugong_like.client.sync.tree import Facts, Tree

ROWS = [
    ("a", Facts(5, 123456789, '"1"', b"\x01" * 32)),
    ("b\n\udcff", Facts(0)),
    ("ä/ö", Facts(1 << 40, -5, "time Sat", None)),
]
FIRST, LAST = b'{"dugong-manifest": 1}\n', b'{"files": 3}\n'
TEXT = (
    FIRST
    + b"".join(
        json.dumps([path, size, mtime, tag, digest and digest.hex()]).encode() + b"\n"
        for path, (size, mtime, tag, digest) in ROWS
    )
    + LAST
)


def read(*pieces):
    found = []
    lines = Lines(lambda path, facts: found.append((path, facts)))
    for piece in pieces:
        lines.add(piece)
    lines.end()
    return found


def test_the_result_does_not_depend_on_where_the_network_cuts():
    for cut in range(len(TEXT) + 1):
        assert read(TEXT[:cut], TEXT[cut:]) == ROWS


ROW = b'["a", 1, null, null, null]\n'


BAD = [
    *(TEXT[:end] for end in range(len(TEXT))),
    TEXT + b"x",
    TEXT + ROW,
    TEXT + TEXT,
    FIRST + ROW + LAST,
    b'{"dugong-manifest": 2}\n{"files": 0}\n',
    b"[]\n",
    b"<html>\n",
    FIRST + b"nonsense\n",
    FIRST + b"[" * 100_000 + b"\n",
    FIRST + b"x" * 100_000,
    *(
        FIRST + row + b'\n{"files": 1}\n'
        for row in (
            b'["a", 1]',
            b"[1, 1, null, null, null]",
            b'["a", "1", null, null, null]',
            b'["a", true, null, null, null]',
            b'["a", 1.5, null, null, null]',
            b'["a", 1, "x", null, null]',
            b'["a", 1, 99999999999999999999999, null, null]',
            b'["a", 1, null, 5, null]',
            b'["a", 1, null, "\\ud800", null]',
            b'["a", 1, null, null, "xx"]',
            b'["a", 1, null, null, 5]',
            b'["a", 1, null, null, "00"]',
        )
    ),
]


def test_a_list_that_is_not_valid_is_refused():
    accepted = []
    for text in BAD:
        try:
            accepted.append((text[-60:], read(text)))
        except TransferError as exc:
            assert "not a valid list of files" in str(exc)

    assert accepted == []


def test_a_list_that_is_not_valid_stops_a_run(manifest):
    manifest.store.put(NAME.encode(), TEXT[:-5])
    manifest.write("a")

    with pytest.raises(TransferError, match="not a valid list"):
        manifest.up(delete=True)

    assert manifest.store.asked("PUT") == []


def test_a_server_that_refuses_the_list_stops_a_run(manifest):
    manifest.store.by.append(lambda seen, path: answer_of(403) if path == NAME.encode() else None)
    manifest.write("a")

    with pytest.raises(StatusError, match="403 for the list of files"):
        manifest.up(delete=True)


def test_the_list_is_ordered_and_not_stored_without_a_change(manifest):
    for path in ("b", "a/z", "ä"):
        manifest.write(path)
    manifest.up()

    lines = manifest.store.files[NAME.encode()].decode().splitlines()
    paths = [json.loads(line)[0] for line in lines[1:-1]]
    assert paths == ["a/z", "b", "ä"]
    assert json.loads(lines[0]) == {"dugong-manifest": 1}
    assert json.loads(lines[-1]) == {"files": 3}
    manifest.up()
    assert manifest.store.asked("PUT") == []


def test_what_is_excluded_stays_in_the_list(manifest):
    manifest.write("a.tmp")
    manifest.write("b")
    manifest.up()
    manifest.write("b", b"other")

    manifest.up(exclude=["*.tmp"], delete=True)

    assert b'"a.tmp"' in manifest.store.files[NAME.encode()]


def test_the_tag_is_asked_for_if_the_answer_to_put_has_none(manifest):
    manifest.store.by.append(lambda seen, path: _without_tag(manifest.store, seen, path))
    manifest.write("a")

    assert manifest.up().copied == 1
    assert manifest.store.asked("HEAD") == [b"a"]
    del manifest.store.files[NAME.encode()]
    assert manifest.up().copied == 0


def test_a_server_that_stores_something_else_is_noticed(manifest):
    def cut(seen, path):
        if seen.method == "PUT" and path == b"a":
            manifest.store.put(path, seen.body[:-1])
            return answer_of(201)
        return None

    manifest.store.by.append(cut)
    manifest.write("a")

    result = manifest.up()

    assert result.failed == 1
    assert "does not have what was sent" in str(manifest.errors()["a"])


def _without_tag(store, seen, path):
    if seen.method == "PUT":
        store.put(path, seen.body)
        return answer_of(201)
    return None


def test_messages_name_the_folder_that_is_missing(manifest):
    with pytest.raises(StatusError, match="404 for the list of files: nothing was uploaded there"):
        manifest.down()
    manifest.store.by.append(lambda seen, path: answer_of(409) if seen.method == "PUT" else None)
    manifest.write("a/b")

    assert manifest.up().failed == 1
    assert "409: there is no such folder, or something else" in str(manifest.errors()["a/b"])


# ---- servers whose answer to PUT has no tag, and whose files have times of another clock


class Dated:
    """A server whose files have the times in `times`, and tags of them; PUT is answered by Date."""

    def __init__(self, store):
        self.store = store
        self.times = {}
        store.by.append(self.answer)

    def answer(self, seen, path):
        store = self.store
        if path == NAME.encode():
            return None
        if seen.method == "PUT":
            store.put(path, seen.body)
            return answer_of(201, f"Date: {_http_date(30)}")
        if seen.method not in {"GET", "HEAD"} or path not in store.files:
            return None
        second = self.times.get(path, 30)
        fields = [f'ETag: "{second}"', f"Last-Modified: {_http_date(second)}"]
        if seen.method == "GET":
            return answer_of(200, *fields, body=store.files[path])
        lines = "".join(f"{field}\r\n" for field in fields)
        size = len(store.files[path])
        return f"HTTP/1.1 200 OK\r\n{lines}Content-Length: {size}\r\n\r\n".encode()


def _http_date(seconds):
    return f"Sat, 01 Jan 2022 00:00:{seconds:02} GMT"


@pytest.fixture
def dated(manifest):
    server = Dated(manifest.store)
    for number in range(80):
        manifest.write(f"{number:02}", b"%02d" % number)
    server.times = {b"40": 59, b"41": 1}  # a clock that is ahead of that of Date, or behind it
    return server


def test_each_file_is_looked_at_if_the_answer_to_put_has_only_a_date(manifest, dated):
    assert manifest.up(jobs=1).copied == 80
    assert len(manifest.store.asked("HEAD")) == 80

    assert manifest.up().unchanged == 80
    down = manifest.down()
    assert (down.copied, down.failed) == (80, 0)
    assert manifest.down().unchanged == 80
    assert manifest.store.asked("GET") == [NAME.encode()]


def test_a_file_that_was_stored_a_second_later_or_before_is_another_version(manifest, dated):
    manifest.up(jobs=1)
    dated.times |= {b"20": 31, b"50": 29}

    result = manifest.down()

    assert result.failed == 2
    assert set(manifest.errors()) == {"20", "50"}
    assert "another version than its list says" in str(manifest.errors()["50"])


def test_after_a_kill_only_files_with_their_tags_are_not_sent_again(manifest, dated):
    manifest.up(jobs=1)
    del manifest.store.files[NAME.encode()]
    dated.times |= {b"20": 31, b"50": 29}

    result = manifest.up()

    assert (result.copied, result.unchanged) == (2, 78)
    assert sorted(manifest.store.asked("PUT")) == [b"20", b"50", NAME.encode()]
    assert manifest.up().unchanged == 80


def test_a_file_that_has_the_name_of_the_list_is_reported(manifest):
    """It would be replaced by the list."""
    manifest.write(NAME)
    manifest.write(f"d/{NAME}")

    result = manifest.up()
    assert (result.copied, result.failed) == (1, 1)
    assert "leave it out (--exclude)" in str(manifest.errors()[NAME])
    result = manifest.up(exclude=[f"/{NAME}"], delete=True)
    assert (result.unchanged, result.deleted, result.failed) == (1, 0, 0)
    assert manifest.down(delete=True).copied == 1
    assert sorted(tree_of(manifest.back)) == [f"d/{NAME}"]


def test_a_list_that_lists_itself_is_neither_received_nor_deleted(manifest):
    manifest.write("a")
    manifest.up()
    lines = manifest.store.files[NAME.encode()].splitlines(keepends=True)
    lines[1:] = [lines[1], json.dumps([NAME, 1, 1, None, None]).encode() + b"\n", b'{"files": 2}\n']
    manifest.store.put(NAME.encode(), b"".join(lines))

    assert manifest.down().copied == 1
    manifest.write("b")
    assert manifest.up(delete=True).deleted == 0
    assert manifest.down().copied == 1
    assert sorted(tree_of(manifest.back)) == ["a", "b"]


@pytest.mark.parametrize("mtime_ns", [1 << 62, (1 << 63) - 1, 1 << 63, -(1 << 63) - 1, 16 * 10**18])
def test_times_of_all_centuries_are_kept(manifest, mtime_ns):
    """A column of SQLite has 64 bits, which end in 2262; file systems have other limits."""
    manifest.write("a", b"1")
    with Record(None) as record:
        record.put("a", 1, mtime_ns, "x")
        assert record.get("a").mtime_ns == mtime_ns
        assert [row.mtime_ns for row in record] == [mtime_ns]
    with closing(sqlite3.connect(":memory:")) as database:
        tree = Tree(database, "here")
        tree.add("a", Facts(1, mtime_ns))
        assert tree.get("a").mtime_ns == mtime_ns
        assert [item.facts.mtime_ns for item in tree] == [mtime_ns]
    found = {}
    lines = Lines(found.__setitem__)
    lines.add(FIRST + json.dumps(["a", 1, mtime_ns, None, None]).encode() + b'\n{"files": 1}\n')
    lines.end()
    assert found["a"].mtime_ns == mtime_ns


def test_a_file_of_a_far_time_is_copied_and_unchanged_afterwards(pair):
    for number, seconds in enumerate([-(10**9), -1, 0, 4_300_000_000, 13_600_000_000]):
        pair.write(str(number), b"1", seconds * 10**9)
    if (pair.root / "4").stat().st_mtime < 10**10:
        pytest.skip("the file system has no such times")

    assert pair.up().copied == 5
    assert pair.up().unchanged == 5
    assert pair.down().copied == 5
    assert pair.down().unchanged == 5
    if not pair.store.webdav:
        times = {path.name: path.stat().st_mtime_ns for path in pair.root.iterdir()}
        assert {path.name: path.stat().st_mtime_ns for path in pair.back.iterdir()} == times
