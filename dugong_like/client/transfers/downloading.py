"""`Client.download`: from arguments to a file under its final name.

Not here: the requests (download.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ...connection.refusals import co_read_refusal
from ...errors import (
    MAX_REFUSAL_BODY,
    ConnectionTimedOut,
    DigestMismatch,
    InvalidOption,
    StatusError,
    TransferFileFailed,
    TransportError,
)
from ...http.headers import Headers
from ...http.redaction import MAX_PATH, mask_target, quoted
from ...polling.contract import Co
from ..decoding import ReadingOptions
from ..request_building import merged_fields
from .budget import RETRIES, as_retry
from .destination import Destination
from .digests import as_sha256
from .download import WHOLE, Download, DownloadSettings
from .given_file import GivenFile
from .options import (
    DownloadOptions,
    as_flag,
    as_path,
    as_progress,
    as_ranges,
    as_rate,
    only_for_paths,
    split_options,
)
from .part import has_part, open_part
from .ranges import asks_for_range
from .results import DownloadResult
from .verification import check_body

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ...http.url import URL
    from ..layers.retry import Retry
    from ..request import ClientRequest
    from ..response import Response

SMALL: Final = 1 << 16  # bytes that are received before there is a file; as much as comes at once
KNOWN: Final = frozenset(DownloadOptions.__annotations__)


def co_download(
    build: Callable[..., ClientRequest],
    co_send: Callable[..., Co[Response]],
    url: URL | str,
    target: str | os.PathLike[str] | BinaryIO,
    options: DownloadOptions,
    client_retry: Retry | None,
) -> Co[DownloadResult]:
    """Download a file; see `Client.co_download`, also for what is raised.

    Args:
        build: `Client.build_request`.
        co_send: `Client.co_send`.
        url: see there.
        target: see there.
        options: see there; all are checked before an operation is returned.
        client_retry: what the client repeats requests by.

    """
    of_request, own = split_options(options, KNOWN)
    path = as_path(target)
    retry = of_request.get("retry", client_retry)
    settings = DownloadSettings(
        retries=as_retry(own.get("retries", RETRIES)),
        client_retries=retry is not None,
        ranges=as_ranges(own.get("ranges", 1)),
        sha256=None if own.get("sha256") is None else as_sha256(own["sha256"]),
        progress=as_progress(own.get("progress")),
        rate=as_rate(own.get("rate")),
        sparse=as_flag("sparse", own.get("sparse", False)),
        preallocate=as_flag("preallocate", own.get("preallocate", True)),
        resume=as_flag("resume", own.get("resume", True)),
        synced=as_flag("fsync", own.get("fsync", True)),
    )
    request = build("GET", url, **of_request, stream=True)
    prepare(request, of_request.get("headers"))
    if path is None:
        given = GivenFile(target)
        only_for_paths(own, ("sparse",))
        if settings.ranges > 1:
            raise InvalidOption("ranges are for files that are given by their path")
        return _co_explained(Download(co_send, request, given, settings).co_run())

    def co_to_path() -> Co[DownloadResult]:
        destination = Destination(Path(os.path.realpath(path)))
        if not destination.is_regular:
            shown = quoted(os.fspath(path), MAX_PATH)
            raise InvalidOption(
                f"target: {shown} is no regular file, which could be replaced; give a file object"
            )
        return (yield from co_download_to(destination, co_send, request, settings))

    return _co_explained(co_to_path())


def prepare(request: ClientRequest, given: Any) -> None:
    """Have *request* ask for the bytes as they are: ranges count encoded ones.

    Args:
        request: of the client.
        given: the argument *headers*, which may ask for other codings.

    Raises:
        InvalidOption: it asks for a range, which a download does by itself.

    """
    if asks_for_range(request):
        raise InvalidOption("headers: Range and If-Range are set by the download")
    if "accept-encoding" not in Headers.of(merged_fields([], given)):
        request.headers.set("Accept-Encoding", "identity")
    request.decompress = False


def co_download_to(
    destination: Destination,
    co_send: Callable[..., Co[Response]],
    request: ClientRequest,
    settings: DownloadSettings,
    held: Callable[[], AbstractContextManager[object]] | None = None,
    first: Response | None = None,
) -> Co[DownloadResult]:
    """Download into a file; see `Client.co_download`.

    Up to `SMALL` bytes, or what has come with the head of the response, get the name of the file in
    one step. Others are in a part until they are complete, and so is what an earlier run has left.

    Args:
        destination: the file.
        co_send: `Client.co_send`.
        request: see `prepare`.
        settings: see `Download`.
        held: see `Destination.take`; None to hold nothing.
        first: the response to *request*; not with a part of another run. None to send it.

    Raises:
        StatusError: see `Download.co_run`; the body of its response is unread.
        DugongError, OSError: see `Client.co_download`.

    """
    begun: Response | TransportError | None = first
    if first is None and _may_be_whole(settings) and not has_part(destination):
        try:
            begun = yield from co_send(request, stream=True)
        except TransportError as exc:
            begun = exc
    response = None if isinstance(begun, TransportError) else begun
    try:
        if response is not None and _is_small(response):
            try:
                return (yield from co_save_whole(destination, request, settings, response, held))
            except TransportError as exc:
                begun = exc  # so much is received once more, if there are more attempts
                response.close()
        return (yield from _co_save_part(destination, co_send, request, settings, begun, held))
    except StatusError:
        raise  # its body is read by the caller
    except BaseException:
        if response is not None:
            response.close()
        raise


def _may_be_whole(settings: DownloadSettings) -> bool:
    """Return True unless the settings are about bytes that arrive one after the other."""
    return settings.ranges == 1 and settings.rate is None and not settings.sparse


def _is_small(response: Response) -> bool:
    """Return True if no part is worth while for the body of *response*."""
    if response.status_code not in WHOLE:
        return False
    return response.is_whole or (response.length is not None and response.length <= SMALL)


def co_save_whole(
    destination: Destination,
    request: ClientRequest,
    settings: DownloadSettings,
    response: Response,
    held: Callable[[], AbstractContextManager[object]] | None = None,
) -> Co[DownloadResult]:
    """Write a body that is small, or has been received, into the file: there is no part of it.

    Args:
        destination: the file.
        request: see `prepare`.
        settings: see `Download`.
        response: of success, with all bytes; its body is unread.
        held: see `Destination.take`; None to hold nothing.

    Raises:
        DigestMismatch: a digest differs; the file is unchanged.
        DugongError: the body cannot be read; the same holds.
        TransferFileFailed: it cannot be written.

    """
    data = yield from response.co_read()  # nothing is to be decoded, see `prepare`
    size = len(data)
    try:
        digests = check_body(response, data, settings.sha256)
    except DigestMismatch as exc:
        exc.path, exc.request, exc.request_sent = destination.name, exc.request or request, "yes"
        exc.label(request.method, mask_target(str(request.url)))
        raise
    if settings.progress is not None:
        settings.progress(0, size)
    try:
        yield from destination.co_write_whole(data, held or nullcontext, synced=settings.synced)
    except ConnectionTimedOut:  # a limit of the caller, which is an `OSError`, too
        raise
    except OSError as exc:
        what = f"{quoted(destination.name, MAX_PATH)}: {exc.strerror or exc}"
        raise _failed(exc, what, destination.name, 0, size, request) from exc
    if settings.progress is not None:
        settings.progress(size, size)
    return DownloadResult(destination.path, size, size, 0, digests, response)


def _co_save_part(
    destination: Destination,
    co_send: Callable[..., Co[Response]],
    request: ClientRequest,
    settings: DownloadSettings,
    begun: Response | TransportError | None,
    held: Callable[[], AbstractContextManager[object]] | None,
) -> Co[DownloadResult]:
    """Receive bytes into a part, which becomes the file when it is complete."""
    synced = settings.synced
    url = str(request.url.copy_with(fragment=""))
    with open_part(destination, url, resume=settings.resume, synced=synced) as part:
        download = Download(co_send, request, part, settings, begun)
        is_complete = False
        try:
            result = yield from download.co_run()
            is_complete = True
        except DigestMismatch:
            part.remove()
            raise
        finally:
            if not is_complete:
                part.leave()
        try:
            destination.take(part.stream, part.path, held or nullcontext, synced=synced)
            part.forget()  # before the operation may be given up
            if synced:
                yield from destination.co_sync_folder(result.size)
        except ConnectionTimedOut:
            raise
        except OSError as exc:
            size = result.size
            error = _failed(exc, str(exc), str(exc.filename), size, size, request)
            error.add_note(f"all bytes are in {part.name}")
            raise error from exc
    return DownloadResult(destination.path, *result[1:])


def _failed(
    exc: OSError, what: str, path: str, offset: int, size: int, request: ClientRequest
) -> TransferFileFailed:
    error = TransferFileFailed(what, error=exc, path=path, offset=offset, limit=size)
    error.label(request.method, mask_target(str(request.url)))
    return error


def _co_explained(going: Co[DownloadResult]) -> Co[DownloadResult]:
    """Read the body of a response that is an error, before that is raised."""
    try:
        return (yield from going)
    except StatusError as exc:
        yield from co_read_explanation(exc.response)
        raise


def co_read_explanation(response: Response) -> Co[None]:
    """Read the body of *response*, a refusal, if it is neither large nor late, and close it."""
    own = response.options
    most = MAX_REFUSAL_BODY if own.max_body is None else min(own.max_body, MAX_REFUSAL_BODY)
    response.options = ReadingOptions(own.decompress, most, own.default_encoding, own.loads)
    try:
        if not response.is_closed:
            yield from co_read_refusal(response.co_read())
    finally:
        response.close()
