"""``-c``: which part is used, which is not, and what is left of it."""

import os
from pathlib import Path

import pytest
from kit.support import ScriptedServer, read_head

from dugong_like.__main__ import main

BODY = bytes(range(256)) * 1000
NEW = bytes(256_000)


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
def test_a_part_of_an_unknown_version_is_not_kept(download, tmp_path, etag, capfd):
    site = Ranges(etag=etag, cut=100_000)
    assert download(site) == 1
    assert os.listdir(tmp_path) == []
    site.cut = None
    site.asked.clear()

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


def test_bytes_that_the_note_does_not_claim_are_not_used(download, tmp_path, capfd):
    site = Ranges()
    interrupted(download, site)
    with (tmp_path / "file.part").open("ab") as part:
        part.write(b"more")

    assert download(site) == 0
    assert site.asked == [("bytes=100000-", '"1"')]
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_part_that_is_shorter_than_its_note_says_is_not_used(download, tmp_path, capfd):
    site = Ranges()
    interrupted(download, site)
    os.truncate(tmp_path / "file.part", 99_999)

    assert download(site) == 0
    assert site.asked == [(None, None)]
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


def test_only_a_regular_file_can_go_on(capfd):
    assert main(["get", "-c", "-o", os.devnull, "http://127.0.0.1:1/"]) == 1
    assert "only the download of a regular file can go on" in capfd.readouterr().err
