"""Requests of the command line, and what becomes of their responses, in bounded memory.

Not here: the arguments (request_options.py), the client (clients.py), the files (output_file.py,
upload.py), error responses (error_page.py), and the exit status (outcome.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import BinaryIO, Final, NamedTuple, Protocol

from ..client.client import Client
from ..client.layers.retry import Retry
from ..client.progress import with_progress
from ..client.request import ClientRequest
from ..client.response import Response
from ..client.transfers.destination import Destination
from ..client.transfers.download import WHOLE, DownloadSettings
from ..client.transfers.downloading import (
    co_download_to,
    co_read_explanation,
    co_save_whole,
    prepare,
)
from ..client.transfers.ranges import asks_for_range
from ..errors import DugongError, StatusError
from ..http.redaction import mask_target
from ..http.request import is_whole
from ..polling.contract import Co
from .error_page import ErrorPage
from .heads import head_of
from .outcome import (
    REDIRECTED,
    REFUSED,
    SUCCESS,
    CommandFailed,
    names_url,
    reason_of,
    status_of,
    with_name,
)
from .progress import Bar, Bars
from .standard import Writer, binary, complain, is_terminal, standard_error, write_lines
from .stopping import signals_held

ASK_FIRST: Final = 1 << 20  # bytes of a body with which the request expects 100 (Continue)
PIECE: Final = 262144  # bytes of a body at once
PARTIAL: Final = 206
NEVER: Final = Retry(0)
OF_WHOLE: Final = DownloadSettings(NEVER, resume=False, synced=False)  # of what has come at once
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # nothing is done (RFC 9110 section 9.2.1)


class Output(Protocol):
    """Where a body is written: an `OutputFile`, or standard output.

    Attributes:
        destination: the regular file that is replaced by the complete one; None for other outputs.

    """

    @property
    def destination(self) -> Destination | None:
        """See above."""
        ...

    def open(self, patience: float | None, /) -> AbstractContextManager[Writer]:
        """Return a context with a writer."""
        ...

    def removed_on_signals(self) -> AbstractContextManager[None]:
        """See `OutputFile`."""
        ...


Choice = Callable[[Response], Output]


class Manner(NamedTuple):
    """How results are shown.

    Attributes:
        patience: seconds for which a non-blocking output may take nothing; None for no limit.
        is_quiet: True to report nothing but the exit status.
        with_head: True to put the head of a response in front of its body.
        is_decoded: True to take content codings off.
        retry: how often and when to go on if the connection is lost; None for never.
        with_page: True to show the body of an error response.

    """

    patience: float | None
    is_quiet: bool = False
    with_head: bool = False
    is_decoded: bool = False
    retry: Retry | None = None
    with_page: bool = True


class Transfers:
    """Sends requests, and writes the bodies of their responses.

    All methods that send return an exit status, see `status_of`. Unless it is 0, nothing is written
    to the output; the body of an error goes to standard error.

    Args:
        client: it sends.
        manner: see there.
        bars: shows the progress.

    Attributes:
        uses_streams: True once a server speaks HTTP/2, where many requests need one connection.

    """

    def __init__(self, client: Client, manner: Manner, bars: Bars) -> None:
        self._client = client
        self._manner = manner
        self._bars = bars
        self._open_line: ErrorPage | None = None  # the page whose last line has no end
        self.uses_streams = False

    def report(self, *texts: str) -> None:
        """Write each of *texts* as a line to standard error, unless nothing is to be reported."""
        if not self._manner.is_quiet:
            with self._bars.cleared():
                self._end_line()
                complain(*texts, patience=self._manner.patience)

    def _end_line(self) -> None:
        if self._open_line is not None:
            write_lines([""], self._manner.patience)
            self._open_line = None

    def co_send(self, request: ClientRequest, choose: Choice, title: str) -> Co[int]:
        """Send *request*, and write the body of its response.

        Args:
            request: made by the client.
            choose: called with a response of success; returns where its body goes.
            title: of bars.

        Raises:
            CommandFailed: it failed; a file is unchanged.
            DugongError: it failed in the network.
            OSError: a file, or the output, cannot be used; `TimeoutError` after the patience.

        """
        response = yield from self._co_respond(request, title)
        with response:
            if response.http_version == "2":
                self.uses_streams = True
            if status_of(response.status_code) != SUCCESS:
                return (yield from self._co_not_done(response))
            if response.answered_early:
                raise CommandFailed(f"{_told(response)} before it had everything", names_url=True)
            if response.status_code == PARTIAL and "range" not in request.headers:
                raise CommandFailed(
                    f"{_told(response)}, a part that nobody has asked for", names_url=True
                )
            if request.method not in SAFE:
                yield from self._co_write_after(response, choose, title)
                return SUCCESS
            output = choose(response)
            if self._is_file(request, response, output):
                if response.is_whole:
                    return (yield from self._co_save_whole(output, title, response))
                return (yield from self._co_save(request, output, title, response))
            yield from self._co_write(response, output, title)
        return SUCCESS

    def _co_respond(self, request: ClientRequest, title: str) -> Co[Response]:
        """Send *request* and return its response, whose body has not been read."""
        body = request.body
        if body is None:
            return (yield from self._client.co_send(request, stream=True))
        size = len(body) if isinstance(body, bytes) else getattr(body, "length", None)
        is_large = size is None or size >= ASK_FIRST
        request.expect100 = is_large and "expect" not in request.headers
        if is_whole(body):
            return (yield from self._client.co_send(request, stream=True))
        from ..client.transfers.upload_body import FileBody  # noqa: PLC0415 - 3 ms, for uploads

        with self._bars.bar(title, size) as bar:
            if isinstance(body, FileBody):
                body.progress = bar.show
            else:
                request.body = with_progress(body, bar.show)
            return (yield from self._client.co_send(request, stream=True))

    def _is_file(self, request: ClientRequest, response: Response, output: Output) -> bool:
        """Return True if *output* becomes what the URL is, byte by byte."""
        if request.method != "GET" or response.status_code not in WHOLE:
            return False
        if output.destination is None or self._manner.with_head or asks_for_range(request):
            return False
        return not self._is_decoded(response)

    def _co_write(self, response: Response, output: Output, title: str) -> Co[None]:
        is_head = _method(response) == "HEAD"
        with output.open(self._manner.patience) as writer:
            if is_head or self._manner.with_head:
                writer.write(head_of(response))
            if not is_head:
                yield from self._co_copy(response, writer, title)

    def _is_decoded(self, response: Response) -> bool:
        return self._manner.is_decoded and response.field("content-encoding") is not None

    def _co_write_after(self, response: Response, choose: Choice, title: str) -> Co[None]:
        """Write what the server answers to a request that has changed something there."""
        try:
            yield from self._co_write(response, choose(response), title)
        except BrokenPipeError:
            raise
        except (DugongError, OSError) as exc:
            if names_url(exc):
                raise CommandFailed(
                    f"{reason_of(exc)}; {_answer(response)} before", names_url=True
                ) from exc
            line = f"{_told(response)}, but: {reason_of(exc)}"
            raise CommandFailed(line, names_url=True) from exc

    def _co_copy(self, response: Response, output: Writer, title: str) -> Co[None]:
        is_decoded = self._is_decoded(response)
        total = None if is_decoded else response.length
        wanted = not output.is_terminal and _method(response) == "GET"
        with self._bars.bar(title, total, wanted=wanted) as bar:
            if output.file is not None and not is_decoded:
                yield from _co_move(response, output.file, output.name, bar)
                return
            if is_decoded:
                for piece_op in response.co_iter_bytes():
                    piece = yield from piece_op
                    if piece is not None:
                        output.write(piece)
                        bar.update(len(piece))
                return
            view = memoryview(bytearray(PIECE))
            for count_op in response.co_iter_into(view):
                count = yield from count_op
                if count is not None:
                    output.write(view[:count])
                    bar.update(count)

    # ---- downloads into files

    def co_resume(self, request: ClientRequest, file: Output, name: str, title: str) -> Co[int]:
        """Download into *file*; go on with the part that an earlier attempt has left.

        Args:
            request: see `co_send`; without Range.
            file: what the complete part becomes.
            name: of the file, for errors.
            title: see `co_send`.

        Raises:
            CommandFailed, DugongError, OSError: see `co_send`; what has arrived is in the part.

        """
        if file.destination is None:
            raise CommandFailed(f"{name}: only the download of a regular file can go on")
        return self._co_save(request, file, title)

    def _co_save(
        self, request: ClientRequest, file: Output, title: str, first: Response | None = None
    ) -> Co[int]:
        """Download into *file*: by way of a part that is left to other attempts, or of none.

        Without such a part the end does not wait for the storage: only what a record claims has to
        be there.

        Args:
            request: see `co_send`.
            file: see `co_resume`.
            title: see `co_send`.
            first: the response to *request*; None to send it, and to use a part.

        """
        destination, retry = file.destination, self._manner.retry
        assert destination is not None
        prepare(request, request.headers)
        bars: list[Bar] = []
        with ExitStack() as stack:
            stack.enter_context(file.removed_on_signals())

            def show(count: int, total: int | None) -> None:
                if not bars:
                    bar = self._bars.bar(title, total, done=count)
                    bars.append(stack.enter_context(bar))
                bars[0].show(count)

            settings = DownloadSettings(
                retries=retry or NEVER, client_retries=retry is not None, progress=show,
                resume=first is None, synced=first is None,
            )  # fmt: skip
            try:
                yield from co_download_to(
                    destination, self._client.co_send, request, settings, signals_held, first
                )
            except StatusError as exc:
                refusal: Response = exc.response
            else:
                return SUCCESS
        with refusal:
            return (yield from self._co_not_done(refusal))

    def _co_save_whole(self, file: Output, title: str, response: Response) -> Co[int]:
        """Write a body that has come with the head of *response* into *file*."""
        destination, request = file.destination, response.request
        assert destination is not None
        assert request is not None
        with self._bars.bar(title, response.length) as bar, file.removed_on_signals():
            result = yield from co_save_whole(
                destination, request, OF_WHOLE, response, signals_held
            )
            bar.show(result.size)
        return SUCCESS

    # ---- responses without success

    def _co_not_done(self, response: Response) -> Co[int]:
        """Report a response without success, and return the exit status."""
        status = status_of(response.status_code)
        line = _told(response)
        if status == REDIRECTED:
            place = response.field("location")
            to = "" if place is None else f" to {mask_target(place)}"
            line += f": a redirect{to}, which is not followed"
        self.report(line)
        if self._manner.is_quiet:
            return status
        if self._manner.with_head or _method(response) == "HEAD":
            self._show_head(response)
        if status == REFUSED and not self._manner.with_page:
            with suppress(DugongError):  # so that the connection is used again
                yield from co_read_explanation(response)
        elif status == REFUSED:
            patience = self._manner.patience
            page = ErrorPage(response, patience, is_terminal(binary(sys.stderr)))
            while (data := (yield from page.co_read())) is not None:
                with self._bars.cleared():
                    if self._open_line is not page:
                        self._end_line()
                    self._open_line = None if page.show(data) else page
        return status

    def _show_head(self, response: Response) -> None:
        try:
            with standard_error(self._manner.patience) as error:
                error.write(head_of(response))
        except OSError:
            pass  # there is no way to report it


def _co_move(response: Response, file: BinaryIO, name: str, bar: Bar) -> Co[None]:
    """Have the system move the body into *file*, and follow the position of that."""
    start = os.lseek(file.fileno(), 0, os.SEEK_CUR) - bar.count
    moving = response.co_recv_to_file(file)
    try:
        for need in moving:
            bar.show(os.lseek(file.fileno(), 0, os.SEEK_CUR) - start)
            yield need
    except OSError as exc:
        raise exc if isinstance(exc, DugongError) else with_name(exc, name) from exc
    finally:
        moving.close()
        bar.show(os.lseek(file.fileno(), 0, os.SEEK_CUR) - start)


def _method(response: Response) -> str:
    return "" if response.request is None else response.request.method


def _told(response: Response) -> str:
    """Return a description of the request and its response."""
    return f"{_method(response)} {mask_target(str(response.url))}: {_answer(response)}"


def _answer(response: Response) -> str:
    return f"the server answered {response.status_code} {response.reason_phrase}".rstrip()
