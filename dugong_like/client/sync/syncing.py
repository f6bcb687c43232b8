"""`Client.sync`: from arguments to a run.

Not here: the run (run.py), and each kind of server (manifest.py, webdav.py).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from ...errors import DeadlineExceeded, InvalidOption, TransferError
from ...http.redaction import quoted, shown_url
from ...http.url import URL
from ...http.userinfo import split_credentials
from ...polling.contract import Co, within
from ..layers.retry import Retry
from ..transfers.downloading import co_read_explanation
from ..transfers.options import as_path
from .local import LocalFolder
from .manifest import ManifestRemote
from .options import SyncSettings
from .record import Record, paths_below, usual_place
from .remote import Build, Remote, Send, refusal
from .results import SyncResult
from .run import Sync
from .s3_service import S3Service, is_place, place_of
from .webdav import WebDAVRemote

if TYPE_CHECKING:
    from ...http.auth.flow import Auth
    from ..bulk.map_results import MapResults

URLS: Final = ("http://", "https://")
DENIED: Final = frozenset({401, 403})


class SyncParts(NamedTuple):
    """The parts of a client that are used here.

    Attributes:
        build: `Client.build_request`.
        co_send: `Client.co_send`.
        run_all: `Client.map`.
        retry: what the client repeats requests by.

    """

    build: Build
    co_send: Send
    run_all: Callable[..., MapResults]
    retry: Retry | None


def co_sync(
    parts: SyncParts, source: object, target: object, options: Mapping[str, Any]
) -> Co[SyncResult]:
    """Make one side like the other one; see `Client.co_sync`, also for what is raised.

    Args:
        parts: of the client.
        source: see there.
        target: see there.
        options: see there; all are checked before an operation is returned.

    """
    settings = SyncSettings(options)
    upload = is_remote(target)
    if upload == is_remote(source):
        raise InvalidOption(_why_no_pair(source, target))
    folder, place = (source, target) if upload else (target, source)
    root = as_path(folder)
    if root is None:
        raise TypeError(f"a folder is given by its path, not {quoted(folder)}")
    local = LocalFolder(root, follows=settings.follows_links, synced=settings.fsync)
    retry = parts.retry or Retry()

    in_s3 = place_of(place) if isinstance(place, str) and is_place(place) else None
    url, auth = _split(place) if in_s3 is None and isinstance(place, str | URL) else (None, None)

    def build(method: str, url: URL, **further: Any) -> Any:
        request = parts.build(method, url, **further)
        request.extensions.setdefault("retry", retry)
        if auth is not None:
            request.auth = auth
        return request

    def co_run() -> Co[SyncResult]:
        if in_s3 is not None:
            from .s3 import S3Remote  # noqa: PLC0415 - it is a third of what all of sync imports

            service = S3Service(in_s3.bucket, settings.s3_endpoint)
            remote: Remote = S3Remote(build, service, in_s3.prefix)
        elif url is None:
            remote = cast("Remote", place)
        else:
            remote = yield from _co_remote(parts.co_send, build, url, settings)
        is_own = isinstance(settings.record, bool)
        kept = _record_place(settings, root, remote)
        settings.exclusion.add_paths(paths_below(root, kept))
        with Record(kept, is_own=is_own) as record:
            run = Sync(parts.co_send, parts.run_all, local, remote, record, settings, upload=upload)
            try:
                return (yield from run.co_run())
            except sqlite3.Error as exc:
                raise TransferError(f"the record, or a listing, cannot be kept: {exc}") from exc

    if settings.total is None:
        return co_run()
    return _co_in_time(co_run(), settings.total)


def _co_in_time(going: Co[SyncResult], seconds: float) -> Co[SyncResult]:
    failure = DeadlineExceeded(f"it was not complete within {seconds:g} s: the next run goes on")
    return (yield from within(time.monotonic() + seconds, going, failure))


def is_remote(value: object) -> bool:
    """Return True if *value* is a URL, or a `Remote`."""
    if isinstance(value, str):
        return value.lower().startswith(URLS) or is_place(value)
    return isinstance(value, URL) or hasattr(value, "co_list")


def _split(place: URL | str) -> tuple[URL, Auth | None]:
    """Return the URL of a folder, and what user and password in it mean; None without them."""
    if isinstance(place, URL):
        return as_folder(place), None
    url, login = split_credentials(place)
    if login is None:
        return as_folder(url), None
    from ...http.auth.basic import BasicAuth  # noqa: PLC0415 - dataclasses take 5 ms to import

    return as_folder(url), BasicAuth(*login)


def _why_no_pair(source: object, target: object) -> str:
    """Return why two sides are none of a synchronisation."""
    if is_remote(source):
        return "both are on servers: one has to be the path of a folder here"
    for side in (source, target):
        if isinstance(side, str) and "://" in side:
            return f"not a URL that begins with http://, https:// or s3://: {shown_url(side)!r}"
    return "both are paths of folders here: one has to begin with http://, https:// or s3://"


def as_folder(url: URL) -> URL:
    """Return *url* with a path that ends with ``/``. Raises InvalidOption if it has a query."""
    if "?" in url.target or url.fragment:
        raise InvalidOption("the URL of a folder has neither query nor fragment")
    return url if url.path.endswith("/") else URL(f"{url}/")


def _record_place(settings: SyncSettings, root: str, remote: Remote) -> Path | None:
    if isinstance(settings.record, bool):
        return usual_place(Path(root), remote.name) if settings.record else None
    return settings.record


def _co_remote(co_send: Send, build: Build, url: URL, settings: SyncSettings) -> Co[Remote]:
    """Return the remote of the right kind.

    A server that has WebDAV says so in its answer to OPTIONS (RFC 4918 section 10.1).
    """
    if settings.server == "manifest":
        return ManifestRemote(build, url)
    if settings.server == "webdav":
        return WebDAVRemote(build, url, compares=settings.checksum)
    response = yield from co_send(build("OPTIONS", url), stream=True)
    yield from co_read_explanation(response)
    if response.status_code in DENIED:
        raise refusal(response)
    classes = (response.field("dav") or "").replace(" ", "").split(",")
    if response.is_success and "1" in classes:
        return WebDAVRemote(build, url, compares=settings.checksum)
    return ManifestRemote(build, url)
