"""``-c``: which part is used, which is not, and what is left of it."""

import json
import os
import sys
from pathlib import Path

import pytest
from kit.support import ScriptedServer, read_head

from dugong_like.__main__ import main
from dugong_like.cli.outcome import CommandFailed
from dugong_like.cli.resuming import (
    Part,
    open_part,
    rest_begins_at,
    strong_validator,
    whole_size,
)

BODY = bytes(range(256)) * 1000
NEW = bytes(256_000)
DATE = "Tue, 15 Nov 1994 08:12:31 GMT"
LONG_BEFORE = "Tue, 15 Nov 1994 08:11:31 GMT"
JUST_BEFORE = "Tue, 15 Nov 1994 08:11:32 GMT"


class Fields(dict):
    """A response that has these fields."""

    def field(self, name):
        return self.get(name)


@pytest.mark.parametrize(
    ("fields", "validator"),
    [
        ({"etag": '"1"'}, '"1"'),
        ({"etag": '""'}, '""'),
        ({"etag": 'W/"1"'}, None),
        ({"etag": "1"}, None),
        ({"etag": '"1", "2"'}, None),
        ({"etag": 'W/"1"', "last-modified": LONG_BEFORE, "date": DATE}, None),
        ({"last-modified": LONG_BEFORE, "date": DATE}, LONG_BEFORE),
        ({"last-modified": JUST_BEFORE, "date": DATE}, None),
        ({"last-modified": DATE, "date": LONG_BEFORE}, None),
        ({"last-modified": LONG_BEFORE}, None),
        ({"last-modified": "yesterday", "date": DATE}, None),
        ({}, None),
    ],
)
def test_only_a_strong_validator_is_one(fields, validator):
    assert strong_validator(Fields(fields), 800_000_000) == validator


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("bytes 5-9/10", (5, 10)),
        ("bytes 5-9/*", (5, None)),
        ("bytes 0-0/1", (0, 1)),
        ("bytes 9-5/10", None),
        ("bytes */10", None),
        ("items 5-9/10", None),
        ("bytes 5-/10", None),
        ("bytes 5-99999999999999999999/10", None),
        ("", None),
        (None, None),
    ],
)
def test_a_part_has_to_say_which_it_is(value, place):
    response = Fields({} if value is None else {"content-range": value})
    if place is None:
        with pytest.raises(CommandFailed):
            rest_begins_at(response)
    else:
        assert rest_begins_at(response) == place


@pytest.mark.parametrize(
    ("value", "size"),
    [("bytes */10", 10), ("bytes 0-9/10", None), ("bytes */*", None), (None, None)],
)
def test_the_size_is_that_of_a_range_that_cannot_be_satisfied(value, size):
    assert whole_size(Fields({} if value is None else {"content-range": value})) == size


# ---- against servers


class Ranges:
    """A server of one file, which may be cut off, and what it was asked for.

    Attributes:
        body: the bytes.
        etag: of these.
        cut: bytes after which the connection ends; None for all.
        asked: Range and If-Range of each request.

    """

    def __init__(self, body=BODY, etag='"1"', cut=None):
        self.body, self.etag, self.cut = body, etag, cut
        self.asked = []
        self.override = None

    def __call__(self, sock):
        while head := read_head(sock):
            lines = head.decode("latin-1").split("\r\n")[1:]
            fields = {name.lower(): value.strip() for name, _, value in
                      (line.partition(":") for line in lines)}  # fmt: skip
            self.asked.append((fields.get("range"), fields.get("if-range")))
            if self.override is not None and fields.get("range"):
                sock.sendall(self.override)
                continue
            if not self._answer(sock, fields):
                return

    def _answer(self, sock, fields):
        body, status, more = self.body, "200 OK", ""
        if fields.get("range") and fields.get("if-range") == self.etag:
            first = int(fields["range"].removeprefix("bytes=").rstrip("-"))
            if first >= len(body):
                more = f"Content-Range: bytes */{len(body)}\r\n"
                sock.sendall(f"HTTP/1.1 416 No\r\n{more}Content-Length: 0\r\n\r\n".encode())
                return True
            more = f"Content-Range: bytes {first}-{len(body) - 1}/{len(body)}\r\n"
            body, status = body[first:], "206 Partial Content"
        tag = "" if self.etag is None else f"ETag: {self.etag}\r\n"
        length = f"Content-Length: {len(body)}\r\n"
        sock.sendall(f"HTTP/1.1 {status}\r\n{tag}{more}{length}\r\n".encode() + body[: self.cut])
        return self.cut is None


@pytest.fixture
def download(tmp_path, monkeypatch):
    """Return a function that downloads with -c, always from the same URL."""
    monkeypatch.chdir(tmp_path)
    sites = []

    def current(sock):
        sites[-1](sock)

    with ScriptedServer(current) as server:

        def run(site, *options):
            sites.append(site)
            url = f"http://127.0.0.1:{server.port}/x"
            return main(["get", "-c", "-o", "file", url, *options])

        yield run


def interrupted(download, site):
    """Download a part, and check that it is kept."""
    site.cut = 100_000
    assert download(site) == 1
    site.cut = None
    site.asked.clear()
    assert Path("file.part").read_bytes() == site.body[:100_000]


def test_a_download_goes_on_where_it_ended(download, tmp_path, capfd):
    site = Ranges()
    (tmp_path / "file").write_text("old")
    interrupted(download, site)
    assert (tmp_path / "file").read_text() == "old"

    assert download(site) == 0
    assert site.asked == [("bytes=100000-", '"1"')]
    assert (tmp_path / "file").read_bytes() == BODY
    assert os.listdir(tmp_path) == ["file"]


def test_another_version_begins_anew(download, tmp_path, capfd):
    site = Ranges()
    interrupted(download, site)
    site.body, site.etag = NEW, '"2"'

    assert download(site) == 0
    assert site.asked == [("bytes=100000-", '"1"')]
    assert (tmp_path / "file").read_bytes() == NEW
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_a_part_of_an_unknown_version_is_not_used(download, tmp_path, etag, capfd):
    site = Ranges(etag=etag)
    interrupted(download, site)

    assert download(site) == 0
    assert site.asked == [(None, None)]
    assert (tmp_path / "file").read_bytes() == BODY


NOTES = ["", "{", "[]", "{}", '{"url": 1, "validator": "x"}', '{"url": "", "validator": "\\"1\\""}']


@pytest.mark.parametrize("note", NOTES)
def test_a_damaged_note_makes_a_part_useless(download, tmp_path, note, capfd):
    site = Ranges()
    interrupted(download, site)
    (tmp_path / "file.part.json").write_text(note)

    assert download(site) == 0
    assert site.asked == [(None, None)]
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_part_that_is_complete_is_asked_about(download, tmp_path, capfd):
    site = Ranges()
    interrupted(download, site)
    (tmp_path / "file.part").write_bytes(BODY)

    assert download(site) == 0
    assert site.asked == [("bytes=256000-", '"1"')]
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_part_that_is_too_long_begins_anew(download, tmp_path, capfd):
    site = Ranges()
    interrupted(download, site)
    (tmp_path / "file.part").write_bytes(BODY + b"more")

    assert download(site) == 0
    assert site.asked == [("bytes=256004-", '"1"'), (None, None)]
    assert (tmp_path / "file").read_bytes() == BODY


WRONG = {
    "another place": (b"206 Part\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5", 0),
    "another version": (
        b'206 Part\r\nETag: "2"\r\nContent-Range: bytes 100000-255999/256000\r\nContent-Length: 0',
        0,
    ),
    "no place": (b"206 Part\r\nContent-Length: 0", 1),
    "less than the rest": (
        b"206 Part\r\nContent-Range: bytes 100000-100001/256000\r\nContent-Length: 2",
        1,
    ),
    "416 without size": (b"416 No\r\nContent-Length: 0", 0),
    "404": (b"404 No\r\nContent-Length: 0", 4),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_answer_never_makes_a_wrong_file(download, tmp_path, wrong, capfd):
    head, status = WRONG[wrong]
    site = Ranges()
    interrupted(download, site)
    site.override = (
        b"HTTP/1.1 "
        + head
        + b"\r\n\r\n"
        + {5: b"#####", 2: b"ab"}.get(int(head.rsplit(b" ", 1)[-1]), b"")
    )

    assert download(site) == status
    if status:
        assert not (tmp_path / "file").exists()
        assert (tmp_path / "file.part").read_bytes()[:100_000] == BODY[:100_000]
    else:
        assert (tmp_path / "file").read_bytes() == BODY


def test_a_lost_connection_goes_on_by_itself_with_retry(download, tmp_path, monkeypatch, capfd):
    site = Ranges(cut=100_000)

    assert download(site, "--retry", "2") == 0

    assert site.asked == [(None, None), ("bytes=100000-", '"1"'), ("bytes=200000-", '"1"')]
    assert (tmp_path / "file").read_bytes() == BODY


def test_the_part_of_another_url_is_not_used(tmp_path):
    path = tmp_path / "x.part"
    with open_part(path, "x", "http://a/1", 0o600) as part:
        part.begin('"1"')
        part.stream.write(b"begun")
    for url, size in (("http://a/2", 0), ("http://a/1", 5)):
        with open_part(path, "x", url, 0o600) as part:
            assert part.size == size
            assert len(part.fields()) == (2 if size else 0)
    assert "http" not in (tmp_path / "x.part.json").read_text()
    assert json.loads((tmp_path / "x.part.json").read_text())["validator"] == '"1"'


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
@pytest.mark.parametrize("kind", ["link", "hard link", "folder", "fifo"])
def test_what_is_no_part_is_not_touched(tmp_path, kind, capfd):
    path, other = tmp_path / "x.part", tmp_path / "other"
    other.write_text("precious")
    if kind == "link":
        path.symlink_to(other)
    elif kind == "hard link":
        path.hardlink_to(other)
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)

    assert main(["get", "-c", "-o", str(tmp_path / "x"), "http://127.0.0.1:1/"]) == 1
    assert f"{tmp_path}/x.part: " in capfd.readouterr().err
    assert other.read_text() == "precious"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_two_processes_do_not_write_one_part(tmp_path):
    path = tmp_path / "x.part"
    with open_part(path, "x", "http://a/", 0o600) as part:
        assert isinstance(part, Part)
        with pytest.raises(CommandFailed, match="another process"):
            with open_part(path, "x", "http://a/", 0o600):
                pass


def test_only_a_regular_file_can_go_on(capfd):
    assert main(["get", "-c", "-o", os.devnull, "http://127.0.0.1:1/"]) == 1
    assert "only the download of a regular file can go on" in capfd.readouterr().err
