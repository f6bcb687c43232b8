"""Downloading a file: resumed, verified, and never half there under its name.

The state is which bytes are there (`Part.spans`), what their version is called (`validator`), and
the size of the whole, if it is known. The part of an earlier run begins with those of its record.

=========  ============================================  ==========================================
State      Event                                         Next
=========  ============================================  ==========================================
ASK        a gap is left: a request for it, with Range   RECEIVE, or what the response says:
           and If-Range if a version is there
..         200, 203                                      the version is a new one, or the server has
                                                         no ranges: begin anew with this body
..         200, 203, of this version, with another size  begin anew: ASK for all
..         206 with the bytes that were asked for        RECEIVE them
..         206 with other bytes, or of another version   begin anew: ASK for all
..         416, nothing is missing, and the size agrees  COMPLETE
..         416 otherwise                                 begin anew
..         anything else                                 failed (`StatusError`)
RECEIVE    the body has ended                            ASK for the next gap, or COMPLETE
..         the connection was lost                       after a pause ASK for the rest
COMPLETE   lengths and digests agree                     stored, renamed, recorded no longer: done
..         a digest differs                              the part is removed: failed
=========  ============================================  ==========================================

Beginning anew empties the record first, then the part. It happens `MAX_ANEW` times at most, and
lost connections have a budget (budget.py). A strong validator is needed to go on: without one a
lost connection begins anew, and nothing is left to another run.

With several ranges the first request asks for `LEAST` bytes: so it learns size and version, and
whether the server has ranges, without a body that is in the way. As soon as its head is there the
rest is split, and requested at the same time; that of the first range follows it. One that is done
takes over half of what the slowest has left, which ends when it gets there (`Ranges`). Each request
that finds another version ends all.

Not here: the arguments (options.py), the file (part.py, destination.py), and its bytes (mover.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from ...errors import (
    BodyTooLarge,
    ContentChanged,
    DeadlineExceeded,
    DugongError,
    StatusError,
    TransferError,
    TransferFileFailed,
    TransportError,
    UnusableRange,
)
from ...http.content_range import unsatisfied_size
from ...http.redaction import MAX_PATH, mask_target, quoted
from ...http.validators import strong_validator
from ...polling.combinators import several
from ...polling.contract import Co
from ..closing import co_pause_before
from .budget import Budget, may_go_on
from .mover import Mover, Progress, Target
from .ranges import LEAST, OtherVersion, Range, Ranges, check_part, range_fields, split
from .results import DownloadResult
from .verification import Verification

if TYPE_CHECKING:
    from ...http.digest_fields import FieldDigest
    from ...polling.rates import RateLimit
    from ..layers.retry import Retry
    from ..request import ClientRequest
    from ..response import Response

MAX_ANEW: Final = 3  # times: a server that has another version each time will not stop
WHOLE: Final = frozenset({200, 203})  # Non-Authoritative: of a proxy that has changed it
PARTIAL: Final = 206
NOT_SATISFIABLE: Final = 416  # the range (RFC 9110 section 15.5.17)


class DownloadSettings(NamedTuple):
    """How to download; see `Client.co_download`.

    Attributes:
        retries: failures of the connection.
        client_retries: True if the client repeats requests by itself.
        ranges: requests at the same time.
        sha256: the expected digest.
        progress: called with bytes that are there, and all.
        rate: of receiving.
        sparse: zeros become holes.
        preallocate: room is reserved.
        resume: see `open_part`.
        synced: the same.

    """

    retries: Retry
    client_retries: bool = False
    ranges: int = 1
    sha256: bytes | None = None
    progress: Progress | None = None
    rate: RateLimit | None = None
    sparse: bool = False
    preallocate: bool = True
    resume: bool = True
    synced: bool = True


class Download:
    """One download.

    Args:
        co_send: sends a request; see `Client.co_send`.
        request: without Range.
        target: where the bytes go.
        settings: see there.
        first: response to *request*, if that has been sent already: streamed, and nothing of its
            body was read; or why there is none.

    """

    def __init__(
        self,
        co_send: Callable[..., Co[Response]],
        request: ClientRequest,
        target: Target,
        settings: DownloadSettings,
        first: Response | TransportError | None = None,
    ) -> None:
        self._co_send = co_send
        self._request = request
        self._target = target
        self._settings = settings
        self._verification = Verification(
            target.spans, settings.sha256, can_read_back=target.can_read_back
        )
        self._mover = Mover(
            target, self._verification, settings.progress, settings.rate, sparse=settings.sparse
        )
        self._budget = Budget(settings.retries)
        self._until = math.inf if request.total is None else time.monotonic() + request.total
        if first is not None and request.deadline is not None:
            self._until = request.deadline  # its time counts as well
        self._anew = 0
        self._ranges = settings.ranges if target.can_open_twice() else 1
        self._first = first
        self._response: Response | None = None  # the last one
        self._resumed_from = 0

    def co_run(self) -> Co[DownloadResult]:
        """Download.

        Returns:
            What has come of it, without the path. The file is complete, and has no final name yet.

        Raises:
            StatusError: the status is that of no download. The body of the response is unread.
            DigestMismatch, ContentChanged, UnusableRange, TransferFileFailed: see there.
            DugongError: see `Client.co_send`, and `Response.co_read`.

        """
        target = self._target
        self._resumed_from = target.spans.count
        try:
            while gaps := self._gaps():
                try:
                    yield from self._co_round(gaps)
                except OtherVersion:
                    self._begin_anew()
            assert self._response is not None
            assert target.size is not None
            digests = yield from self._verification.co_check(target.number, target.size)
            yield from target.co_finish(target.size)
        except DugongError as exc:
            self._describe(exc)
            raise
        except OSError as exc:
            raise self._file_failed(exc) from exc
        return DownloadResult(
            None, target.size, self._mover.received, self._resumed_from, digests, self._response
        )

    def _gaps(self) -> list[tuple[int, int | None]]:
        """Return what is to be asked for; nothing at the end only."""
        target = self._target
        gaps = target.spans.missing(target.size)
        if not gaps and self._response is None:  # of an earlier run: is this still the version?
            return [(target.spans.end, None)]
        return gaps if target.size is not None else [(target.spans.prefix, None)]

    def _begin_anew(self) -> None:
        self._anew += 1
        if self._anew > MAX_ANEW:
            raise ContentChanged(
                f"the server sent another version each time ({MAX_ANEW} times)",
                offset=self._target.spans.count,
                limit=self._target.size,
            )
        self._begin(None, None)

    def _begin(self, validator: str | None, size: int | None) -> None:
        if self._target.spans.count:
            self._resumed_from = 0
        self._target.begin(validator, size)
        self._verification.begin()

    # ---- rounds

    def _co_round(self, gaps: list[tuple[int, int | None]]) -> Co[None]:
        """Ask for the first gap, or for all at the same time."""
        target = self._target
        missing = sum(end - begin for begin, end in gaps if end is not None)
        if self._ranges > 1 and target.validator is not None and missing >= 2 * LEAST:
            ranges = Ranges(split(gaps, self._ranges), target.spans)
            count = min(ranges.waiting, self._ranges)
            yield from several((self._co_ranges(ranges) for _ in range(count)), [], self._ranges)
            return
        begin, end = gaps[0]
        try:
            yield from self._co_ask(begin, None if end == target.size else end, alone=True)
        except TransportError as exc:
            yield from self._co_pause(exc)

    def _co_ranges(
        self, ranges: Ranges, first: Range | None = None, receiving: Co[None] | None = None
    ) -> Co[None]:
        """Receive one range after the other, while others are received.

        Args:
            ranges: all of them.
            first: the first one; None for the next of *ranges*.
            receiving: receives its first bytes; None if they have to be asked for.

        """
        bounds = first
        while (bounds := ranges.start(bounds)) is not None:
            try:
                while (begin := bounds.next(self._target.spans)) < bounds.end:
                    try:
                        if receiving is not None:
                            going, receiving = receiving, None
                            yield from going
                        else:
                            yield from self._co_ask(begin, bounds.end, alone=False, bounds=bounds)
                    except TransportError as exc:
                        yield from self._co_pause(exc)
            finally:
                ranges.finish(bounds)
            if bounds.is_cut and not ranges.waiting:
                return  # a new connection would be slow in the beginning
            bounds = None

    def _co_pause(self, exc: TransportError) -> Co[None]:
        """Wait before going on after *exc*, or raise it."""
        if not may_go_on(exc) or isinstance(exc, DeadlineExceeded):
            raise exc
        # The client has repeated a request that was not answered as often as it was told to.
        if exc.request_sent != "yes" and (self._response is None or self._settings.client_retries):
            raise exc
        if not self._budget.takes(self._mover.received):
            raise exc
        pause = self._budget.pause()
        if time.monotonic() + pause >= self._until:
            raise exc
        yield from co_pause_before(self._request, pause, "pause before a download goes on")

    # ---- one request

    def _co_ask(
        self, begin: int, end: int | None, *, alone: bool, bounds: Range | None = None
    ) -> Co[None]:
        """Ask for the bytes from *begin* to *end*, and receive what comes, of *bounds* if given."""
        target = self._target
        request = self._request.copy()
        if request.total is not None:
            request.total = max(self._until - time.monotonic(), 0)
        is_partial = target.validator is not None and (begin > 0 or end is not None)
        if is_partial:
            fields = range_fields(begin, end, target.validator)
        elif self._ranges > 1 and target.validator is None and self._anew == 0:
            begin, end, is_partial = 0, LEAST, True
            fields = range_fields(begin, end, None)
        else:
            fields = []
        for name, value in fields:
            request.headers.set(name, value)
        request.alone = not alone
        response = yield from self._co_respond(request)
        status = response.status_code
        if not (status in WHOLE or (is_partial and status in (PARTIAL, NOT_SATISFIABLE))):
            raise _refusal(response)
        with response:
            if status == PARTIAL:
                yield from self._co_part(response, begin, end, alone=alone, bounds=bounds)
            elif status == NOT_SATISFIABLE:
                self._judge_unsatisfied(response)
            elif alone:
                yield from self._co_whole(response)
            else:
                raise OtherVersion

    def _co_respond(self, request: ClientRequest) -> Co[Response]:
        """Return the response to *request*, which may be there, or fail as it has done before."""
        first, self._first = self._first, None
        if isinstance(first, TransportError):
            raise first
        return first or (yield from self._co_send(request, stream=True))

    def _co_whole(self, response: Response) -> Co[None]:
        """Begin anew with *response*, which has all bytes."""
        target = self._target
        validator = strong_validator(response, time.time())
        is_same = validator is not None and validator == target.validator
        if is_same and target.size is not None and response.length not in (None, target.size):
            raise OtherVersion  # not all of it: a part that the server calls the whole
        self._begin(validator, response.length)
        self._check_size(response, response.length)
        self._note(response)
        if self._settings.preallocate and not self._settings.sparse:
            target.reserve()
        at = yield from self._mover.co_move(response, 0, response.length, alone=True)
        self._verification.expect_trailers(response)
        if target.size is None:
            target.size = at
        self._check_progress(0, at, target.size)

    def _co_part(
        self, response: Response, begin: int, end: int | None, *, alone: bool, bounds: Range | None
    ) -> Co[None]:
        target = self._target
        found = check_part(response, begin, end, target.validator, target.size)
        is_first = target.validator is None  # of several
        if is_first:
            validator = strong_validator(response, time.time())
            if found.size is None or (validator is None and found.size > len(found)):
                self._ranges = 1  # nothing says that other ranges are of the same version
                return
            self._begin(validator, found.size)
            end = min(end or found.size, found.size)
        if target.size is None and found.size is not None:
            target.size = found.size
        self._check_size(response, found.size)
        body_digest = self._note(response)
        if self._settings.preallocate and not self._settings.sparse:
            target.reserve()
        behind = found.last + 1
        has_others = is_first and target.size is not None and target.size - behind >= LEAST
        if not has_others:
            yield from self._co_receive(
                response, begin, behind, end or target.size, body_digest, alone=alone, bounds=bounds
            )
            return
        assert target.size is not None
        share = min(max(target.size // self._ranges, behind), target.size)
        ranges = Ranges(split([(share, target.size)], self._ranges - 1), target.spans)
        bounds = Range(0, share)
        receiving = self._co_receive(
            response, begin, behind, end, body_digest, alone=False, bounds=bounds
        )
        others = (self._co_ranges(ranges) for _ in range(min(ranges.waiting, self._ranges - 1)))
        yield from several(
            chain([self._co_ranges(ranges, bounds, receiving)], others), [], self._ranges
        )

    def _co_receive(
        self,
        response: Response,
        begin: int,
        end: int,
        wanted: int | None,
        digest: FieldDigest | None,
        *,
        alone: bool,
        bounds: Range | None,
    ) -> Co[None]:
        """Receive the body of *response*, the bytes from *begin* to *end*, or what *bounds* needs.

        Args:
            response: with status 206.
            begin: see above.
            end: see above.
            wanted: where the bytes end that were asked for; None if that is unknown.
            digest: of the body; None if the header fields have none.
            alone: False if other bodies are received at the same time.
            bounds: the range it is a part of; None if there is only one.

        """
        target, verification = self._target, self._verification
        at = yield from self._mover.co_move(response, begin, end, alone=alone, bounds=bounds)
        if bounds is not None and bounds.end <= at < end:
            return  # another one has taken the rest over
        digest = verification.expect_trailers(response) or digest
        if digest is not None and target.number is not None:
            yield from verification.co_check_body(digest, target.number, begin, at)
        self._check_progress(begin, at, wanted)

    def _check_progress(self, begin: int, at: int, wanted: int | None) -> None:
        """Count a response that has not all that was asked for as a failure."""
        if wanted is not None and at < wanted and not self._budget.takes(self._mover.received):
            raise UnusableRange(
                f"the server sent {at - begin} bytes from {begin} on, and not all that is missing",
                offset=self._target.spans.count,
                limit=self._target.size,
            )

    def _judge_unsatisfied(self, response: Response) -> None:
        """Go on after 416: complete if nothing is missing, as If-Range names the version."""
        target = self._target
        size = unsatisfied_size(response.field("content-range"))
        complete = size is not None and size == target.spans.prefix == target.spans.end
        if not complete or target.size not in (None, size) or target.validator is None:
            raise OtherVersion
        target.size = size
        self._response = response

    def _note(self, response: Response) -> FieldDigest | None:
        """Note that *response* has bytes of the file; return the digest of its body, if any."""
        self._response = response
        if self._settings.progress is not None:
            self._settings.progress(self._target.spans.count, self._target.size)
        return self._verification.expect(response)

    def _check_size(self, response: Response, size: int | None) -> None:
        most = response.options.max_body
        if most is not None and size is not None and size > most:
            raise BodyTooLarge(f"the body has {size} bytes, more than {most}")

    # ---- errors

    def _describe(self, exc: DugongError) -> None:
        """Say in *exc* what it is about."""
        request = self._request
        exc.request = exc.request or request
        if isinstance(exc, TransferError):
            exc.path = exc.path or self._target.name
            exc.request_sent = "yes"
        exc.label(request.method, mask_target(str(request.url)))
        target, count = self._target, self._target.spans.count
        if isinstance(exc, TransportError) and target.keeps and target.validator and count:
            exc.add_note(
                f"{count} bytes are in {quoted(target.name, MAX_PATH)}: the next run goes on there"
            )

    def _file_failed(self, exc: OSError) -> TransferFileFailed:
        target = self._target
        of_all = "" if target.size is None else f" of {target.size}"
        what = exc.strerror or str(exc)
        name = quoted(target.name, MAX_PATH) if target.name else "the file"
        error = TransferFileFailed(
            f"{name}: {what} (bytes that are there: {target.spans.count}{of_all})",
            error=exc,
            path=target.name,
            offset=target.spans.count,
            limit=target.size,
        )
        self._describe(error)
        return error


def _refusal(response: Response) -> DugongError:
    """Return the error of a response that has no bytes of the file; its body stays unread."""
    phrase = quoted(response.reason_phrase)[1:-1]
    if response.status_code == PARTIAL:
        response.close()
        return UnusableRange(f"the server answered 206 {phrase}, a part that nobody has asked for")
    return StatusError(f"the server answered {response.status_code} {phrase}", response=response)
