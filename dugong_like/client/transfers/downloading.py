"""`Client.download`: from arguments to a file under its final name.

Not here: the requests (download.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ...errors import (
    MAX_REFUSAL_BODY,
    BodyTooLarge,
    DigestMismatch,
    InvalidOption,
    StatusError,
    TransferFileFailed,
)
from ...http.headers import Headers
from ...http.redaction import mask_target
from ...polling.contract import Co
from ..request_building import merged_fields
from ..response import ReadingOptions
from .budget import RETRIES, as_retry
from .destination import Destination
from .digests import as_sha256
from .download import Download, DownloadSettings
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
from .part import open_part
from .ranges import asks_for_range
from .results import DownloadResult

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ...http.url import URL
    from ..layers.retry import Retry
    from ..request import ClientRequest
    from ..response import Response

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
    request = build("GET", url, **of_request)
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
            raise InvalidOption("target: only a regular file can be replaced; give a file object")
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
    """Download into a file by way of a part; see `Client.co_download`.

    Args:
        destination: the file.
        co_send: `Client.co_send`.
        request: see `prepare`.
        settings: see `Download`.
        held: see `Destination.take`; None to hold nothing.
        first: see `Download`; not with a part of another run.

    Raises:
        StatusError: see `Download.co_run`; the body of its response is unread.
        DugongError, OSError: see `Client.co_download`.

    """
    synced = settings.synced
    url = str(request.url.copy_with(fragment=""))
    with open_part(destination, url, resume=settings.resume, synced=synced) as part:
        download = Download(co_send, request, part, settings, first)
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
            if held is None:
                destination.take(part.stream, part.path)
            else:
                destination.take(part.stream, part.path, held)
            part.forget()  # before the operation may be given up
            if synced:
                yield from destination.co_sync_folder(result.size)
        except OSError as exc:
            raise _not_taken(exc, part.name, result.size, request) from exc
    return DownloadResult(destination.path, *result[1:])


def _not_taken(exc: OSError, name: str, size: int, request: ClientRequest) -> TransferFileFailed:
    error = TransferFileFailed(str(exc), error=exc, path=str(exc.filename), offset=size, limit=size)
    error.add_note(f"all bytes are in {name}")
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
    """Read the body of *response*, if it is not large, and close it."""
    own = response.options
    most = MAX_REFUSAL_BODY if own.max_body is None else min(own.max_body, MAX_REFUSAL_BODY)
    response.options = ReadingOptions(own.decompress, most, own.default_encoding, own.loads)
    try:
        if not response.is_closed:
            yield from response.co_read()
    except BodyTooLarge:
        pass
    finally:
        response.close()
