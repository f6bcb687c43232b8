"""The arguments of `Client.sync`, checked before anything is sent.

Not here: what is done with them (syncing.py, run.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

from ...errors import InvalidOption
from ...http.arguments import check_callable
from ...http.redaction import quoted
from ...http.url import URL
from ...polling.numbers import check_int, check_seconds
from ..request_building import unknown_option
from ..transfers.options import as_flag, as_path, as_rate
from .exclusion import Exclusion

if TYPE_CHECKING:
    from ...polling.rates import RateLimit
    from .results import SyncProgress, SyncStep

JOBS: Final = 8  # connections
MOST_JOBS: Final = 256
SERVERS: Final = ("auto", "manifest", "webdav")
LINKS: Final = ("skip", "follow")
SAME: Final = {
    "concurrency": "jobs",
    "dryrun": "dry_run",
    "excludes": "exclude",
    "max_time": "total",
    "remove": "delete",
    "threads": "jobs",
    "transfers": "jobs",
    "workers": "jobs",
}  # what other tools call an argument


class SyncOptions(TypedDict, total=False):
    """The optional arguments of `Client.sync`."""

    delete: bool
    max_delete: int | None
    dry_run: bool
    checksum: bool
    verify: bool
    exclude: Iterable[str]
    links: str
    jobs: int
    rate: RateLimit | float | None
    total: float | None
    fsync: bool
    server: str
    s3_endpoint: URL | str | None
    record: str | os.PathLike[str] | bool
    on_progress: Callable[[SyncProgress], object] | None
    on_step: Callable[[SyncStep], object] | None


class SyncSettings:
    """The options of `Client.sync`, checked.

    Args:
        options: as given.

    Raises:
        InvalidOption, ValueError: one has an invalid value.
        TypeError: one has the wrong type, or there is no such argument.

    Attributes:
        delete: and the others: see `Client.sync`.
        record: path of the record; None for the usual one, False for none.

    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        for name in options:
            if name not in SyncOptions.__annotations__:
                raise unknown_option(name, SyncOptions.__annotations__, SAME)
        self.delete = as_flag("delete", options.get("delete", False))
        self.dry_run = as_flag("dry_run", options.get("dry_run", False))
        self.checksum = as_flag("checksum", options.get("checksum", False))
        self.verify = as_flag("verify", options.get("verify", False))
        self.fsync = as_flag("fsync", options.get("fsync", False))
        self.max_delete: int | None = options.get("max_delete")
        if self.max_delete is not None:
            check_int("max_delete", self.max_delete, 0)
        self.jobs: int = options.get("jobs", JOBS)
        check_int("jobs", self.jobs, 1, MOST_JOBS)
        self.total: float | None = options.get("total")
        if self.total is not None:
            check_seconds(self.total, "total")
        self.rate = as_rate(options.get("rate"))
        self.exclusion = Exclusion(_patterns(options.get("exclude", ())))
        self.follows_links = _choice("links", options.get("links", LINKS[0]), LINKS) == "follow"
        self.server = _choice("server", options.get("server", SERVERS[0]), SERVERS)
        self.s3_endpoint: URL | None = None
        if (endpoint := options.get("s3_endpoint")) is not None:
            self.s3_endpoint = endpoint if isinstance(endpoint, URL) else URL(endpoint)
        self.record = _record(options.get("record", True))
        check_callable(on_progress := options.get("on_progress"), "on_progress")
        self.on_progress: Callable[[SyncProgress], object] | None = on_progress
        check_callable(on_step := options.get("on_step"), "on_step")
        self.on_step: Callable[[SyncStep], object] | None = on_step


def _patterns(value: object) -> list[str]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TypeError(f"exclude is an iterable of patterns, not {quoted(value)}")
    patterns = list(value)
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(f"a pattern of exclude is a string, not {quoted(pattern)}")
    return patterns


def _choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is one of {', '.join(choices)}, not {quoted(value)}")
    if value not in choices:
        raise InvalidOption(f"{name} is one of {', '.join(choices)}, not {quoted(value)}")
    return value


def _record(value: object) -> Path | bool:
    if isinstance(value, bool):
        return value
    path = as_path(value)
    if path is None:
        raise TypeError(f"record is a path, True or False, not {quoted(value)}")
    return Path(path)
