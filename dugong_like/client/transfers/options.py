"""The arguments of `Client.download` and `Client.upload`, checked before anything is sent.

Not here: what is done with them (download.py, upload.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ...errors import InvalidOption
from ...http.arguments import check_callable
from ...http.redaction import quoted
from ...polling.numbers import check_flag, check_int, check_positive
from ..request_building import SharedOptions, unknown_option

if TYPE_CHECKING:
    from ...polling.rates import RateLimit
    from ..layers.retry import Retry

MOST_RANGES: Final = 64  # requests at a time; servers that allow so many are rare
SAME: Final = {
    "chunk_size": "nothing: the system moves the bytes",
    "checksum": "sha256",
    "connections": "ranges",
    "file": "target",
    "filename": "target",
    "max_retries": "retries",
    "overwrite": "nothing: an existing file is replaced by the complete one",
    "path": "target",
    "resumable": "resume",
    "speed_limit": "rate",
    "threads": "ranges",
}  # what other libraries call an argument
SAME_OF_UPLOAD: Final = {
    "checksum": "digest",
    "chunk_size": SAME["chunk_size"],
    "content": "source",
    "data": "source",
    "file": "source",
    "filename": "source",
    "max_retries": "retries",
    "path": "source",
    "resume": "resumable",
    "speed_limit": "rate",
    "target": "url",
}


class TransferOptions(SharedOptions, total=False):
    """The arguments of a request that a transfer takes as well."""

    http_version: str


class DownloadOptions(TransferOptions, total=False):
    """The optional arguments of `Client.download`."""

    resume: bool
    ranges: int
    sha256: str | bytes | None
    progress: Callable[[int, int | None], object] | None
    rate: RateLimit | float | None
    retries: int | Retry
    sparse: bool
    preallocate: bool
    fsync: bool


class UploadOptions(TransferOptions, total=False):
    """The optional arguments of `Client.upload`."""

    method: str
    digest: str | None
    trailer: bool
    expect100: bool
    if_match: str | None
    if_none_match: str | None
    progress: Callable[[int, int | None], object] | None
    rate: RateLimit | float | None
    record: bool | str | os.PathLike[str]
    resumable: bool
    retries: int | Retry


OF_REQUEST: Final = frozenset(TransferOptions.__annotations__)


def split_options(
    options: Mapping[str, Any], known: frozenset[str], same: Mapping[str, str] = SAME
) -> tuple[Any, dict[str, Any]]:
    """Return the options of the request, and those of the transfer.

    Args:
        options: as given.
        known: names of all.
        same: what other libraries call them.

    Raises:
        TypeError: there is another one.

    """
    for name in options:
        if name not in known:
            raise unknown_option(name, known, same)
    of_request = {name: value for name, value in options.items() if name in OF_REQUEST}
    own = {name: value for name, value in options.items() if name not in OF_REQUEST}
    return of_request, own


def as_rate(value: object) -> RateLimit | None:
    """Return the argument *rate*, bytes a second or a `RateLimit`, as a `RateLimit`.

    Raises:
        TypeError, InvalidOption: see `RateLimit`.

    """
    if value is None:
        return None
    from ...polling.rates import RateLimit  # noqa: PLC0415 - dataclasses take 5 ms to import

    if isinstance(value, RateLimit):
        return value
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"rate is bytes a second, or RateLimit(…), not {quoted(value)}")
    check_positive("rate", value)
    return RateLimit(value)


def as_progress(value: Any) -> Callable[[int, int | None], object] | None:
    """Return the argument *progress*. Raises TypeError if it is no function."""
    check_callable(value, "progress")
    function: Callable[[int, int | None], object] | None = value
    return function


def as_ranges(value: object) -> int:
    """Return the argument *ranges*. Raises TypeError or InvalidOption if it is no such number."""
    check_int("ranges", value, 1, MOST_RANGES)
    assert isinstance(value, int)
    return value


def as_flag(name: str, value: object) -> bool:
    """Return an argument that is True or False. Raises TypeError if it is something else."""
    check_flag(name, value)
    return bool(value)


def as_path(value: object) -> str | None:
    """Return the text of *value*, if it is a path; None if it may be a file.

    Raises:
        ValueError: it is no possible path.

    """
    if not isinstance(value, str | bytes | os.PathLike):
        return None
    path = os.fsdecode(value)
    if not path or "\0" in path:
        raise ValueError("the path of a file is not empty, and has no NUL")
    return path


def only_for_paths(own: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Refuse options that need a path, and not a file object.

    Raises:
        InvalidOption: there is one.

    """
    for name in names:
        if own.get(name):
            raise InvalidOption(f"{name} is for files that are given by their path")
