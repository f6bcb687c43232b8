"""A machine that fails: a disk that is full, files that may not be used, ends in the middle.

Not here: one output file (test_output_file.py), and lists that are ended (test_url_list.py).
"""

import os
import resource
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from kit.file_site import FileSite
from kit.sites import Site, answer_of
from kit.support import ScriptedServer, pattern, read_exactly, read_head

import dugong_like.client.transfers.upload  # noqa: F401 - not as another user
from dugong_like import Client, run
from dugong_like.__main__ import main
from dugong_like.cli.upload import open_upload

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits and users of POSIX")
NOBODY = 65534
ROOM = 50_000  # bytes
SMALL, LARGE = pattern(4096), pattern(200_000)


@contextmanager
def little_room():
    """Have no room for more than `ROOM` bytes: RLIMIT_FSIZE stands for the disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def ordinary_user():
    """Have no rights of the superuser."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def open_folder():
    """Yield an empty folder below one that every user may read, unlike those of pytest."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name).resolve()


@pytest.fixture
def site():
    answers = {"/small": answer_of(200, 'ETag: "1"', body=SMALL)}
    answers["/large"] = answer_of(200, 'ETag: "1"', body=LARGE)
    with Site(answers) as site:
        yield site


def place(site, path):
    return f"http://127.0.0.1:{site.port}{path}"


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("option", ["-o", "-c", "-O"])
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_full_disk_is_one_line_and_the_old_file(
    folder, site, capfd, monkeypatch, option, old, named
):
    options = {"-o": ["-o", "large"], "-c": ["-c", "-o", "large"], "-O": ["-O"]}[option]
    if old is not None:
        (folder / "large").write_bytes(old)
    with little_room(), monkeypatch.context() as patch:
        if named:
            patch.delattr(os, "O_TMPFILE", raising=False)
        assert main(["get", *options, place(site, "/large")]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "File too large" in line
    assert "large" in line
    assert old is None or (folder / "large").read_bytes() == old
    own = {"large.part", "large.part.json"} if option == "-c" else set()
    assert set(os.listdir(folder)) <= own | ({"large"} if old is not None else set())

    assert main(["get", *options, place(site, "/large")]) == 0
    assert (folder / "large").read_bytes() == LARGE
    assert os.listdir(folder) == ["large"]


def test_a_list_goes_on_with_what_there_is_room_for(folder, site, tmp_path, capfd):
    listed = tmp_path / "list"
    listed.write_text(f"{place(site, '/large')}\n{place(site, '/small')}\n")
    with little_room():
        assert main(["get", "-i", str(listed)]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "File too large" in line
    assert os.listdir(folder) == ["small"]
    assert (folder / "small").read_bytes() == SMALL


def test_a_file_that_may_not_be_read_is_not_begun_to_be_sent(open_folder):
    file, server = open_folder / "file", FileSite(b"")
    file.write_bytes(SMALL)
    file.chmod(0)
    with Client(dispatcher=server) as client, ordinary_user():
        with pytest.raises(PermissionError, match="file"):
            client.upload(file, "https://a.test/")
        with pytest.raises(PermissionError, match="file"), open_upload(str(file), None):
            pass
    assert server.requests == []


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_that_may_not_be_written_is_known_before_anything_is_asked_for(
    open_folder, resume
):
    server = FileSite(SMALL)
    with Client(dispatcher=server) as client:
        client.download("https://a.test/", open_folder / "before", resume=resume)
        server.requests.clear()
        open_folder.chmod(0o555)
        with ordinary_user(), pytest.raises(PermissionError):
            run(client.co_download("https://a.test/", open_folder / "file", resume=resume))
        open_folder.chmod(0o755)
    assert server.requests == []
    assert os.listdir(open_folder) == ["before"]


@pytest.mark.parametrize("retries", [0, 2])
def test_a_server_that_is_gone_while_a_file_is_put(tmp_path, capfd, retries):
    """It is sent again as a whole, if that was asked for; otherwise it is one line."""
    (tmp_path / "file").write_bytes(LARGE)
    received = []

    def serve(sock):
        head = read_head(sock)
        if server.connections == 1:
            read_exactly(sock, len(LARGE) // 2)
            return
        received.append(read_exactly(sock, len(LARGE)))
        assert b"content-length: 200000\r\n" in head.lower()
        sock.sendall(answer_of(201))

    with ScriptedServer(serve) as server:
        options = ["--retry", str(retries)] if retries else []
        status = main(["put", *options, str(tmp_path / "file"), place(server, "/")])
    assert (status, received) == ((0, [LARGE]) if retries else (1, []))
    assert len(capfd.readouterr().err.splitlines()) == (0 if retries else 1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_files_in_one_folder(folder, tmp_path):
    count = 20_000

    def answer(sock, seen):
        sock.sendall(answer_of(200, body=seen.target.encode()))
        return True

    listed = tmp_path / "list"
    with Site({None: answer}) as site:
        base = f"http://127.0.0.1:{site.port}"
        listed.write_text("".join(f"{base}/{number}\n" for number in range(count)))
        assert main(["get", "-q", "-i", str(listed)]) == 0
        assert site.connections <= 8
        site.seen.clear()
    names = os.listdir(folder)
    assert len(names) == count
    assert all((folder / name).read_bytes() == f"/{name}".encode() for name in names)
    shutil.rmtree(folder)
