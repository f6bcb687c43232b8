"""`Client.upload`: a file as the body of a request, and what becomes of it.

Not here: reading and sending the file (upload_body.py), and the arguments (options.py).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ...errors import (
    ContentChanged,
    DugongError,
    InvalidOption,
    StatusError,
    TransferError,
    TransferFileFailed,
)
from ...http.digest_fields import check_algorithm, digest_field
from ...http.redaction import MAX_PATH, mask_target, quoted
from ...http.validators import is_condition
from ...polling.contract import Co
from ...polling.numbers import check_flag
from ..layers.retry import Retry
from .budget import RETRIES, as_retry
from .options import (
    SAME_OF_UPLOAD,
    UploadOptions,
    as_flag,
    as_path,
    as_progress,
    as_rate,
    split_options,
)
from .results import UploadResult
from .resumable import ResumableUpload
from .upload_body import FileBody
from .upload_record import SUFFIX, open_upload_record

if TYPE_CHECKING:
    from ...http.url import URL
    from ..request import ClientRequest
    from ..response import Response

KNOWN: Final = frozenset(UploadOptions.__annotations__)
ASK_FIRST: Final = 1 << 20  # bytes of a body with which the request expects 100 (Continue)
CONTINUE_TIME: Final = 1.0  # seconds to wait for it, as curl does: not every server knows it
CONDITIONS: Final = ("if_match", "if_none_match")


def co_upload(
    build: Callable[..., ClientRequest],
    co_send: Callable[..., Co[Response]],
    source: str | os.PathLike[str] | BinaryIO,
    url: URL | str,
    options: UploadOptions,
    client_retry: Retry | None,
) -> Co[UploadResult]:
    """Upload a file; see `Client.co_upload`, also for what is raised.

    Args:
        build: `Client.build_request`.
        co_send: `Client.co_send`.
        source: see there.
        url: see there.
        options: see there; all are checked before an operation is returned.
        client_retry: what the client repeats requests by.

    """
    of_request, own = split_options(options, KNOWN, SAME_OF_UPLOAD)
    path = as_path(source)
    progress, rate = as_progress(own.get("progress")), as_rate(own.get("rate"))
    digest = None if own.get("digest") is None else check_algorithm(own["digest"])
    trailer = as_flag("trailer", own.get("trailer", False))
    if trailer and digest is None:
        raise InvalidOption("trailer: without digest there is nothing to send in it")
    expect100 = own.get("expect100")
    if expect100 is not None:
        check_flag("expect100", expect100)
    retry = of_request.pop("retry", client_retry or Retry())
    request = build(own.get("method", "PUT"), url, **of_request, retry=retry)
    conditional = [name for name in CONDITIONS if own.get(name) is not None]
    for name in conditional:
        request.headers.set(name.replace("_", "-").title(), as_condition(own[name]))
    if conditional and retry is not None:
        # After a lost answer the condition is about what the first attempt has left there.
        request.extensions["retry"] = only_unsent(retry)
    resumable = as_flag("resumable", own.get("resumable", False))
    retries = as_retry(own.get("retries", RETRIES)) if resumable or "retries" in own else None
    record = _record_path(own.get("record", False), path)
    _check_resumable(resumable=resumable, trailer=trailer, record=record)
    given = None if path is not None else FileBody(source)

    def co_run() -> Co[UploadResult]:
        with _opened(path, given) as body:
            body.progress, body.rate = progress, rate
            digests: tuple[str, ...] = ()
            if digest is not None:
                digests = (f"Repr-Digest {digest}",)
                yield from _co_prepare_digest(request, body, digest, trailer=trailer)
            response, sent = None, 0
            if resumable and retries is not None:
                response, sent = yield from _co_resumable(co_send, request, body, retries, record)
            if response is None:
                response = yield from co_send_file(co_send, request, body, expect100)
                sent = body.total_sent
            size = body.sent if body.length is None else body.length
            return UploadResult(None if path is None else Path(path), size, sent, digests, response)

    return _co_labelled(co_run(), request)


def _check_resumable(*, resumable: bool, trailer: bool, record: Path | None) -> None:
    """Refuse options that do not go with resumable uploads, or only with these.

    Raises:
        InvalidOption: there is one.

    """
    if resumable and trailer:
        raise InvalidOption("trailer: a resumable upload has its digest in a header field")
    if record is not None and not resumable:
        raise InvalidOption("record: only a resumable upload can go on in another process")


def _record_path(value: Any, path: str | None) -> Path | None:
    """Return the path of the record, from the argument *record*; None for none.

    Args:
        value: the argument.
        path: of the file, beside which a record is by default; None if it has none.

    Raises:
        InvalidOption: there is no such place.
        TypeError, ValueError: *value* is neither a flag nor a possible path.

    """
    given = as_path(value)
    if given is not None:
        return Path(given)
    if not as_flag("record", value):
        return None
    if path is None:
        raise InvalidOption("record: a file object has no place beside it: give the path")
    return Path(f"{path}{SUFFIX}")


def _co_resumable(
    co_send: Callable[..., Co[Response]],
    request: ClientRequest,
    body: FileBody,
    retries: Retry,
    path: Path | None,
) -> Co[tuple[Response | None, int]]:
    """Upload as `ResumableUpload` does; return the response, and the bytes that were sent."""
    if body.length is None or not body.rewindable():
        raise InvalidOption("resumable: the file has to have a size, and positions")
    with ExitStack() as stack:
        record = None
        if path is not None:
            if body.version is None:
                raise InvalidOption("record: only for files of the system")
            record = stack.enter_context(open_upload_record(path, request, body.version))
        upload = ResumableUpload(co_send, request, body, retries, record)
        response = yield from upload.co_run()
    if response is not None:
        check_success(response, body)
    return response, upload.sent


def only_unsent(retry: Retry) -> Retry:
    """Return *retry* for requests that are repeated only if nothing of them was processed."""
    return Retry(
        retry.total,
        statuses=(),
        methods=(),
        backoff=retry.backoff,
        max_wait=retry.max_wait,
        jitter=retry.jitter,
        budget=retry.budget,
    )


def co_send_file(
    co_send: Callable[..., Co[Response]],
    request: ClientRequest,
    body: FileBody,
    expect100: bool | None = None,
) -> Co[Response]:
    """Send *request* with *body*, and return its response, if that is a success.

    Args:
        co_send: `Client.co_send`.
        request: without a body.
        body: the file.
        expect100: True to wait for 100 (Continue); None to do that with a large file.

    Raises:
        StatusError: the response is no success.
        TransferError: it came before everything was sent.
        ContentChanged: the file has changed meanwhile.
        DugongError: see `Client.co_send`.

    """
    request.body = body
    is_large = body.length is None or body.length >= ASK_FIRST
    request.expect100 = (is_large if expect100 is None else bool(expect100)) and (
        "expect" not in request.headers
    )
    if request.expect100 and request.timeouts is not None:
        request.timeouts = request.timeouts.waiting_100(CONTINUE_TIME)
    response = yield from co_send(request)
    check_success(response, body)
    return response


def check_success(response: Response, body: FileBody) -> None:
    """Check that *response* is a success, and is about all of *body*, which has not changed.

    Raises:
        StatusError, TransferError, ContentChanged: see `co_send_file`.

    """
    if not response.is_success:
        raise StatusError(f"the server answered {response.status_code}", response=response)
    if response.answered_early:
        error = TransferError(
            f"the server answered {response.status_code} before it had everything",
            path=body.name,
            offset=body.sent,
            limit=body.length,
        )
        error.request_sent = "yes"
        raise error
    try:
        body.check()
    except ContentChanged as exc:
        exc.add_note(f"the server answered {response.status_code}: it may have bytes of both")
        exc.response = response
        raise


def _co_prepare_digest(
    request: ClientRequest, body: FileBody, algorithm: str, *, trailer: bool
) -> Co[None]:
    """Send the digest in front of the body, which is read twice for that, or behind it."""
    if trailer:
        body.follow(algorithm)
        request.headers.set("Trailer", "Repr-Digest")
        return
    value = yield from body.co_digest(algorithm)
    request.headers.set("Repr-Digest", digest_field(algorithm, value))


@contextmanager
def _opened(path: str | None, given: FileBody | None) -> Iterator[FileBody]:
    """Yield the body: of the file at *path*, or the one that was *given*."""
    if given is not None or path is None:
        assert given is not None
        yield given
        return
    # Not by pathlib, which would parse the path each time.
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - opening a FIFO would wait
        shown = quoted(path, MAX_PATH)
        raise InvalidOption(f"source: {shown} is no regular file; give a file object")
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - see above
        yield FileBody(file, 0, path)


def _co_labelled(going: Co[UploadResult], request: ClientRequest) -> Co[UploadResult]:
    """Say in errors what they are about."""
    try:
        return (yield from going)
    except DugongError as exc:
        if isinstance(exc, ContentChanged):
            exc.request_sent = "maybe"
        exc.request = exc.request or request
        exc.label(request.method, mask_target(str(request.url)))
        raise
    except OSError as exc:
        if request.attempts == 0:
            raise  # it could not be opened
        error = TransferFileFailed(
            f"the file cannot be read: {exc.strerror or exc}",
            error=exc,
            path=str(getattr(exc, "filename", None) or ""),
        )
        error.label(request.method, mask_target(str(request.url)))
        raise error from exc


def as_condition(value: Any) -> str:
    """Return an entity tag for a condition, or several.

    Raises:
        TypeError: it is no string.
        InvalidOption: it is no entity tag, and no list of them (RFC 9110 section 13.1.1).

    """
    if not isinstance(value, str):
        raise TypeError("if_match and if_none_match are entity tags, or '*'")
    if not is_condition(value):
        raise InvalidOption(
            "if_match and if_none_match are '*', or entity tags with their quotes, such as "
            f"'\"1\"', not {quoted(value)}"
        )
    return value
