import io
import os
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from kit.support import pattern

from dugong_like import ContentChanged, run
from dugong_like.cli.outcome import CommandFailed, reason_of
from dugong_like.cli.upload import PIECE, Upload, UploadBody, open_upload


def read_all(file):
    """Return the size that is announced, and what is sent."""
    with open_upload(str(file), 60) as upload:
        return upload.size, b"".join(upload.pieces())


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_a_regular_file_has_its_length(tmp_path, size):
    file = tmp_path / "file"
    file.write_bytes(bytes(size))

    assert read_all(file) == (size, bytes(size))


@pytest.mark.skipif(sys.platform != "linux", reason="these are files of Linux")
@pytest.mark.parametrize(
    "file", ["/proc/version", "/proc/self/status", "/sys/kernel/mm/transparent_hugepage/enabled"]
)
def test_a_size_of_the_kernel_that_is_none_is_not_believed(file):
    """The files of /proc have the size 0 and those of /sys 4096, whatever is in them."""
    if not Path(file).exists():
        pytest.skip(f"there is no {file}")
    size, sent = read_all(file)

    assert size == len(sent) > 0


def test_a_long_file_of_size_0_has_no_length():
    class Proc(io.FileIO):
        """Says that it is empty, as files of /proc do, and is not."""

        left = 3 * PIECE

        def readinto(self, memory):
            count = min(len(memory), self.left)
            self.left -= count
            return count

    with Proc("/dev/null") as zeros, Path(os.devnull).open("rb") as null:
        assert Upload(zeros, "zeros", 60).size is None
        assert Upload(null, "null", 60).size == 0


def test_standard_input_that_is_a_file_has_the_length_that_is_left(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(bytes(3 * PIECE))

    with file.open("rb", buffering=0) as stream:
        stream.seek(100)
        upload = Upload(stream, "standard input", 60)
        assert upload.size == 3 * PIECE - 100
        assert len(b"".join(upload.pieces())) == upload.size


def test_what_is_added_meanwhile_is_not_sent(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(bytes(2 * PIECE))

    with open_upload(str(file), 60) as upload:
        with file.open("ab") as end:
            end.write(b"more")
        assert len(b"".join(upload.pieces())) == upload.size == 2 * PIECE


def test_a_file_that_has_become_shorter_is_an_error(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(bytes(3 * PIECE))

    with open_upload(str(file), 60) as upload:
        os.truncate(file, 2 * PIECE)
        with pytest.raises(CommandFailed, match=f"{file}: .* {PIECE} of {3 * PIECE} bytes"):
            list(upload.pieces())


def test_a_pipe_is_sent_as_it_comes(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    wanted = threading.Event()

    def write():
        with fifo.open("wb", buffering=0) as end:
            end.write(b"first")
            wanted.wait(60)
            end.write(b"second")

    writer = threading.Thread(target=write)
    writer.start()
    with open_upload(str(fifo), 60) as upload:
        pieces = upload.pieces()
        assert upload.size is None
        assert next(pieces) == b"first"
        wanted.set()
        assert b"".join(pieces) == b"second"
    writer.join()


@pytest.mark.parametrize("data", [b"", b"late"])
def test_a_non_blocking_pipe_that_has_nothing_yet_is_waited_for(data):
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    late = threading.Timer(0.05, lambda: (os.write(writer, data), os.close(writer)))
    late.start()

    with os.fdopen(reader, "rb", buffering=0) as stream:
        upload = Upload(stream, "pipe", None)
        assert b"".join(upload.pieces()) == data
    assert upload.size == (None if data else 0)
    late.join()


@pytest.mark.parametrize("data", [b"", b"first"])
@pytest.mark.parametrize("kind", ["pipe", "fifo"])
def test_a_non_blocking_input_that_has_nothing_is_an_error_in_the_end(tmp_path, kind, data):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader, writer = os.pipe() if kind == "pipe" else (-1, os.open(fifo, os.O_RDWR))
    os.write(writer, data)

    with pytest.raises(TimeoutError) as problem, ExitStack() as stack:
        if kind == "pipe":
            os.set_blocking(reader, False)
            stream = stack.enter_context(os.fdopen(reader, "rb", buffering=0))
            upload = Upload(stream, "input", 0.01)
        else:
            upload = stack.enter_context(open_upload(str(fifo), 0.01))
        assert b"".join(upload.pieces()) == data
    os.close(writer)

    name = "input" if kind == "pipe" else str(fifo)
    assert reason_of(problem.value) == (
        f"{name}: nothing has arrived for 0.01 seconds (bytes read before: {len(data)})"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_pipe_of_a_shell_is_waited_for_as_standard_input():
    """As for ``put <(tar -c folder)``."""
    reader, writer = os.pipe()
    late = threading.Timer(0.1, lambda: (os.write(writer, b"late"), os.close(writer)))
    late.start()

    with open_upload(f"/dev/fd/{reader}", 0.001) as upload:
        assert b"".join(upload.pieces()) == b"late"
    late.join()
    os.close(reader)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is opened as by other programs")
def test_a_fifo_that_nobody_opens_is_no_empty_file(tmp_path):
    """Reading one that had no writer yet looks like its end."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    with pytest.raises(TimeoutError, match="nothing has arrived"), open_upload(str(fifo), 0.01):
        pass
    with pytest.raises(TimeoutError, match="nothing has arrived"):
        with os.fdopen(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as stream:
            Upload(stream, "standard input", 0.01)


@pytest.mark.parametrize("name", ["missing", ".", "missing/file"])
def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path, name):
    with pytest.raises(OSError) as problem, open_upload(str(tmp_path / name), 60):
        pass

    assert problem.value.filename == str(tmp_path / name)


def test_closed_standard_input_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(OSError, match="standard input"), open_upload("-", 60):
        pass


@pytest.mark.parametrize("size", [0, 10, PIECE, PIECE + 1, 3 * PIECE])
def test_a_regular_file_can_be_sent_again(tmp_path, size):
    file = tmp_path / "file"
    file.write_bytes(os.urandom(size))

    with open_upload(str(file), 60) as upload:
        body = UploadBody(upload)
        assert body.rewindable()
        for _ in range(2):
            assert read_body(body) == file.read_bytes()
            body.rewind()
        next(body.co_read(1), None)
        body.rewind()
        assert (body.length, read_body(body)) == (size, file.read_bytes())


def read_body(body):
    return b"".join(iter(lambda: run(body.co_read(65536)), b""))


def test_a_pipe_is_sent_once():
    reader, writer = os.pipe()
    os.write(writer, b"once")
    with os.fdopen(reader, "rb", buffering=0) as stream:
        upload = Upload(stream, "pipe", 60)
        os.close(writer)
        assert not UploadBody(upload).rewindable()
        assert b"".join(upload.pieces()) == b"once"
        assert not upload.rewindable()


@pytest.mark.parametrize("size", [1_000_000, 2_000_000])
def test_a_regular_file_is_sent_by_the_system(tmp_path, size):
    """From where it stands, and no more than it had."""
    path = tmp_path / "file"
    path.write_bytes(pattern(size))
    with path.open("rb") as stream:
        stream.seek(7)
        upload = Upload(stream, "name", None)
        body = upload.stored()
        assert body.next_file_range() == (stream, 7, size - 7)
        with path.open("ab") as other:
            other.write(b"more")
        body.check()
        os.truncate(path, size - 1)
        with pytest.raises(ContentChanged, match="'name': .* had"):
            body.next_file_range()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_what_is_not_stored_is_read(tmp_path):
    with open_upload("/proc/self/smaps", None) as upload:
        assert upload.whole() or upload.stored() is None
    (tmp_path / "small").write_bytes(b"x")
    with open_upload(str(tmp_path / "small"), None) as upload:
        assert upload.whole() == b"x"
