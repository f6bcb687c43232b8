"""`MockDispatcher`: answers requests by rules, for tests of programs that use a client.

Not here: scripts of bytes, for tests of connections (transport/scripted.py).
"""

from __future__ import annotations

import copy
import json as json_module
import re
from collections.abc import Callable, Mapping
from types import GeneratorType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ...errors import DugongError, StateError
from ...http.arguments import check_callable
from ...http.auth.flow import co_each_piece
from ...http.redaction import mask_target, quoted
from ...http.url import URL
from ...polling.contract import Co
from ...polling.numbers import check_int
from ..response import Response

if TYPE_CHECKING:
    from ...http.headers import Fields
    from ..request import ClientRequest

Handler = Callable[["ClientRequest"], "Response | Co[Response] | None"]


class Call(NamedTuple):
    """A request that a `MockDispatcher` has got.

    Attributes:
        request: a copy of the request, as it was sent, with its body as bytes.
        content: its body.

    """

    request: ClientRequest
    content: bytes

    @property
    def method(self) -> str:
        """Request method."""
        return self.request.method

    @property
    def url(self) -> URL:
        """The URL."""
        return self.request.url

    def json(self) -> Any:
        """Return the value of the body, which is JSON. Raises ValueError if it is not."""
        return json_module.loads(self.content)


class Rule:
    """Which requests are answered, and how: made by `MockDispatcher.add`.

    Attributes:
        count: requests that it has answered.

    """

    def __init__(
        self,
        method: str | None,
        url: URL | str | re.Pattern[str] | None,
        body: bytes | str | None,
        json: Any,
        headers: Mapping[str, str] | None,
    ) -> None:
        self.count = 0
        self._method = None if method is None else method.upper()
        self._url = URL(url) if isinstance(url, str) else url
        self._body = body.encode() if isinstance(body, str) else body
        self._json = json
        self._headers = dict(headers or {})
        self._replies: list[Callable[[ClientRequest], Any]] = []
        self._most: int | None = None

    def reply(
        self,
        status_code: int = 200,
        headers: Fields | None = None,
        content: bytes | None = None,
        **options: Any,
    ) -> Self:
        """Answer with a response.

        Several replies are given one after the other; the last one for all further requests, unless
        `times` says otherwise.

        Args:
            status_code: see `Response`.
            headers: see `Response`.
            content: see `Response`.
            options: *text*, *json*, *reason_phrase* and others of `Response`.

        Raises:
            ValueError, TypeError: see `Response`.

        """
        Response(status_code, headers, content, **options)  # raises now what is wrong
        return self.by(lambda request: Response(
            status_code, headers, content, request=request, **options
        ))  # fmt: skip

    def fail(self, exc: Exception) -> Self:
        """Raise *exc* instead of a reply, for example ``ConnectionClosed("…")``.

        Each time it is another object, if it is an error of the library, as those name the request.
        """
        if not isinstance(exc, Exception):
            raise TypeError(f"fail() raises an exception, which {quoted(exc)} is not")

        def raise_it(_: ClientRequest) -> Response:
            raise copy.copy(exc) if isinstance(exc, DugongError) else exc

        return self.by(raise_it)

    def by(self, handler: Handler) -> Self:
        """Answer with what *handler* returns for the request: a response, or an operation."""
        check_callable(handler, "handler")
        self._replies.append(handler)
        return self

    def times(self, count: int) -> Self:
        """Answer *count* requests only; `MockDispatcher.check` misses the others."""
        check_int("count", count, 0)
        self._most = count
        return self

    @property
    def missing(self) -> int:
        """Number of requests that are still expected."""
        most = len(self._replies) if self._most is None else self._most
        return max(0, max(most, 1 if self._most is None else 0) - self.count)

    def fits(self, request: ClientRequest, content: bytes) -> bool:
        """Return True if *request*, with the body *content*, is to be answered by this rule."""
        if self._most is not None and self.count >= self._most:
            return False
        return (
            self._method in (None, request.method)
            and self._fits_url(request.url)
            and self._body in (None, content)
            and (self._json is None or _json_of(content) == self._json)
            and all(request.headers.get(name) == value for name, value in self._headers.items())
        )

    def _fits_url(self, url: URL) -> bool:
        if isinstance(self._url, re.Pattern):
            return self._url.fullmatch(str(url)) is not None
        return self._url is None or self._url == url

    def answer(self, request: ClientRequest) -> Any:
        """Return what answers *request*: a response, or an operation."""
        self.count += 1
        if not self._replies:
            return Response(200, request=request)
        return self._replies[min(self.count, len(self._replies)) - 1](request)

    def __str__(self) -> str:
        url = self._url.pattern if isinstance(self._url, re.Pattern) else self._url
        more = "" if self._body is None and self._json is None else " with a body"
        return f"{self._method or 'any method'} {url or 'any URL'}{more}"


class MockDispatcher:
    """Answers the requests of a client without a network.

    ``Client(dispatcher=mock)``. A context manager: leaving it calls `check`.

    Args:
        handler: a function that gets a copy of each request, with its body as bytes, and returns
            a `Response`, an operation that does, or None for the rules; None for rules only.

    Attributes:
        calls: the requests so far, each a `Call`.

    """

    def __init__(self, handler: Handler | None = None) -> None:
        check_callable(handler, "handler")
        self.calls: list[Call] = []
        self._handler = handler
        self._rules: list[Rule] = []
        self._refused: list[str] = []  # why requests were refused

    def add(
        self,
        method: str | None = None,
        url: URL | str | re.Pattern[str] | None = None,
        *,
        body: bytes | str | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Rule:
        """Add a rule. The first one that fits answers a request.

        Args:
            method: request method; None for any.
            url: the URL, or a pattern for all of its text; None for any.
            body: the body of the request; None for any.
            json: the value of its body; None for any.
            headers: fields that it has to have.

        Returns:
            The rule, which answers 200 without a body until `Rule.reply` or others are called.

        Raises:
            InvalidRequest: *url* is no URL.

        """
        rule = Rule(method, url, body, json, headers)
        self._rules.append(rule)
        return rule

    def co_dispatch(self, request: ClientRequest) -> Co[Response]:
        """Return the response of the first rule that fits *request*; see `Dispatcher`.

        Raises:
            StateError: no rule fits; the message has all of them.

        """
        request.attempts += 1
        pieces: list[bytes] = []
        yield from co_each_piece(request, lambda piece: pieces.append(bytes(piece)))
        content = b"".join(pieces)
        seen = _as_sent(request, content)
        self.calls.append(Call(seen, content))
        answer: Any = None if self._handler is None else self._handler(seen)
        if answer is None:
            answer = self._answer_by_rule(seen, content)
        if type(answer) is GeneratorType:
            answer = yield from answer
        if not isinstance(answer, Response):
            raise TypeError(f"a handler returns a Response or None, not {quoted(answer)}")
        answer.request = request
        if request.stream:
            answer.leave_unread()
        return answer

    def _answer_by_rule(self, request: ClientRequest, content: bytes) -> Any:
        for rule in self._rules:
            if rule.fits(request, content):
                return rule.answer(request)
        error = self._unexpected(request)
        self._refused.append(str(error))
        raise error

    def _unexpected(self, request: ClientRequest) -> StateError:
        rules = "; ".join(map(str, self._rules)) or "none"
        name = f"{request.method} {mask_target(str(request.url))}"
        return StateError(f"no rule of the MockDispatcher fits {name}. Its rules: {rules}")

    def check(self) -> None:
        """Check that each rule has answered as many requests as it has replies.

        Raises:
            AssertionError: one has not; or there was a request that no rule fits, whether the
                program has noticed its exception or not.

        """
        if self._refused:
            raise AssertionError("; ".join(self._refused))
        missing = [f"{rule} ({rule.missing} missing)" for rule in self._rules if rule.missing]
        if missing:
            raise AssertionError(f"requests that were expected did not come: {'; '.join(missing)}")

    def co_close(self) -> Co[None]:
        """Do nothing; see `Dispatcher`."""
        return
        yield

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        if kind is None:
            self.check()


def _as_sent(request: ClientRequest, content: bytes) -> ClientRequest:
    """Return *request* as it is now: the client may change it before it is sent again."""
    seen = copy.copy(request)
    seen.headers = request.headers.copy()
    seen.extensions = dict(request.extensions)
    seen.body = content if request.body is not None else None
    return seen


def _json_of(content: bytes) -> Any:
    try:
        return json_module.loads(content)
    except ValueError:
        return _json_of  # equal to no value
