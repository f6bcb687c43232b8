"""`WebDAVFileSystem`: files and folders of a WebDAV server, for fsspec (RFC 4918).

    import fsspec

    files = fsspec.filesystem("dugong+davs", auth=("user", "password"))
    files.ls("dugong+davs://www.example.org/files")

Reading and writing files are as of `DugongFileSystem`.

Not here: the document that the server sends (http/webdav.py).
"""

from __future__ import annotations

import datetime as dt
import errno
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from fsspec.asyn import sync_wrapper

from ..client.response import Response
from ..errors import DugongError, StatusError
from ..http.http_date import parse_http_date
from ..http.percent import IN_PATH, encode
from ..http.redaction import mask_target, mask_words
from ..http.webdav import MULTI_STATUS, PROPFIND, XML, Multistatus, Resource
from ..polling.contract import Co
from ..polling.stream_parts import place_of
from .fsspec import DugongFileSystem
from .fsspec_ranges import Span
from .fsspec_requests import Requests, file_error, file_errors

SCHEMES: Final = {"dugong+davs": "https", "dugong+dav": "http", "davs": "https", "dav": "http"}
NOT_ALLOWED: Final = 405  # the answer to MKCOL if there is something (RFC 4918 section 9.3.1)
CONFLICT: Final = 409  # a folder above is missing
EXISTS: Final = 412  # the answer to Overwrite: F
NO_FOLDER: Final = frozenset(
    {400, 405, 409}
)  # answers to the name of a file with a slash behind it
MISSING_FOLDER: Final = "a folder above it is missing"
SHOWN: Final = 500  # characters of a response
MOST_FOLDERS: Final = 100_000  # that are remembered


class WebDAVRequests(Requests):
    """The requests of a `WebDAVFileSystem`: the server is asked why a file cannot be had."""

    def co_properties(self, url: str, depth: int, **options: Any) -> Co[list[Resource]]:
        """Ask for the properties of *url*, and with *depth* 1 of what is in it.

        Raises:
            InvalidResponse: the answer is no Multi-Status.
            OSError, DugongError: see `Requests.co_send`.

        """
        headers = {"Depth": str(depth), "Content-Type": XML, **dict(options.pop("headers", {}))}
        response = yield from self.client.co_stream(
            "PROPFIND", url, content=PROPFIND, headers=headers, **options
        )
        try:
            with file_errors(url):
                response.raise_for_status()
            if response.status_code != MULTI_STATUS:
                raise self._no_webdav(response)
            found: list[Resource] = []
            reader = Multistatus(found.append)
            for reading in response.co_iter_bytes():
                piece = yield from reading
                if piece is None:
                    break
                reader.add(piece)
            reader.end()
        finally:
            response.close()
        if not found:
            raise file_error(errno.ENOENT, url)
        return found

    @staticmethod
    def _no_webdav(response: Response) -> StatusError:
        return StatusError(
            f"the answer to PROPFIND is {response.status_code}, not {MULTI_STATUS}: this is no "
            "WebDAV (RFC 4918 section 9.1)",
            response=response,
        )

    def co_reason(self, exc: Exception, url: str) -> Co[Exception]:
        """Return the error to raise for *exc*: a folder cannot be read, or replaced by a file."""
        if not isinstance(exc, FileNotFoundError | PermissionError | StatusError):
            return exc
        try:
            found = yield from self.co_properties(url, 0)
        except (OSError, DugongError):
            return exc
        return file_error(errno.EISDIR, url) if found[0].is_folder else exc

    def co_stream(self, url: str, **options: Any) -> Co[Response]:
        """See `Requests.co_stream`."""
        return self.co_explained(super().co_stream(url, **options), url)

    def co_bytes(self, span: Span, *, needs_part: bool = False, **options: Any) -> Co[bytes]:
        """See `Requests.co_bytes`."""
        op = super().co_bytes(span, needs_part=needs_part, **options)
        return self.co_explained(op, span.url)

    def co_info(self, url: str, **options: Any) -> Co[dict[str, Any]]:
        """See `Requests.co_info`; properties are asked for first, as a folder may have a page."""
        found = yield from self.co_properties(url, 0, **options)
        if found[0].is_folder:
            raise file_error(errno.EISDIR, url)
        if found[0].size is not None:
            return entry_of(url, found[0])
        return (yield from super().co_info(url, **options))


class WebDAVFileSystem(DugongFileSystem):
    """Files on a WebDAV server, by URLs such as ``dugong+davs://host/path``.

    ``davs`` is for https, ``dav`` for http. Names of files are URLs with ``http`` or ``https``,
    those of folders have no slash at the end. The arguments are those of `DugongFileSystem`; those
    about links have no effect.
    """

    protocol = ("dugong+davs", "dugong+dav")
    requests_class = WebDAVRequests
    requests: WebDAVRequests

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._folders: set[str] = set()  # that were listed, and may be none any more

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """Return the URL of *path*, without a slash at its end."""
        url = super()._strip_protocol(path)
        if isinstance(url, list):
            return url
        scheme, _, rest = url.partition("://")
        return f"{SCHEMES.get(scheme, SCHEMES.get(f'dugong+{scheme}', scheme))}://{rest}".rstrip(
            "/"
        )

    def unstrip_protocol(self, name: str) -> str:
        """Return *name* as a URL that leads to a file system of this kind."""
        scheme, _, rest = self._strip_protocol(name).partition("://")
        return f"dugong+{'davs' if scheme == 'https' else 'dav'}://{rest}"

    # ---- what there is

    async def _info(self, path: str, **options: Any) -> dict[str, Any]:
        """Return what is known of a file or folder."""
        url = self._strip_protocol(path)
        found = await self._run(self.requests.co_properties(url, 0, **options))
        return entry_of(url, found[0])

    async def _isfile(self, path: str, **options: Any) -> bool:
        """Return True if there is such a file, and it is no folder."""
        return await self._is("file", path, **options)

    async def _isdir(self, path: str) -> bool:
        """Return True if there is such a folder."""
        return await self._is("directory", path)

    async def _is(self, kind: str, path: str, **options: Any) -> bool:
        try:
            return bool((await self._info(path, **options))["type"] == kind)
        except FileNotFoundError:
            return False

    async def _exists(self, path: str, strict: bool = False, **options: Any) -> bool:
        """Return True if there is such a file or folder; see `DugongFileSystem`."""
        try:
            return await self._run(self._co_is_there(self._strip_protocol(path), **options))
        except PermissionError:
            if strict:
                raise
            return False

    def _co_is_there(self, url: str, **options: Any) -> Co[bool]:
        try:
            yield from self.requests.co_properties(url, 0, **options)
        except FileNotFoundError:
            return False
        return True

    async def _listed(self, url: str, **options: Any) -> list[dict[str, Any]]:
        """Return the entries of a folder, or that of a file."""
        found = await self._run(self._co_listing(url, **options))
        entries = entries_of(url, found)
        if len(self._folders) > MOST_FOLDERS:
            self._folders.clear()
        self._folders.add(url)
        self._folders |= {each["name"] for each in entries if each["type"] == "directory"}
        return entries

    def _co_listing(self, url: str, **options: Any) -> Co[list[Resource]]:
        """Ask for what is in a folder; some servers want its name with a slash, others not."""
        try:
            return (yield from self.requests.co_properties(f"{url}/", 1, **options))
        except FileNotFoundError:
            pass
        except StatusError as exc:
            if exc.response.status_code not in NO_FOLDER:
                raise
        return (yield from self.requests.co_properties(url, 1, **options))

    async def _becomes_folder(self, url: str, lpath: Any) -> bool:
        """Return True if *url* is a folder. The server is not asked if it was not listed as one."""
        is_there = Path(lpath).is_dir()  # noqa: ASYNC240 - fast
        return (url in self._folders or is_there) and await self._isdir(url)

    async def _modified(self, path: str) -> dt.datetime:
        """Return when a file was changed."""
        seconds = (await self._info(path)).get("mtime")
        if seconds is None:
            raise NotImplementedError("the server does not say when files were changed")
        return dt.datetime.fromtimestamp(seconds, dt.UTC)

    async def _created(self, path: str) -> dt.datetime:
        """Return when a file was made."""
        created = (await self._info(path)).get("created")
        if created is None:
            raise NotImplementedError("the server does not say when files were made")
        return dt.datetime.fromisoformat(created)

    modified = sync_wrapper(_modified)
    created = sync_wrapper(_created)

    # ---- changing it

    async def _mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Make a folder.

        Args:
            path: URL.
            create_parents: True to make those above it as well.
            options: those of the request.

        Raises:
            FileExistsError: there is something of that name.
            FileNotFoundError: a folder above it is missing.

        """
        if create_parents:
            await self._makedirs(self._parent(path), exist_ok=True)
        await self._run(self._co_make(self._strip_protocol(path), **options))

    def _co_make(self, url: str, **options: Any) -> Co[None]:
        response = yield from self.client.co_request("MKCOL", f"{url}/", **options)
        if response.status_code == NOT_ALLOWED:
            raise file_error(errno.EEXIST, url)
        if response.status_code == CONFLICT:
            raise file_error(errno.ENOENT, url, MISSING_FOLDER)
        with file_errors(url):
            response.raise_for_status()
        self._forget(url)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a folder and those above it that are missing.

        Raises:
            FileExistsError: there is something of that name, and *exist_ok* is False.

        """
        await self._run(self._co_makedirs(self._strip_protocol(path), exist_ok=exist_ok))

    def _co_makedirs(self, url: str, *, exist_ok: bool) -> Co[None]:
        missing: list[str] = []
        while urlsplit(url).path.strip("/") and not (yield from self._co_is_there(url)):
            missing.append(url)
            url = self._parent(url)
        if not missing:
            is_top = not urlsplit(url).path.strip("/")
            if exist_ok and (is_top or (yield from self._co_is_folder(url))):
                return
            raise file_error(errno.EEXIST, url)
        for each in reversed(missing):
            try:
                yield from self._co_make(each)
            except (FileExistsError, PermissionError, StatusError):
                # Perhaps somebody else was faster, which servers report by various statuses.
                if not exist_ok or not (yield from self._co_is_folder(each)):
                    raise

    def _co_is_folder(self, url: str) -> Co[bool]:
        try:
            return (yield from self.requests.co_properties(url, 0))[0].is_folder
        except FileNotFoundError:
            return False

    # A file needs its folder. Those of other systems come into being with their files, as users of
    # fsspec expect; here they are made when the server says that they are missing.

    def _co_upload(self, source: Any, url: str, mode: str, options: dict[str, Any]) -> Co[None]:
        start = place_of(source) if hasattr(source, "read") else None
        try:
            yield from super()._co_upload(source, url, mode, options)
        except StatusError as exc:
            if exc.response.status_code != CONFLICT or (hasattr(source, "read") and start is None):
                raise
            yield from self._co_makedirs(self._parent(url), exist_ok=True)
            if start is not None:
                source.seek(start)
            yield from super()._co_upload(source, url, mode, options)

    def _co_pipe(self, url: str, value: bytes, mode: str, options: dict[str, Any]) -> Co[None]:
        try:
            yield from super()._co_pipe(url, value, mode, options)
        except StatusError as exc:
            if exc.response.status_code != CONFLICT:
                raise
            yield from self._co_makedirs(self._parent(url), exist_ok=True)
            yield from super()._co_pipe(url, value, mode, options)

    async def _rm_file(self, path: str, **options: Any) -> None:
        """Remove a file.

        Raises:
            IsADirectoryError: it is a folder.

        """
        url = self._strip_protocol(path)
        if await self._isdir(url):
            raise file_error(errno.EISDIR, url)
        await self.remove_file(url, **options)

    async def _rmdir(self, path: str) -> None:
        """Remove an empty folder.

        Raises:
            NotADirectoryError: it is none.
            OSError: it is not empty.

        """
        url = self._strip_protocol(path)
        if not await self._isdir(url):
            raise file_error(errno.ENOTDIR, url)
        if await self._ls(url, refresh=True):
            raise file_error(errno.ENOTEMPTY, url)
        await self._remove_tree(url)

    rmdir = sync_wrapper(_rmdir)

    async def _remove_tree(self, url: str) -> None:
        response = await self._run(self.client.co_request("DELETE", f"{url}/"))
        with file_errors(url):
            response.raise_for_status()
        if response.status_code == MULTI_STATUS:
            reason = mask_words(response.text[:SHOWN])
            raise OSError(f"{mask_target(url)}: not all of it could be removed: {reason}")
        self.invalidate_cache()

    async def _rm(
        self,
        path: Any,
        recursive: bool = False,
        batch_size: int | None = None,  # noqa: ARG002 - one after the other
        **options: Any,
    ) -> None:
        """Remove files, and folders with all that is in them if *recursive*: one request each."""
        for url in await self._expand_path(path):
            if await self._isdir(url):
                if not recursive:
                    raise file_error(errno.EISDIR, url)
                await self._remove_tree(url)
            else:
                await self.remove_file(url, **options)

    def _co_transfer(self, method: str, url: str, target: str, *, overwrite: bool) -> Co[None]:
        """Send COPY or MOVE (sections 9.8 and 9.9)."""
        headers = {"Destination": encode(target, IN_PATH), "Overwrite": "T" if overwrite else "F"}
        response = yield from self.client.co_request(method, url, headers=headers)
        if response.status_code == CONFLICT:
            raise file_error(errno.ENOENT, target, MISSING_FOLDER)
        with file_errors(url if response.status_code != EXISTS else target, created=True):
            response.raise_for_status()
        self._forget(target)

    async def _cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Copy a file; the server does it. Of a folder an empty one is made, as are those above."""
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if await self._isdir(source):
            await self._makedirs(target, exist_ok=True)
        else:
            try:
                await self._run(self._co_transfer("COPY", source, target, overwrite=True))
            except FileNotFoundError:
                if not await self._exists(source):
                    raise
                # The folder, if it is copied as well, may be on its way.
                await self._makedirs(self._parent(target), exist_ok=True)
                await self._run(self._co_transfer("COPY", source, target, overwrite=True))

    async def _mv(
        self,
        path1: str,
        path2: str,
        recursive: bool = False,
        maxdepth: int | None = None,  # noqa: ARG002 - all of it, or nothing
        **_: Any,
    ) -> None:
        """Move a file or a folder; the server does it, at once."""
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if target == source:
            return
        if await self._isdir(source):
            source = f"{source}/"
            if not recursive:
                raise file_error(errno.EISDIR, source)
            if await self._isdir(target):
                target = f"{target}/{source.rstrip('/').rpartition('/')[2]}"
            target = f"{target}/"
        await self._run(self._co_transfer("MOVE", source, target, overwrite=True))
        self.invalidate_cache()

    mv = sync_wrapper(_mv)


def entry_of(url: str, resource: Resource) -> dict[str, Any]:
    """Return what fsspec calls the info of *resource*, whose name is *url*."""
    entry: dict[str, Any] = {
        "name": url,
        "size": None if resource.is_folder else resource.size,
        "type": "directory" if resource.is_folder else "file",
    }
    modified = resource.modified
    known = {
        "ETag": resource.etag,
        "mtime": None if modified is None else parse_http_date(modified, time.time()),
        "created": resource.created,
        "mimetype": resource.content_type,
    }
    return entry | {name: value for name, value in known.items() if value is not None}


def entries_of(url: str, found: list[Resource]) -> list[dict[str, Any]]:
    """Return the entries of the folder *url*, or of the file.

    The server may write its own path differently: encoded in another way, or as it is behind a
    proxy. So the folder itself is the one whose path is the shortest, and the names of the others
    are the last parts of theirs.
    """
    if not found:
        return []
    own = min(found, key=lambda resource: len(resource.path.rstrip("/")))
    if len(found) == 1 and not own.is_folder:
        return [entry_of(url, own)]
    return [
        entry_of(f"{url}/{urlsplit(each.href).path.rstrip('/').rpartition('/')[2]}", each)
        for each in found
        if each is not own
    ]
