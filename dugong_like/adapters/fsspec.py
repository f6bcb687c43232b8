"""File systems for fsspec over http(s): `DugongFileSystem`; `WebDAVFileSystem` is beside it.

    import fsspec

    with fsspec.open("dugong+https://www.example.org/data.csv") as file: ...

pandas, Dask and zarr take such URLs. A file system has the methods and options of fsspec's own
``HTTPFileSystem``, on a `Client`: threads and event loops may share it, also after a fork, and
pickling keeps its settings.

Not here: the requests (fsspec_requests.py, fsspec_ranges.py), the files (fsspec_files.py), and
WebDAV (fsspec_webdav.py).
"""

from __future__ import annotations

import errno
import operator
import os
import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, SupportsIndex, TypeVar

try:
    from fsspec.asyn import AsyncFileSystem, get_loop
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "dugong_like.adapters.fsspec needs fsspec: install 'dugong-like[fsspec]'", name=exc.name
    ) from exc
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import DEFAULT_BLOCK_SIZE, glob_translate, isfilelike, tokenize

from ..client.async_client import AsyncClient
from ..client.bulk.results import MapItem
from ..client.client import Client
from ..drivers.detect import runner
from ..errors import InvalidRequest, StatusError, TransportError
from ..http.arguments import as_bytes
from ..http.redaction import quoted, shown_url
from ..polling.contract import Co, run
from .fsspec_files import AsyncRemoteStream, RemoteFile, RemoteStream, UploadFile
from .fsspec_ranges import Merged, Span, merged
from .fsspec_requests import AS_STORED, Requests, check_part, file_error

T = TypeVar("T")
OF_FSSPEC: Final = frozenset(
    [
        *("use_listings_cache", "listings_expiry_time", "max_paths", "skip_instance_cache"),
        *("batch_size", "target_options", "target_protocol"),
    ]
)  # options that are its own
MODES: Final = ("rb", "wb", "xb")


class DugongFileSystem(AsyncFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Files on web servers, by URLs such as ``dugong+https://host/path``.

    Reading is GET, with Range where only a part is needed; writing is PUT, removing DELETE; a
    folder is a page with links. Names of files are URLs with ``http`` or ``https``.

    Args:
        simple_links: True to take whatever looks like a URL on a page for a link as well.
        same_scheme: False to list https URLs below an http one, and the opposite.
        block_size: bytes that a file reads at a time, 5 MiB; 0 to read files once, in order.
        size_policy: ``"get"`` never to use HEAD.
        cache_type: how files cache blocks: the name of a cache of fsspec.
        cache_options: for that cache.
        asynchronous: True for a file system whose coroutines are called.
        loop: event loop for the blocking methods, instead of that of fsspec.
        encoded: not used: URLs are sent as they are, with what must be encoded.
        client_kwargs: a mapping of further arguments of `Client`, which *options* may have, too.
        options: arguments of `Client`, such as *headers*, *auth*, *timeout*, *retry* and *verify*;
            and those of `AbstractFileSystem`, such as *use_listings_cache*.

    Raises:
        InvalidOption, TypeError, ValueError: an argument is invalid.

    """

    protocol = ("dugong+https", "dugong+http")
    requests_class: ClassVar[type[Requests]] = Requests
    requests: Requests
    sep = "/"

    def __init__(  # noqa: PLR0913 - each is documented above
        self,
        *,
        simple_links: bool = True,
        same_scheme: bool = True,
        block_size: int | None = None,
        size_policy: str | None = None,
        cache_type: str = "bytes",
        cache_options: Mapping[str, Any] | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        encoded: bool = False,  # noqa: ARG002 - see above
        client_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._pid = os.getpid()  # whose event loop it is
        own: dict[str, Any] = {name: options.pop(name) for name in OF_FSSPEC & options.keys()}
        super().__init__(asynchronous=asynchronous, loop=loop, **own)
        self.use_listings_cache = bool(own.get("use_listings_cache", False))
        self.block_size = DEFAULT_BLOCK_SIZE if block_size is None else block_size
        self.cache_type = cache_type
        self.cache_options = cache_options
        self._has_own_loop = loop is not None or asynchronous
        self._find_links = {"plain": simple_links, "same_scheme": same_scheme}
        self._settings = {**(client_kwargs or {}), **options}
        self.client = client = Client(**client_arguments(self._settings))
        self._async_client = AsyncClient(client=client)
        fields = {name.lower() for name in dict(self._settings.get("headers") or {})}
        self.requests = self.requests_class(
            client,
            asks_head=size_policy != "get",
            as_stored={} if "accept-encoding" in fields else AS_STORED,
        )

    @property
    def loop(self) -> Any:
        """The event loop of the blocking methods; that of a parent process is replaced."""
        pid = os.getpid()
        if self._pid != pid and not self._has_own_loop:
            self._loop, self._pid = get_loop(), pid
        return super().loop

    @property
    def fsid(self) -> str:
        """The name that fsspec has for file systems of this kind."""
        return "dugong"

    # ---- names

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """Return the URL of *path*, with ``http`` or ``https``."""
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        return os.fspath(path).removeprefix("dugong+")

    def unstrip_protocol(self, name: str) -> str:
        """Return *name* as a URL that leads to a file system of this kind."""
        return f"dugong+{self._strip_protocol(name)}"

    @classmethod
    def _parent(cls, path: Any) -> str:
        """Return the folder of *path*; nothing above the host."""
        above, _, _ = str(cls._strip_protocol(path)).rstrip("/").rpartition("/")
        return above if above.partition("://")[2] else ""

    def ukey(self, path: str) -> str:
        """Return a key of a file for caches: a file of a URL never changes, as they see it."""
        return str(tokenize(path, self._settings, self.protocol))

    # ---- what there is

    async def _run(self, operation: Co[T]) -> T:
        return await runner()(operation)

    async def _info(self, path: str, **options: Any) -> dict[str, Any]:
        """Return what is known of a file: its size, and what fields of the response say."""
        return await self._run(self.requests.co_info(self._strip_protocol(path), **options))

    async def _exists(self, path: str, strict: bool = False, **options: Any) -> bool:
        """Return True if there is such a file.

        Args:
            path: URL.
            strict: True to raise an error for each status but 404 and 410. Otherwise a file that
                the server refuses, by any 4xx, is none.
            options: those of the request.

        """
        url = self._strip_protocol(path)
        return await self._run(self.requests.co_exists(url, strict=strict, **options))

    async def _isfile(self, path: str, **options: Any) -> bool:
        """Return True if there is such a file; folders are files as well, as they have a page."""
        return await self._exists(path, **options)

    async def _isdir(self, path: str) -> bool:
        """Return True if there is a page with links to what is below it."""
        try:
            return bool(await self._ls(path, detail=False))
        except TransportError:
            raise
        except (OSError, StatusError, InvalidRequest):
            return False

    async def _ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """Return the files of a folder: what its page has links to.

        Args:
            path: URL.
            detail: True for mappings with ``name``, ``size`` (None) and ``type``; False for URLs.
            options: those of the request, or *refresh* to ask again for what is in the cache.

        """
        url = self._strip_protocol(path)
        refresh = options.pop("refresh", False)
        found: list[dict[str, Any]] | None = None
        if self.use_listings_cache and not refresh and url in self.dircache:
            found = self.dircache[url]
        if found is None:
            found = await self._listed(url, **options)
            if self.use_listings_cache:
                self.dircache[url] = found
        return found if detail else sorted(entry["name"] for entry in found)

    async def _listed(self, url: str, **options: Any) -> list[dict[str, Any]]:
        """Return the entries of a folder, as the server has them now."""
        going = self.requests.co_links(url, **self._find_links, **options)
        return [
            {"name": link, "size": None, "type": "directory" if link.endswith("/") else "file"}
            for link in await self._run(going)
        ]

    async def _glob(self, path: str, maxdepth: int | None = None, **options: Any) -> Any:
        """Return the files that match a pattern; a ``?`` in it means itself, as in any URL."""
        url = self._strip_protocol(path)
        detail = options.pop("detail", False)
        magic = [at for at in (url.find("*"), url.find("[")) if at >= 0]
        if magic:
            root = url[: url.rindex("/", 0, min(magic)) + 1]
            if maxdepth is None and "**" not in url:
                maxdepth = url.count("/", len(root)) + 1
            there = await self._find(root, maxdepth=maxdepth, withdirs=True, detail=True, **options)
            matches = re.compile(glob_translate(url.rstrip("/").replace("?", "[?]"))).match
            only_folders = url.endswith("/")
            found = {
                name: info
                for name, info in there.items()
                if matches(name.rstrip("/")) and (name.endswith("/") or not only_folders)
            }
        elif await self._exists(url, **options):
            found = {url: await self._info(url, **options) if detail else {}}
        else:
            found = {}
        return found if detail else list(found)

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget the listing of *path*, or all of them."""
        if path is None:
            self.dircache.clear()
        else:
            url = self._strip_protocol(path)
            for name in (url, url.rstrip("/"), f"{url.rstrip('/')}/"):
                self.dircache.pop(name, None)
        super().invalidate_cache(path)

    # ---- reading

    async def _cat_file(
        self,
        path: str,
        start: SupportsIndex | None = None,
        end: SupportsIndex | None = None,
        **options: Any,
    ) -> bytes:
        """Return the bytes of a file, or those from *start* to *end*, as of a slice."""
        return await self._run(self.requests.co_bytes(self._span(path, start, end), **options))

    def _span(self, path: str, start: SupportsIndex | None, end: SupportsIndex | None) -> Span:
        return Span(
            self._strip_protocol(path),
            None if start is None else operator.index(start),
            None if end is None else operator.index(end),
        )

    async def _cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        batch_size: int | None = None,  # noqa: ARG002 - a few connections do for any number
        on_error: str = "return",
        **options: Any,
    ) -> list[Any]:
        """Return ranges of files, by pipelined requests over a few connections.

        Args:
            paths: URLs; one may be there several times.
            starts: of the range in each, or one number for all.
            ends: the same.
            max_gap: bytes between two ranges of a file, at most, that are fetched as well to have
                one request for both; None for one request for each range.
            batch_size: not used.
            on_error: ``"return"`` for errors in the place of the bytes, or ``"raise"``.
            options: those of the requests.

        """
        if not isinstance(paths, list):
            raise TypeError(f"paths is a list, not {type(paths).__name__}")
        starts, ends = (
            list(given) if isinstance(given, Iterable) else [given] * len(paths)
            for given in (starts, ends)
        )
        if not len(paths) == len(starts) == len(ends):
            raise ValueError("there are as many starts and ends as there are paths")
        spans = [self._span(*each) for each in zip(paths, starts, ends, strict=True)]
        found = await self._fetch(spans, max_gap, options)
        if on_error == "raise":
            for each in found:
                if isinstance(each, BaseException):
                    raise each
        return found

    async def _fetch(
        self, spans: list[Span], max_gap: int | None, options: dict[str, Any]
    ) -> list[bytes | Exception]:
        """Return the bytes of each span, or the error of getting them."""
        found: list[bytes | Exception] = [b""] * len(spans)
        asked: list[Merged] = []
        for each in merged(spans, max_gap):
            if each.span.needs_size:  # a rare case, which takes two requests
                (part,) = each.parts
                try:
                    found[part.number] = await self._cat_file(*each.span, **options)
                except Exception as exc:  # noqa: BLE001 - a result
                    found[part.number] = exc
            elif not each.span.is_empty:
                asked.append(each)
        requests = (self.requests.request_for(each.span, **options) for each in asked)
        async for item in self._async_client.map(requests, errors="return", ordered=False):
            each = asked[item.index]
            body = _bytes_of(item, each.span)
            for part in each.parts:
                if isinstance(body, bytes) and part.start is not None:
                    found[part.number] = body[part.start : part.end]
                else:
                    found[part.number] = body
        return [
            await self._run(self.requests.co_reason(part, span.url))
            if isinstance(part, Exception)
            else part
            for part, span in zip(found, spans, strict=True)
        ]

    async def _cat(
        self,
        path: str | list[str],
        recursive: bool = False,
        on_error: str = "raise",
        batch_size: int | None = None,  # noqa: ARG002 - as of `_cat_ranges`
        **options: Any,
    ) -> Any:
        """Return the bytes of a file; of several, by pipelined requests, a mapping of URLs."""
        paths = await self._expand_path(path, recursive=recursive)
        start, end = options.pop("start", None), options.pop("end", None)
        found = await self._fetch([self._span(each, start, end) for each in paths], None, options)
        errors = [each for each in found if isinstance(each, BaseException)]
        if errors and on_error == "raise":
            raise errors[0]
        if len(paths) == 1 and isinstance(path, str) and paths[0] == self._strip_protocol(path):
            return found[0]
        return {
            name: each
            for name, each in zip(paths, found, strict=True)
            if on_error != "omit" or not isinstance(each, BaseException)
        }

    async def _get_file(
        self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, **options: Any
    ) -> None:
        """Download a file, as `Client.download` does.

        Args:
            rpath: its URL; if it ends with a slash *lpath* becomes a folder.
            lpath: path of the file, or a binary file to write to.
            callback: of fsspec, for the progress.
            options: those of `Client.download`, such as *ranges* and *sha256*.

        """
        url = self._strip_protocol(rpath)
        if not isfilelike(lpath):
            is_folder = await self._becomes_folder(url, lpath)
            folder = Path(lpath) if is_folder else Path(lpath).parent
            folder.mkdir(parents=True, exist_ok=True)
            if is_folder:
                return
        options.pop("chunk_size", None)
        progress = None if callback is DEFAULT_CALLBACK else partial(_report, callback)
        download = self.client.co_download(url, lpath, progress=progress, **options)
        await self._run(self.requests.co_explained(download, url))

    async def _becomes_folder(self, url: str, lpath: Any) -> bool:  # noqa: ARG002 - of others
        """Return True if *lpath* becomes a folder when *url* is downloaded."""
        return url.endswith("/")

    # ---- writing

    async def _put_file(
        self,
        lpath: Any,
        rpath: str,
        callback: Any = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        **options: Any,
    ) -> None:
        """Upload a file, as `Client.upload` does.

        Args:
            lpath: its path, or a binary file to read from. A folder needs nothing to be done.
            rpath: URL.
            callback: of fsspec, for the progress.
            mode: ``"create"`` if there must be no such file; ``"overwrite"``.
            options: those of `Client.upload`, such as *method*, which is ``"PUT"``.

        """
        url = self._strip_protocol(rpath)
        if not isfilelike(lpath) and Path(lpath).is_dir():  # noqa: ASYNC240 - fast
            await self._makedirs(url, exist_ok=True)
            return
        options.pop("chunk_size", None)
        if callback is not DEFAULT_CALLBACK:
            options["progress"] = partial(_report, callback)
        await self._run(self._co_upload(lpath, url, mode, options))

    def _co_upload(self, source: Any, url: str, mode: str, options: dict[str, Any]) -> Co[None]:
        created = self._is_create(mode)
        if created:
            options = {**options, "if_none_match": "*"}
        upload = self.client.co_upload(source, url, **options)
        yield from self.requests.co_explained(upload, url, created=created)
        self._forget(url)

    @staticmethod
    def _is_create(mode: str) -> bool:
        """Return True if *mode* is ``"create"``. Raises ValueError if it is no mode."""
        if mode not in ("create", "overwrite"):
            raise ValueError(f"mode is 'create' or 'overwrite', not {quoted(mode)}")
        return mode == "create"

    def _forget(self, url: str) -> None:
        """Forget the listings that *url* belongs to."""
        self.invalidate_cache(url)
        self.invalidate_cache(self._parent(url))

    async def _pipe_file(
        self, path: str, value: bytes, mode: str = "overwrite", **options: Any
    ) -> None:
        """Write *value* to a file, by PUT; see `_put_file`."""
        await self._run(self._co_pipe(self._strip_protocol(path), value, mode, options))

    def _co_pipe(self, url: str, value: Any, mode: str, options: dict[str, Any]) -> Co[None]:
        content = bytes(as_bytes(value, shown_url(url)))  # a number would be that many zeros
        options = dict(options)
        headers = dict(options.pop("headers", {}))
        created = self._is_create(mode)
        if created:
            headers["If-None-Match"] = "*"
        method = options.pop("method", "PUT")
        sending = self.requests.co_send(
            method, url, created=created, content=content, headers=headers, **options
        )
        yield from self.requests.co_explained(sending, url)
        self._forget(url)

    async def _rm_file(self, path: str, **options: Any) -> None:
        """Remove a file, by DELETE."""
        await self.remove_file(self._strip_protocol(path), **options)

    async def remove_file(self, url: str, **options: Any) -> None:
        """Send DELETE."""
        await self._run(self.requests.co_send("DELETE", url, **options))
        self._forget(url)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Do nothing: a file of any URL can be written."""

    async def _mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Do nothing: a file of any URL can be written."""

    # ---- files

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Open a file; see `AbstractFileSystem.open`.

        Args:
            path: URL.
            mode: ``"rb"``; ``"wb"`` to write what will be sent when the file is closed; ``"xb"``
                for the same, if there is no such file.
            block_size: bytes to read at a time; 0 to read once, in order.
            autocommit: False to send it with the transaction.
            cache_options: for the cache.
            options: *cache_type*; *size* of the file, if it is known; and those of the requests.

        """
        url = self._strip_protocol(path)
        cache_type = options.pop("cache_type", None) or self.cache_type
        size = options.pop("size", None)
        block_size = self.block_size if block_size is None else block_size
        if mode not in MODES:
            raise NotImplementedError(
                f"files are opened with {', '.join(MODES)}, not {quoted(mode)}"
            )
        if mode == "xb" and run(self._co_is_there(url)):
            raise file_error(errno.EEXIST, url)
        if mode != "rb":
            how = "create" if mode == "xb" else "overwrite"
            upload = partial(self._upload_file, url=url, mode=how, options=options)
            sizes = {"block_size": block_size or DEFAULT_BLOCK_SIZE, "autocommit": autocommit}
            return UploadFile(self, url, upload, mode="wb", **sizes)
        knows_ranges = True
        if size is None and block_size:
            info = run(self.requests.co_info(url, **options))
            size, knows_ranges = info["size"], info.get("partial", True)
        common = {"mode": mode, "autocommit": autocommit}
        if not block_size or size is None or not knows_ranges:
            return RemoteStream(self, url, self.requests, options, **common)
        caching = {"cache_type": cache_type, "cache_options": cache_options or self.cache_options}
        return RemoteFile(
            self, url, self.requests, size, options, block_size=block_size, **caching, **common
        )

    def _co_is_there(self, url: str) -> Co[bool]:
        return self.requests.co_exists(url, strict=False)

    def _upload_file(self, file: BinaryIO, url: str, mode: str, options: dict[str, Any]) -> None:
        run(self._co_upload(file, url, mode, options))

    async def open_async(self, path: str, mode: str = "rb", **options: Any) -> AsyncRemoteStream:
        """Open a file that is read from its beginning to its end in coroutines."""
        if mode != "rb":
            raise NotImplementedError(f"files are opened with rb in coroutines, not {quoted(mode)}")
        url = self._strip_protocol(path)
        options = {
            name: each for name, each in options.items() if name not in ("size", "block_size")
        }
        return AsyncRemoteStream(self, url, self.requests, options)


def _bytes_of(item: MapItem, span: Span) -> bytes | Exception:
    """Return the bytes of *span* that are in the result of its request, or why there are none."""
    try:
        if item.error is not None:
            raise item.error
        assert item.response is not None
        check_part(item.response, span)
        return span.taken_from(item.response, item.response.content)
    except Exception as exc:  # noqa: BLE001 - a result
        return exc


def client_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of `Client` from *settings*, which may have passed through JSON."""
    auth = settings.get("auth")
    return {**settings, "auth": tuple(auth)} if isinstance(auth, list) else dict(settings)


def _report(callback: Any, count: int, total: int | None) -> None:
    """Report progress to a callback of fsspec."""
    if total is not None and callback.size != total:
        callback.set_size(total)
    callback.absolute_update(count)
