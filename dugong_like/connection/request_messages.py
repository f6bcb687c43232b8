"""The messages of requests: exchange, head and body for the arguments of a call.

Arguments are checked here, before anything is sent. Heads that were built before are remembered.

Not here: the operations that send them (operations.py), and the text of a head
(http/h1/request_head.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from ..errors import InvalidRequest, StateError
from ..http.arguments import Buffer, as_bytes, as_string, iterate
from ..http.h1.body_fields import EMPTY, framing_lines
from ..http.h1.request_head import closes
from ..http.header_validation import (
    NO_FIELDS,
    FieldLines,
    as_lines,
    check_meaning,
    check_version_0,
)
from ..http.headers import Fields
from ..http.redaction import quoted, shown_text
from ..http.request import BodyFollowing, Request, is_whole
from ..http.request import Source as BodySource
from ..http.target import Target
from ..polling.contract import Co
from ..polling.fairness import STEP, TURN
from ..polling.wake import co_checkpoint
from .exchange import Exchange
from .shared import label

if TYPE_CHECKING:
    from .config import ConnectionConfig
    from .session import Whole

AT_ONCE: Final = TURN // STEP  # requests that are built before others have their turn
MOST_KNOWN: Final = 128  # heads of requests to one origin that are remembered
COUNTS: Final = range(2, 5)  # arguments of a request for `co_send_requests`


class RequestMessages:
    """Builds the messages of the requests of one connection.

    Args:
        config: of the connection.
        content_md5: see `HTTPConnection`.

    Attributes:
        content_md5: as given; may be set.
        heads: builds heads.
        known: those of requests of `exchange` without a body, by method, target, and fields if
            there are.
        new_exchange: makes exchanges; set when the time limits of the connection change.

    """

    __slots__ = ("_route", "content_md5", "heads", "known", "new_exchange")

    def __init__(self, config: ConnectionConfig, content_md5: bool | None) -> None:
        self._route = config.route
        self.content_md5 = content_md5
        self.heads = config.heads
        self.known = config.heads.known
        self.new_exchange: Callable[[str, str], Exchange] = config.new_exchange

    def co_batch(self, requests: Iterable[tuple[Any, ...]], *, with_md5: bool) -> Co[list[Whole]]:
        """Return *requests*, checked and built, so that they can be sent together."""
        coming = iterate(requests, "requests", "an iterable of (method, path, headers, body)")
        batch: list[Whole] = []
        while some := list(itertools.islice(coming, AT_ONCE)):
            if batch:
                yield from co_checkpoint()
            batch += self._build_several(len(batch), some, with_md5)
        for exchange, _, _ in batch[:-1]:
            if exchange.closes or exchange.upgrades:
                what = f"{exchange} would be the last request of its connection"
                raise self._labelled(InvalidRequest(what), exchange)
        return batch

    def _build_several(
        self, place: int, requests: list[tuple[Any, ...]], with_md5: bool
    ) -> list[Whole]:
        """Return what `_build_whole` does of each; the first one is at *place*."""
        known = self.known.get
        heads: list[bytes | None]
        try:
            heads = [known((method, path, None)) for method, path in requests]
        except (TypeError, ValueError):  # something else than pairs of strings
            heads = [None] * len(requests)
        if None not in heads:
            all_known = cast("list[bytes]", heads)
            return [
                (Exchange(method, path), head, None)
                for (method, path), head in zip(requests, all_known, strict=True)
            ]
        places = itertools.count(place)
        return [
            (Exchange(*request), head, None)
            if head is not None
            else self._build_whole(place, request, with_md5)
            for request, head, place in zip(requests, heads, places, strict=False)
        ]

    def _build_whole(self, place: int, request: tuple[Any, ...], with_md5: bool) -> Whole:
        """Return an exchange, with head and body, that can be sent at once."""
        if not isinstance(request, tuple | list) or len(request) not in COUNTS:
            advice = ": send() and Pipeline take it" if isinstance(request, Request) else ""
            count = f" of {len(request)}" if isinstance(request, tuple | list) else ""
            raise TypeError(
                f"requests[{place}] is (method, path), perhaps with headers and body, not "
                f"{quoted(request)}{count}{advice}"
            )
        method, path, *more = request
        if not more and type(method) is str and type(path) is str:
            if (known := self.known.get((method, path, None))) is not None:
                return Exchange(method, path), known, None
            exchange, head, _ = self.whole(method, path, None, None)
            return exchange, head, None
        headers, body = (*more, None, None)[:2]
        if isinstance(body, BodyFollowing):
            raise TypeError("bodies of requests that are sent together cannot follow")
        exchange, head, whole = self.build(method, path, headers, body, False, with_md5=with_md5)
        return exchange, head, cast("memoryview | None", whole)

    def _labelled(self, exc: InvalidRequest, exchange: Exchange) -> InvalidRequest:
        """Return *exc*, about to be raised; in no variable, see `SharedState.labelled`."""
        label(exc, self._route, exchange)
        return exc

    def build(
        self,
        method: str,
        path: str,
        headers: Fields | None,
        body: Buffer | BodyFollowing | None,
        expect100: bool,
        *,
        with_md5: bool = True,
    ) -> tuple[Exchange, bytes, memoryview | BodyFollowing | None]:
        """Return an exchange, its head, and its body as it can be sent.

        *with_md5* says whether Content-MD5 is added if `content_md5` does not say.
        """
        try:
            if type(method) is not str or type(path) is not str:
                method = as_string(method, "method")
                path = path if type(path) is Target else as_string(path, "path")
            exchange = self.new_exchange(method, path)
            if headers is None and body is None and not expect100 and method != "CONNECT":
                framing = EMPTY.get(method, "")
                return exchange, self.heads.build(method, path, NO_FIELDS, framing), None
            fields = NO_FIELDS if headers is None else as_lines(headers)
            values = fields.values
            if body is not None and not isinstance(body, BodyFollowing):
                body = as_bytes(body, "body")
            expected = ""
            if expect100:
                from .h1 import expect_continue  # noqa: PLC0415 - few requests do that

                exchange.expects_continue = expect_continue.is_expected(body, values)
                expected = expect_continue.EXPECT if exchange.expects_continue else ""
            exchange.upgrades = method == "CONNECT" or "upgrade" in values
            check_meaning(values, method, body is not None)
            if not self.heads.minor:
                unknown = isinstance(body, BodyFollowing) and body.length is None
                check_version_0(values, chunked=unknown, expects=expect100)
            if self.content_md5 is not None:
                with_md5 = self.content_md5
            framing = framing_lines(method, values, body, with_md5=with_md5) + expected
            exchange.closes = closes(values, self.heads.minor)
            return exchange, self.heads.build(method, path, fields, framing), body
        except InvalidRequest as exc:
            self.label_error(exc, method, path)
            raise

    def label_error(self, exc: BaseException, method: str, path: str) -> None:
        """Say in *exc* that it is about a request of this connection, which is not sent yet.

        That is how the errors of `Request` objects and of streams get their URL. Nothing happens
        if it says already what it is about, or is no `DugongError`.

        Args:
            exc: what is about to be raised.
            method: request method.
            path: request target.

        """
        if isinstance(method, str) and isinstance(path, str):
            target = path if type(path) is Target else as_string(path, "path")
            label(exc, self._route, Exchange(shown_text(method), target))

    def whole(
        self, method: str, path: str, headers: Fields | None, body: Any
    ) -> tuple[Exchange, bytes, memoryview | Request | None]:
        """Return an exchange, its head, and its body; or a request whose head is not known yet."""
        known = self.known
        key: tuple[Any, ...] | None = None
        if body is None and (headers is None or isinstance(headers, FieldLines)):
            key = (method, path, headers)
            if (head := known.get(key)) is not None:
                return Exchange(method, path), head, None
        if isinstance(body, BodyFollowing):
            raise TypeError("a body of exchange() cannot follow: use send_request() and write()")
        if body is not None and not is_whole(body):
            request = Request(method, path, headers, body)
            return self.new_exchange(method, path), b"", request
        exchange, head, whole = self.build(method, path, headers, body, False, with_md5=False)
        if key is None or not self.heads.repeats or exchange.upgrades or exchange.closes:
            pass
        elif type(path) is str:  # a `Target` may have what a string of that text must not have
            if len(known) >= MOST_KNOWN:
                known.clear()
            known[key] = head
        return exchange, head, cast("memoryview | None", whole)

    def following(self, request: Request) -> tuple[Exchange, bytes, BodyFollowing, BodySource]:
        """Return an exchange, its head, and what announces and has its body, to be read."""
        source = request.source()
        try:
            following = BodyFollowing(source.begin())
        except StateError as exc:
            self.label_error(exc, request.method, request.target)
            raise
        try:
            exchange, head, _ = self.build(
                request.method, request.target, request.headers, following, False
            )
        except BaseException:
            source.restore()
            raise
        return exchange, head, following, source
