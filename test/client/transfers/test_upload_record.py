"""Records of resumable uploads: when another run goes on, when it begins anew, and what is left."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from kit.sites import Site, answer_of
from kit.support import ROOT, pattern
from kit.upload_server import UploadServer

from dugong_like import (
    Client,
    ConnectionClosed,
    InvalidOption,
    PartInUse,
    Retry,
    StatusError,
)
from dugong_like.client.transfers.upload_record import Version, open_upload_record

URL = "https://example.org/file?secret=sesame"
BODY = pattern(300_000)
NEVER = Retry(0)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(BODY)
    return path


@pytest.fixture
def server():
    return UploadServer()


def upload(server, source, url=URL, **options):
    options = {"resumable": True, "retries": NEVER, "record": True, **options}
    with Client(dispatcher=server) as client:
        return client.upload(source, url, **options)


def interrupted(server, path, cut=100_000, **options):
    server.cuts = [cut]
    with pytest.raises(ConnectionClosed):
        upload(server, path, **options)
    server.seen.clear()


@pytest.mark.parametrize("place", ["beside", "given"])
def test_another_run_goes_on_where_the_server_stands(server, path, tmp_path, place):
    options = {} if place == "beside" else {"record": tmp_path / "elsewhere" / "record"}
    (tmp_path / "elsewhere").mkdir()
    record = tmp_path / "file.upload.json" if place == "beside" else options["record"]
    interrupted(server, path, **options)
    assert record.stat().st_mode & 0o777 == 0o600
    assert "sesame" not in record.read_text()

    result = upload(server, path, **options)

    assert server.files == {"/file": BODY}
    assert server.seen == [("HEAD", "/uploads/0"), ("PATCH", "/uploads/0")]
    assert (result.size, result.sent) == (300_000, 200_000)
    assert not record.exists()
    assert upload(server, path, **options).sent == 300_000


def test_without_a_failure_nothing_is_left(server, path, tmp_path):
    upload(server, path)
    assert os.listdir(tmp_path) == ["file"]
    server.supported = False
    upload(server, path)
    assert os.listdir(tmp_path) == ["file"]


def test_an_upload_whose_last_answer_was_lost_is_not_repeated(server, path, tmp_path):
    interrupted(server, path, "the answer")
    result = upload(server, path)
    assert server.seen == [("HEAD", "/uploads/0")]
    assert result.sent == 0
    assert server.files == {"/file": BODY}
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "change", ["content", "size", "time", "url", "method", "gone", "damaged", "cut", "insecure"]
)
def test_another_upload_begins_anew(server, path, tmp_path, change):
    interrupted(server, path)
    record = tmp_path / "file.upload.json"
    url, body, options = URL, BODY, {}
    if change == "size":
        body = pattern(300_001)
        path.write_bytes(body)
    elif change in ("content", "time"):
        body = BODY[::-1] if change == "content" else BODY
        path.write_bytes(body)
        os.utime(path, ns=(1, 1))
    elif change == "url":
        url = URL + "1"
    elif change == "method":
        options["method"] = "POST"
    elif change == "gone":
        server.uploads.clear()
    elif change == "damaged":
        record.write_text('{"format": 1}\n')
    elif change == "cut":
        record.write_bytes(record.read_bytes()[:-1])
    else:
        record.write_text(record.read_text().replace("https:", "http:"))

    upload(server, path, url, **options)

    assert server.files == {"/file": body}
    assert ("OPTIONS", "/file") in server.seen
    assert os.listdir(tmp_path) == ["file"]


def test_a_server_that_has_something_to_say_is_not_taken_for_one_that_forgot(server, path):
    interrupted(server, path)
    server.by = {"HEAD": [lambda request: server.answer(request, 403)]}
    with pytest.raises(StatusError, match="403"):
        upload(server, path)
    assert upload(server, path).sent == 200_000


def test_an_offset_that_is_not_possible_is_an_error(server, path):
    interrupted(server, path)
    server.uploads["/uploads/0"].data = bytes(400_000)
    with pytest.raises(Exception, match="has 400000 bytes, of 300000"):
        upload(server, path)


def test_two_runs_do_not_use_one_record(server, path, tmp_path):
    with Client(dispatcher=server) as client:
        request = client.build_request("PUT", URL)
    with open_upload_record(tmp_path / "file.upload.json", request, Version(1, 1)):
        with pytest.raises(PartInUse, match="another run is uploading it"):
            upload(server, path)
    upload(server, path)


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        ({"resumable": False}, InvalidOption, "only a resumable upload"),
        ({"record": 2}, TypeError, "record"),
        ({"record": ""}, ValueError, "not empty"),
        ({"record": "\0"}, ValueError, "NUL"),
    ],
)
def test_records_that_cannot_be(server, path, options, error, what):
    with pytest.raises(error, match=what):
        upload(server, path, **options)
    assert server.seen == []


def test_file_objects_need_a_place_and_files_of_the_system(server, path, tmp_path):
    with path.open("rb") as file:
        with pytest.raises(InvalidOption, match="no place beside it"):
            upload(server, file)
        interrupted(server, file, record=tmp_path / "record")
        assert upload(server, file, record=tmp_path / "record").sent == 200_000
    from io import BytesIO

    with pytest.raises(InvalidOption, match="files of the system"):
        upload(server, BytesIO(BODY), record=tmp_path / "record")
    assert os.listdir(tmp_path) == ["file"]


PROGRAM = """
import sys
import dugong_like

dugong_like.upload(sys.argv[1], sys.argv[2], resumable=True, record=True)
"""
SIZE = 4 << 20


class Resumable:
    """The server's side over sockets; it takes a part of the first PATCH, and no more."""

    def __init__(self):
        self.data = b""
        self.half = threading.Event()
        self.offsets = []

    def __call__(self, sock, seen):
        sock.sendall(answer_of(*self.answer(seen)))
        return True

    def answer(self, seen):
        if seen.method == "OPTIONS":
            return 204, "Accept-Patch: application/partial-upload"
        if seen.method == "PUT":
            return 201, "Location: /upload"
        if seen.method == "HEAD":
            return 204, f"Upload-Offset: {len(self.data)}", "Upload-Complete: ?0"
        self.offsets.append(int(seen.headers["upload-offset"]))
        self.data += seen.body
        return 201, "Upload-Complete: ?1"


class TakingHalf(Site):
    """Reads half of the first body, and waits for the client to be gone."""

    def __init__(self, resumable):
        self.resumable = resumable
        super().__init__({None: resumable})

    def _body(self, sock, headers):
        length = int(headers.get("content-length", 0))
        if length and not self.resumable.half.is_set():
            while len(self.resumable.data) < SIZE // 2:
                self.resumable.data += sock.recv(SIZE // 2 - len(self.resumable.data))
            self.resumable.half.set()
            while sock.recv(65536):
                pass  # lost, with what is left of the process
            raise ConnectionResetError
        return super()._body(sock, headers)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_process_that_is_killed_is_followed_by_one_that_goes_on(tmp_path):
    path, resumable = tmp_path / "file", Resumable()
    path.write_bytes(pattern(SIZE))
    with TakingHalf(resumable) as site:
        url = f"http://127.0.0.1:{site.port}/file"
        command = [sys.executable, "-c", PROGRAM, str(path), url]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, env=environment) as process:
            assert resumable.half.wait(60)
            process.send_signal(signal.SIGKILL)
            assert process.wait(60) == -signal.SIGKILL
        assert json.loads((tmp_path / "file.upload.json").read_text())["upload"].endswith("/upload")
        with Client(timeout=60, trust_env=False) as client:
            result = client.upload(path, url, resumable=True, record=True)
    assert resumable.offsets == [SIZE // 2]
    assert resumable.data == path.read_bytes()
    assert result.sent == SIZE - SIZE // 2
    assert os.listdir(tmp_path) == ["file"]
