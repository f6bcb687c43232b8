"""What a `ScriptedServer` does with a client of another library, in the tests of the adapters."""

import gzip
import re
import select
import time

from kit.support import read_exactly, read_head


def wandering(sock):
    """Redirect, set cookies, compress, refuse, and end too early."""
    while head := read_head(sock):
        path = head.split()[1]
        if path == b"/start":
            sock.sendall(
                b"HTTP/1.1 302 Found\r\nLocation: /end\r\nSet-Cookie: a=b\r\n"
                b"Set-Cookie: c=d\r\nContent-Length: 0\r\n\r\n"
            )
        elif path == b"/end":
            seen = b"a=b" in head and b"c=d" in head
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % seen)
        elif path == b"/gzip":
            body = gzip.compress(b"hello" * 100)
            sock.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
                % (len(body), body)
            )
        elif path == b"/refuse":
            read_exactly(sock, 10)
            sock.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
            while sock.recv(1 << 20):
                pass
            return
        elif path == b"/short":
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            return
        elif path == b"/junk":
            sock.sendall(b"junk\r\n\r\n")
            return
        else:  # /silent
            sock.recv(1)


def deaf(sock):
    """Take the head, and no more, until the end of the test."""
    read_head(sock)
    poller = select.poll()
    poller.register(sock, select.POLLRDHUP)
    poller.poll(30_000)


def mute(sock):
    """Say nothing, until the client goes away."""
    while sock.recv(65536):
        pass


def slow(sock):
    """Answer after a while."""
    read_head(sock)
    time.sleep(0.3)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Recording:
    """Answers each request, and keeps what it was: its head and, after a length, its body."""

    def __init__(self):
        self.requests = []

    def __call__(self, sock):
        while head := read_head(sock):
            length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
            body = read_exactly(sock, int(length[1])) if length else b""
            while length is None and b"chunked" in head.lower() and not body.endswith(b"0\r\n\r\n"):
                body += read_exactly(sock, 1)
            self.requests.append((head, body))
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def last(self):
        """Return request line, sorted field lines, and body of the last request."""
        head, body = self.requests[-1]
        line, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        return line, sorted(fields), body
