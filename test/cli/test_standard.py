import io
import os
import pty
import re
import socket
import sys
import termios
import threading

import pytest

from dugong_like import POLLIN, PollNeeded
from dugong_like.cli.options import TimeLimits
from dugong_like.cli.outcome import reason_of
from dugong_like.cli.progress import progress_bar
from dugong_like.cli.standard import Writer, complain, complain_at_once, is_terminal, print_output

SIZE = 1_000_000  # bytes, more than a pipe takes


def read_all(descriptor):
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


@pytest.mark.parametrize("buffering", [0, -1], ids=["raw", "buffered"])
@pytest.mark.parametrize("blocking", [True, False])
def test_everything_is_written(buffering, blocking):
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    got = []
    thread = threading.Thread(target=lambda: got.append(read_all(reader)))
    thread.start()

    with os.fdopen(writer, "wb", buffering=buffering) as stream:
        output = Writer(stream, "pipe")
        output.write(bytes(SIZE))
        output.write(b"end")
        output.end()
    thread.join()

    assert got == [bytes(SIZE) + b"end"]


def socket_pair():
    return tuple(end.detach() for end in socket.socketpair())


@pytest.mark.parametrize("ends", [os.pipe, socket_pair, pty.openpty])
@pytest.mark.parametrize("before", [0, 100])
def test_a_non_blocking_stream_that_nobody_reads_is_an_error_in_the_end(ends, before):
    reader, writer = ends()
    os.set_blocking(writer, False)

    with os.fdopen(writer, "wb", buffering=0) as stream:
        output = Writer(stream, "stream", 0.01)
        output.write(b"x" * before)
        with pytest.raises(TimeoutError) as problem:
            output.write(b"x" * SIZE)

    count = re.fullmatch(
        r"stream: nothing could be written for 0.01 seconds \(bytes written before: (\d+)\)",
        reason_of(problem.value),
    )
    assert before < int(count[1]) < SIZE
    if ends is pty.openpty:  # which loses what is in it when it is closed
        os.close(reader)
    else:
        assert len(read_all(reader)) == int(count[1])


def test_servers_wait_for_longer_than_an_output_is_waited_for():
    limits = TimeLimits()

    assert limits.output < limits.usual == 60  # seconds, as nginx and Apache


@pytest.mark.parametrize("blocking", [True, False])
def test_a_stopped_terminal_delays_no_transfer(monkeypatch, blocking):
    """As by Ctrl-S. Afterwards it shows the bar again."""
    controller, terminal = pty.openpty()
    os.set_blocking(terminal, blocking)
    termios.tcflow(terminal, termios.TCOOFF)
    with os.fdopen(terminal, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        with progress_bar("what", 200) as shown:
            shown.update(100)
            complain_at_once("lost")
            termios.tcflow(terminal, termios.TCOON)
            shown.update(100)
        os.set_blocking(controller, False)
        seen = b""
        while b"100" not in seen and PollNeeded(controller, POLLIN).poll(60):
            seen += os.read(controller, 1000)
    os.close(controller)

    assert b"100" in seen
    assert b"lost" not in seen


def test_a_pipe_without_reader_is_a_broken_pipe():
    reader, writer = os.pipe()
    os.close(reader)

    with os.fdopen(writer, "wb", buffering=0) as stream:
        with pytest.raises(BrokenPipeError):
            Writer(stream, "pipe").write(b"x")


def test_errors_name_the_stream():
    with os.fdopen(os.open(os.devnull, os.O_RDONLY), "wb", buffering=0) as stream:
        with pytest.raises(OSError, match="my file"):
            Writer(stream, "my file").write(b"x")


def test_a_closed_stream_is_an_error_only_if_there_is_something_to_write():
    output = Writer(None, "standard output")
    output.write(b"")
    output.end()

    with pytest.raises(OSError, match="standard output"):
        output.write(b"x")


class Terminal(io.BytesIO):
    """A terminal that keeps what it shows."""

    def isatty(self):
        return True


def test_only_harmless_text_reaches_a_terminal():
    terminal = Terminal()
    output = Writer(terminal, "terminal")

    output.write(b"\x1b[2Jcaf\xc3")
    output.write(b"\xa9\xff\r\n\xe2\x82")
    output.end()

    assert output.is_terminal
    assert terminal.getvalue().decode() == "\\x1b[2Jcafé\ufffd\n\ufffd"


def test_other_streams_get_the_bytes_as_they_are():
    file = io.BytesIO()
    output = Writer(file, "file")

    output.write(b"\x1b\xff\r\n")
    output.end()

    assert not output.is_terminal
    assert file.getvalue() == b"\x1b\xff\r\n"


def test_a_stream_that_cannot_say_so_is_no_terminal():
    closed = io.BytesIO()
    closed.close()

    assert not is_terminal(None)
    assert not is_terminal(closed)


def test_a_complaint_is_one_line_of_harmless_text(capfd):
    complain("caf\udce9: a\nb \x1b[m")

    assert capfd.readouterr() == ("", "dugong_like: caf\\xe9: a\\x0ab \\x1b[m\n")


def test_a_complaint_has_a_limited_length(capfd):
    complain("x" * 100_000)

    assert len(capfd.readouterr().err) < 3000


def test_a_complaint_that_nobody_can_get_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    complain("lost")

    with os.fdopen(os.open(os.devnull, os.O_RDONLY), "w") as read_only:
        monkeypatch.setattr(sys, "stderr", read_only)
        complain("lost")


def test_output_is_not_kept_in_a_buffer(monkeypatch):
    """What is still there at the exit and cannot be written makes the status 120."""
    with os.fdopen(os.open(os.devnull, os.O_RDONLY), "w") as read_only:
        monkeypatch.setattr(sys, "stdout", read_only)
        with pytest.raises(OSError, match="standard output"):
            print_output("text\n")
        read_only.flush()
