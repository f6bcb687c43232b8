"""Operations made of the others: whole requests, all responses, and the end of a connection.

Not here: the operations they are made of (operations.py), and the blocking twins
(connection.py).
"""

from __future__ import annotations

from typing import cast

from ..errors import DugongError, StateError
from ..http.arguments import Buffer
from ..http.request import BodyFollowing, Request, is_whole, not_a_request
from ..polling.contract import Co
from ..polling.wake import Wake
from .exchange import Exchange, HTTPResponse
from .h1.states import Link
from .operations import Operations


class Exchanging(Operations):
    """What `HTTPConnection` can do with `Request` objects, and says of itself."""

    def co_send(self, request: Request) -> Co[Exchange]:
        """Send *request* with its body.

        The request is not changed. It may be sent again if its body can be: bytes always,
        a stream that is seekable from where it stood at first, a list of pieces. Content-MD5 is
        added to bytes only if the connection was made with ``content_md5=True``.

        Returns:
            The exchange, as `co_send_request` does. With `BodyFollowing` the body is to
            be written.

        Raises:
            StateError: the body has been read and cannot be read again, or is shorter
                than it was when its length was found out, which breaks the connection.
            ConnectionClosed, AnsweredEarly: see `co_write`.
            TypeError: *request* is no `Request`; nothing was sent.
            Exception: what reading the body raises; the connection is then broken.
            DugongError: what `co_send_request` and `co_write` raise.

        """
        if not isinstance(request, Request):
            raise not_a_request(request)
        if is_whole(request.body):
            body = cast("Buffer | BodyFollowing | None", request.body)
            exchange, head, whole = self._build(
                request.method, request.target, request.headers, body, False, with_md5=False
            )
            going = self._sending.request(exchange, head, whole)
            if going is not None:
                yield from going
            return exchange
        source = request.source()
        try:
            length = source.begin()
        except StateError as exc:
            self.label_error(exc, request.method, request.target)
            raise
        try:
            exchange = yield from self.co_send_request(
                request.method, request.target, request.headers, BodyFollowing(length)
            )
        except BaseException:
            source.restore()
            raise
        complete = False
        try:
            while data := (yield from source.co_next()):
                yield from self.co_write(data)
            yield from self.co_finish()
            complete = True
        except DugongError as exc:
            self.label_error(exc, request.method, request.target)  # if it is the source's
            raise
        finally:
            if not complete:
                self.give_up(exchange)
        return exchange

    def give_up(self, exchange: Exchange) -> None:
        """Say that the rest of a request's body will not be written.

        Its end cannot be told to the server, so the connection is broken: sending and reading
        raise `ConnectionClosed` until `reset`. Nothing happens if the body is complete, or if the
        server has answered before it had the whole body: the answer can be read.
        """
        self._sending.give_up(exchange)

    def co_next_response(self) -> Co[HTTPResponse | None]:
        """Read the next response, as `co_read_response`; None if none is pending.

        Made for loops that end with None. Each body has to be read before the next turn.

        Raises:
            DugongError: what `co_read_response` raises.

        """
        if not self.response_pending():
            return None
        return (yield from self.co_read_response())

    def is_open(self) -> bool:
        """Return True if there is a connection that takes another request. Never blocks.

        While no response is pending it looks at the socket, so that it sees if the server
        has closed the connection, in order or not, or has sent what nobody asked for.
        Nothing of that is lost. Between two looks nobody watches an idle connection.
        """
        link = self._link
        if link.state is not Link.OPEN:
            return False
        return bool(link.pending) or self._receiving.is_silent()

    def tell_retry(self, failure: Exception | None, requests: int = 1) -> None:
        """Tell the trace, if there is one, that requests are about to be sent again.

        The event is ``connection.retry``. `Pipeline` tells it; so may you if you repeat
        requests. Nothing else happens.

        Args:
            failure: why.
            requests: how many there are.

        Raises:
            BaseException: what the trace raises.

        """
        self._link.tell_retry(failure, requests)

    @property
    def close_reason(self) -> Exception | None:
        """What ended the connection; None if it has not ended, or has ended in order.

        In order it is ended by `close`, and by the response after which it is not used
        again. When it is opened again the reason is forgotten.
        """
        return self._link.closing.reason

    def co_wait_closed(self) -> Co[Exception | None]:
        """Wait until the connection ends, however that happens; return `close_reason`.

        Without a connection the end of the next one is waited for, unless there has been one.
        It does not watch the socket: what another operation, or `is_open`, finds out is
        what it hears of. After an error it is still to be given back, by `close`.
        """
        closing = self._link.closing
        if not closing.done:
            with Wake() as wake:
                closing.add(wake.set)
                yield from wake.co_wait()
        return closing.reason
