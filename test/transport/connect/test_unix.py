"""Unix domain sockets: paths that are none, listeners that are busy or gone."""

import errno
import os
import socket
import struct
import time

import pytest
from kit.support import open_descriptors

from dugong_like import ConnectFailed, InvalidOption, SocketOptions, run, within
from dugong_like.transport.connect import unix
from dugong_like.transport.connect.unix import LONGEST, check_path, co_connect_unix


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/run/x", b"/run/x"),
        (b"/run/x", b"/run/x"),
        ("relative", b"relative"),
        ("/ü", "/ü".encode()),
        ("\0abstract", b"\0abstract"),
        (b"\0abstract", b"\0abstract"),
        ("x" * LONGEST, b"x" * LONGEST),
    ],
)
def test_paths(path, expected):
    assert check_path(path) == expected


def test_path_object(tmp_path):
    assert check_path(tmp_path) == bytes(tmp_path)


@pytest.mark.parametrize(
    ("path", "error", "reason"),
    [
        ("", InvalidOption, "not the path"),
        ("a\0b", InvalidOption, "not the path"),
        ("x" * (LONGEST + 1), InvalidOption, f"at most {LONGEST} bytes, not {LONGEST + 1}"),
        (5, TypeError, "uds is a path, not 5"),
    ],
)
def test_what_is_no_path(path, error, reason):
    with pytest.raises(error, match=reason):
        check_path(path)


def test_other_systems(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(unix.sys, "platform", "darwin")
        with pytest.raises(InvalidOption, match="not the path"):
            check_path("\0abstract")
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(InvalidOption, match="has no unix domain sockets"):
        check_path("/run/x")


def test_connected_with_options(tmp_path):
    path = str(tmp_path / "socket")
    options = SocketOptions(
        keepalive=True,
        raw=[(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 5, 0))],
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with run(co_connect_unix(path.encode(), options)) as sock:
            assert sock.getpeername() == path
            assert not sock.getblocking()
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)[:1] == b"\x05"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.touch(), "Connection refused"),
        (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "Connection refused"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_nobody_listens(tmp_path, make, reason):
    make(tmp_path / "socket")
    before = open_descriptors()
    with pytest.raises(ConnectFailed, match=f"/socket: {reason}") as failure:
        run(co_connect_unix(bytes(tmp_path / "socket"), SocketOptions()))
    assert isinstance(failure.value.__cause__, OSError)
    with pytest.raises(ConnectFailed, match="connect to @nobody: Connection refused"):
        run(co_connect_unix(b"\0nobody", SocketOptions()))
    assert open_descriptors() <= before


def test_full_queue_is_waited_for(tmp_path):
    path = str(tmp_path / "socket")
    before = open_descriptors()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        fillers = []
        while True:
            filler = socket.socket(socket.AF_UNIX)
            filler.setblocking(False)
            fillers.append(filler)
            if filler.connect_ex(path) == errno.EAGAIN:
                break
        waiting = co_connect_unix(path.encode(), SocketOptions())
        start = time.monotonic()
        for _ in range(3):
            need = next(waiting)
            assert not need.poll(0)
            assert need.deadline <= time.monotonic() + unix.QUEUE_TIME
            time.sleep(max(need.deadline - time.monotonic(), 0))
        assert time.monotonic() - start >= 3 * unix.QUEUE_TIME * 0.9
        with pytest.raises(TimeoutError):
            run(within(time.monotonic() + 0.05, co_connect_unix(path.encode(), SocketOptions())))
        listener.accept()[0].close()
        run(waiting, timeout=30).close()
        waiting = co_connect_unix(path.encode(), SocketOptions())
        next(waiting)
        waiting.close()
        for filler in fillers:
            filler.close()
    assert open_descriptors() <= before


def test_connecting_that_takes_time(tmp_path, monkeypatch):
    """Some systems do it in the background."""
    path = str(tmp_path / "socket")
    options = SocketOptions()

    class Slow(socket.socket):
        def connect_ex(self, address):
            return errno.EINPROGRESS if not super().connect_ex(address) else errno.EIO

    looks = iter([False, True, True])
    monkeypatch.setattr(unix, "is_connected", lambda sock: next(looks))
    monkeypatch.setattr(SocketOptions, "open", lambda self, family: Slow(family))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        run(co_connect_unix(path.encode(), options), timeout=30).close()


def test_no_descriptors_left(monkeypatch):
    def fail(self, family):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(SocketOptions, "open", fail)
    with pytest.raises(ConnectFailed, match="Too many open files"):
        run(co_connect_unix(b"/x", SocketOptions()))
