"""Files of cookies: JSON, which is replaced in one step and checked when it is read.

Not here: choosing the cookies that are saved (cookies.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ..errors import InvalidOption
from .cookie import Cookie, unsendable
from .redaction import quoted

PathLike = str | os.PathLike[str]
FORMAT: Final = "dugong_like cookies"
VERSION: Final = 1
OWNER_ONLY: Final = 0o600
NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)

# Fields of a cookie in a file, and their types.
TYPES: Final[dict[str, tuple[type, ...]]] = {
    "name": (str,),
    "value": (str,),
    "domain": (str,),
    "path": (str,),
    "expires": (int, float, type(None)),
    "secure": (bool,),
    "http_only": (bool,),
    "same_site": (str,),
    "host_only": (bool,),
}


def save_cookies(file: PathLike, cookies: Iterable[Cookie]) -> None:
    """Write *cookies* to *file*; see `Cookies.save`.

    Raises:
        OSError: it cannot be written; an older file is left as it was.

    """
    path = Path(os.path.realpath(file))  # not a symbolic link, but what it leads to, is replaced
    contents = {
        "format": FORMAT,
        "version": VERSION,
        "cookies": [cookie.as_dict() for cookie in cookies],
    }
    text = json.dumps(contents, indent=1).encode("ascii")
    beside = path.with_name(f".{path.name}.{os.urandom(16).hex()}")
    descriptor = os.open(beside, NEW, OWNER_ONLY)
    try:
        with open(descriptor, "wb") as stream:  # noqa: PTH123 - a descriptor
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def load_cookies(file: PathLike) -> list[Cookie]:
    """Return the cookies of *file*; see `Cookies.load`.

    Raises:
        InvalidOption: the file is damaged, or of another kind or a later version.
        OSError: it cannot be read.

    """
    name = os.fspath(file)
    data = Path(file).read_bytes()
    try:
        contents = json.loads(data)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise InvalidOption(f"{name}: not a file of cookies, or damaged: it is not JSON") from None
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise InvalidOption(f"{name}: not a file of cookies: its format is not {FORMAT}")
    if (version := contents.get("version")) != VERSION:
        raise InvalidOption(
            f"{name}: a file of cookies of version {quoted(version)}; this is version {VERSION}"
        )
    entries = contents.get("cookies")
    if not isinstance(entries, list):
        raise InvalidOption(f"{name}: a file of cookies that is damaged: it has no list of them")
    return [_cookie(entry, f"{name}, cookie {place}") for place, entry in enumerate(entries, 1)]


def _cookie(entry: Any, where: str) -> Cookie:
    """Return the cookie of an entry of a file.

    Raises:
        InvalidOption: it is damaged.

    """
    if not isinstance(entry, dict) or entry.keys() != TYPES.keys():
        raise InvalidOption(f"{where}: damaged: it has not the fields {', '.join(TYPES)}")
    for field, types in TYPES.items():
        if type(entry[field]) not in types:
            raise InvalidOption(f"{where}: damaged: {field} has the wrong type")
    cookie = Cookie(**entry)
    if problem := unsendable(cookie):
        raise InvalidOption(f"{where}: damaged: {problem}")
    return cookie
