"""``get`` and ``put``: downloading or uploading one file, in bounded memory.

Not here: the arguments (options.py), the files (output_file.py, upload.py), error responses
(error_page.py), and the exit status (outcome.py).
"""

from __future__ import annotations

from typing import Final

from ..connection.connection import HTTPConnection
from ..connection.exchange import HTTPResponse
from ..errors import ConnectionClosed, ContinueTimedOut, DugongError
from ..http.headers import Headers
from ..http.redaction import mask_target
from ..http.request import BodyFollowing
from ..http.url import URL
from .error_page import show_page
from .outcome import (
    REDIRECTED,
    REFUSED,
    SUCCESS,
    CommandFailed,
    reason_of,
    status_of,
)
from .output_file import OutputFile
from .progress import progress_bar
from .standard import Writer, complain, standard_output
from .upload import PIECE, Upload

ASK_FIRST: Final = 1 << 20  # bytes of a body with which the request expects 100 (Continue)
CONTINUE_TIME: Final = 1.0  # seconds to wait for it, as curl does
CONTINUE: Final = 100
PARTIAL: Final = 206


def get(
    conn: HTTPConnection,
    url: URL,
    fields: Headers,
    file: OutputFile | None,
    patience: float | None,
) -> int:
    """Download *url* into *file*, or to standard output if it is None.

    Args:
        conn: a connection to the server.
        url: URL of the resource.
        fields: header fields of the request.
        file: the file to write.
        patience: seconds for which a non-blocking output may take nothing; None for no limit.

    Returns:
        Exit status, see `status_of`. Unless it is 0 nothing is written to *file* or to
        standard output, and the body of an error is written to standard error.

    Raises:
        CommandFailed: the download failed; *file* is unchanged.
        InvalidRequest: *url* or *fields* cannot be sent.
        OSError: *file* or standard output cannot be written; `TimeoutError` after *patience*.

    """
    conn.send_request("GET", url.target, fields)
    response = conn.read_response()
    if status_of(response.status) != SUCCESS:
        return _not_done(conn, url, response, patience)
    if response.status == PARTIAL and "range" not in fields:
        raise CommandFailed(f"{_told(url, response)}, a part that nobody has asked for")
    with standard_output(patience) if file is None else file.open(patience) as output:
        _copy_body(conn, output, url, response.length, with_bar=not output.is_terminal)
    return SUCCESS


def put(
    conn: HTTPConnection, url: URL, fields: Headers, upload: Upload, patience: float | None
) -> int:
    """Upload *upload* to *url*, and write the body of the response to standard output.

    The arguments are those of `get`.

    Returns:
        Exit status, see `status_of`. Unless it is 0 nothing was stored.

    Raises:
        CommandFailed: the upload failed.
        InvalidRequest: *url* or *fields* cannot be sent.
        OSError: *upload* cannot be read.

    """
    response = _put(conn, url, fields, upload)
    if status_of(response.status) != SUCCESS:
        return _not_done(conn, url, response, patience)
    try:
        with standard_output(patience) as output:
            _copy_body(conn, output, url, None, with_bar=False)
    except BrokenPipeError:
        raise
    except (DugongError, OSError) as exc:
        if isinstance(exc, DugongError) and exc.url:  # the message names the request
            raise CommandFailed(f"{reason_of(exc)}; {_answer(response)} before") from exc
        raise CommandFailed(f"{_told(url, response)}, but: {reason_of(exc)}") from exc
    return SUCCESS


def _put(conn: HTTPConnection, url: URL, fields: Headers, upload: Upload) -> HTTPResponse:
    """Send the request and return the response, which may be an early one."""
    whole, size = upload.whole(), upload.size
    asks = (size is None or size >= ASK_FIRST) and "expect" not in fields
    try:
        if whole is not None:
            conn.send_request("PUT", url.target, fields, whole)
            return conn.read_response()
        conn.send_request("PUT", url.target, fields, BodyFollowing(size), expect100=asks)
        if asks:
            try:
                response = conn.read_response()
            except ContinueTimedOut:
                pass  # an old server: send the body anyway
            else:
                if response.status != CONTINUE:
                    return _early(url, response)
        _send_body(conn, url, upload)
    except ConnectionClosed as exc:
        if exc.request_sent == "no":
            raise
        try:  # an early response may explain the failure
            response = conn.read_response()
        except DugongError:
            raise exc from None  # no response: the failure of sending says more
        if exc.request_sent != "yes" and status_of(response.status) == SUCCESS:
            raise  # success is impossible without the whole body
        return _early(url, response)
    return conn.read_response()


def _early(url: URL, response: HTTPResponse) -> HTTPResponse:
    """Return *response*, which is an early one.

    Raises:
        CommandFailed: it reports success for a part of the body.

    """
    if status_of(response.status) == SUCCESS:
        raise CommandFailed(f"{_told(url, response)} before it had everything")
    return response


def _send_body(conn: HTTPConnection, url: URL, upload: Upload) -> None:
    with progress_bar(mask_target(url.target), upload.size) as bar:
        for piece in upload.pieces():
            conn.write(piece)
            bar.update(len(piece))
        conn.finish()


def _copy_body(
    conn: HTTPConnection, output: Writer, url: URL, length: int | None, *, with_bar: bool
) -> None:
    buffer = bytearray(PIECE)
    view = memoryview(buffer)
    with progress_bar(mask_target(url.target), length, wanted=with_bar) as bar:
        while count := conn.readinto(buffer):
            output.write(view[:count])
            bar.update(count)


def _told(url: URL, response: HTTPResponse) -> str:
    """Return a description of the request and its response."""
    return f"{response.method} {mask_target(str(url))}: {_answer(response)}"


def _answer(response: HTTPResponse) -> str:
    return f"the server answered {response.status} {response.reason}".rstrip()


def _not_done(
    conn: HTTPConnection, url: URL, response: HTTPResponse, patience: float | None
) -> int:
    """Report a response without success, and return the exit status."""
    status = status_of(response.status)
    line = _told(url, response)
    if status == REDIRECTED:
        place = response.headers.get("Location")
        to = "" if place is None else f" to {mask_target(str(place))}"
        line += f": a redirect{to}, which is not followed"
    complain(line, patience=patience)
    if status == REFUSED:
        show_page(conn, response, patience)
    return status
