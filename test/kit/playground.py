"""A server for tests of clients: it answers by path, and keeps each request as it came."""

import email.utils
import gzip
import re
import threading
import zlib

from kit.support import pattern, read_exactly, read_head

TEXT = b"hello, world! " * 100
GZIP = gzip.compress(TEXT, mtime=0)


def sized(body, *fields, status=b"200 OK"):
    """Return an answer with Content-Length."""
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), lines, body)


def chunked(*pieces, fields=b"", trailers=b""):
    """Return an answer in chunks."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + fields
    return head + b"\r\n" + chunks + b"0\r\n" + trailers + b"\r\n"


ANSWERS = {
    "/": sized(b"ok", b"x-oDD-case: 1", b"X-Twice: a", b"X-Other: b", b"x-twice: c"),
    "/type": sized("häh".encode("latin-1"), b"Content-Type: text/plain; charset=iso-8859-1"),
    "/json": sized(b'{"a": [1, 2]}', b"Content-Type: application/json"),
    "/lines": sized(b"one\ntwo\r\nthree"),
    "/raw-value": sized(b"", b"X-Raw: \xe4\xff"),
    "/big": sized(pattern(100_000)),
    "/gzip": sized(GZIP, b"Content-Encoding: gzip"),
    "/gzip-of-nothing": sized(b"", b"Content-Encoding: gzip"),
    "/deflate": sized(zlib.compress(TEXT), b"Content-Encoding: deflate"),
    "/no-gzip": sized(b"this is not compressed", b"Content-Encoding: gzip"),
    "/chunked": chunked(b"one", b"two", b"three"),
    "/chunked-gzip": chunked(GZIP[:5], GZIP[5:], fields=b"Content-Encoding: gzip\r\n"),
    "/trailers": chunked(b"one", fields=b"Trailer: X-Sum\r\n", trailers=b"X-Sum: 1\r\n"),
    "/cookies": sized(b"", b"Set-Cookie: a=1; Path=/", b"Set-Cookie: b=2; Expires=%s" % (
        email.utils.formatdate(4_000_000_000, usegmt=True).encode())),
    "/204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/304": b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 5\r\n\r\n",
    "/no-reason": b"HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n",
    "/404": sized(b"not here", status=b"404 Not Found"),
    "/hints": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + sized(b"ok"),
    "/302": sized(b"", b"Location: /json", status=b"302 Found"),
    "/303": sized(b"", b"Location: /", status=b"303 See Other"),
    "/307": sized(b"", b"Location: /", status=b"307 Temporary Redirect"),
    "/loop": sized(b"", b"Location: /loop", status=b"302 Found"),
    "/401": sized(b"", b'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"',
                  status=b"401 Unauthorized"),
}  # fmt: skip
CLOSING = {  # answers after which the connection is closed
    "/1.0": b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    "/until-close": b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    "/closing": sized(b"bye", b"Connection: close"),
    "/left": sized(b"and away"),  # without saying so
    "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "/short-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "/no-last-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "/bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n",
    "/two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "/junk": b"this is not HTTP\r\n\r\n",
    "/nothing": b"",
}


class Playground:
    """Answers by path, and keeps each request: its line, sorted field lines, and body."""

    def __init__(self):
        self.requests = []
        self.seen = threading.Semaphore(0)  # one for each piece of "/live" that has been read
        self.left = threading.Semaphore(0)  # one for each connection closed after "/left"

    def __call__(self, sock):
        while head := read_head(sock):
            body = self.body(sock, head)
            line, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
            path = re.sub(rb"^http://[^/]+", b"", line.split()[1]).decode().partition("?")[0]
            # CONNECT is written otherwise, and nobody waits until the others have arrived.
            if path not in {"/silent", "/half"} and not line.startswith(b"CONNECT "):
                self.requests.append((line, sorted(fields), body))
            if path == "/silent":
                sock.recv(1)
                return
            if path == "/live":
                sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for piece in (b"one", b"two"):
                    sock.sendall(b"3\r\n%s\r\n" % piece)
                    assert self.seen.acquire(timeout=20)
                sock.sendall(b"0\r\n\r\n")
                continue
            if path == "/half":
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
                sock.recv(1)
                return
            answer = ANSWERS.get(path, ANSWERS["/404"])
            if path == "/echo":
                sock.sendall(sized(body))
            elif line.startswith(b"HEAD "):
                sock.sendall(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            elif path in CLOSING or line.startswith(b"CONNECT "):
                sock.sendall(CLOSING.get(path, sized(b"", status=b"407 Login, please")))
                sock.close()
                if path == "/left":
                    self.left.release()
                return
            else:
                sock.sendall(answer)

    def body(self, sock, head):
        """Read the body of a request, out of its chunks if need be."""
        length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
        if length:
            return read_exactly(sock, int(length[1]))
        body = b""
        if b"\r\ntransfer-encoding: chunked" in head.lower():
            while size := int(line_of(sock), 16):
                body += read_exactly(sock, size)
                line_of(sock)
            line_of(sock)
        return body


def without_tls(sock):
    """Answer what is no request in plain text."""
    sock.recv(65536)
    sock.sendall(sized(b"", status=b"400 Bad Request"))


def line_of(sock):
    """Read a line."""
    line = b""
    while not line.endswith(b"\r\n"):
        line += read_exactly(sock, 1)
    return line
