"""A site of one file, for downloads: with ranges and validators, and with all kinds of mistakes.

A dispatcher, so nothing is sent: ``Client(dispatcher=FileSite(body))``.
"""

from types import GeneratorType

from dugong_like import ConnectionClosed, Response
from dugong_like.http.headers import Headers
from dugong_like.polling.wake import co_checkpoint


class Stream:
    """A body that comes in pieces, and may break off."""

    def __init__(self, body, cut, trailers):
        self._rest, self._cut, self._trailers = memoryview(body), cut, trailers
        self._given = 0
        self.closed = False

    waits = False  # before each piece
    co_wait = None  # waits for something else before the next piece

    def co_read(self, size):
        if self.co_wait is not None:
            yield from self.co_wait()
        if self.waits:
            yield from co_checkpoint()
        if self._cut is not None:
            size = min(size, self._cut - self._given)
            if size == 0:
                raise ConnectionClosed("the connection ended", request_sent="yes")
        data, self._rest = bytes(self._rest[:size]), self._rest[size:]
        self._given += len(data)
        return data

    def trailers(self):
        return [] if self._rest else self._trailers

    def close(self):
        self.closed = True


class FileSite:
    """See above.

    Args:
        body: the file.
        etag: its entity tag; None for none.

    Attributes:
        cuts: bytes after which each of the next bodies breaks off; None for whole ones.
        ranges: False to ignore Range.
        fields: more fields of each response with bytes.
        trailers: trailer fields of these.
        by: functions of the request that answer the next ones: a Response or an exception; None
            for the usual answer.
        asked: Range and If-Range of each request.
        requests: the requests.
        most: bytes of a 206 response at most; None for any number.
        measured: False to leave Content-Length out.
        waits: True to let others go on before each piece of a body.

    """

    def __init__(self, body, etag='"1"'):
        self.body, self.etag = body, etag
        self.cuts = []
        self.ranges = True
        self.fields = []
        self.trailers = []
        self.by = []
        self.asked = []
        self.requests = []
        self.streams = []
        self.most = None
        self.measured = True
        self.waits = False

    def co_dispatch(self, request):
        request.attempts += 1
        self.requests.append(request)
        self.asked.append((request.headers.get("range"), request.headers.get("if-range")))
        by = self.by.pop(0) if self.by else None
        answer = self.usual(request) if by is None else by(request)
        if isinstance(answer, GeneratorType):
            answer = yield from answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def co_close(self):
        return
        yield

    def usual(self, request):
        wanted, version = request.headers.get("range"), request.headers.get("if-range")
        size = len(self.body)
        if not self.ranges or wanted is None or version not in (None, self.etag):
            return self.answer(request, 200, self.body)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        begin, end = int(first), min(int(last) + 1 if last else size, size)
        if begin >= size:
            return self.answer(request, 416, b"", ("Content-Range", f"bytes */{size}"))
        if self.most is not None:
            end = min(end, begin + self.most)
        place = ("Content-Range", f"bytes {begin}-{end - 1}/{size}")
        return self.answer(request, 206, self.body[begin:end], place)

    def answer(self, request, status, body, *fields):
        """Return a response with these bytes."""
        own = [] if self.etag is None else [("ETag", self.etag)]
        if self.measured:
            own.append(("Content-Length", str(len(body))))
        if status in (200, 206):
            own += self.fields
        cut = self.cuts.pop(0) if self.cuts and status in (200, 206) else None
        stream = Stream(body, cut, self.trailers)
        stream.waits = self.waits
        self.streams.append(stream)
        headers = Headers([*own, *fields])
        return Response.streamed(status, headers, stream, request=request)
