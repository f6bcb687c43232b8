"""Content-Disposition: the name for a file that is saved (RFC 6266), and names that are safe.

A server may send any name. One that is used is made safe for every system: it has no folder, no
control characters, is not hidden, not a device, and not too long.

Not here: saving the file.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from .content_type import NO_LIST, WORD, first_of_each, parameters
from .extended_values import extended_value
from .patterns import compiled_later

MAX_NAME: Final = 255  # bytes in UTF-8, of most file systems
MAX_SUFFIX: Final = 32  # bytes of it that are kept if a name is cut
_unsafe = compiled_later(r'[<>:"|?*]')  # on Windows (Naming Files, Paths, and Namespaces)
_separators = compiled_later(r"[/\\]")
_devices = compiled_later(  # there also, with any suffix
    "(?:con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3]|conin\\$|conout\\$)"
    r"[ ]*(?:\..*)?",
    re.IGNORECASE | re.DOTALL,
)
INVISIBLE: Final = frozenset(["Cc", "Cf", "Cs", "Zl", "Zp"])  # categories, such as that of U+202E

_type = compiled_later(rf"[\t ]*+(?:{WORD})?[\t ]*+(?=;|\Z)")


def filename_in(value: str) -> str | None:
    """Return the name of the file in *value*, of the field Content-Disposition, as it was sent.

    ``filename*`` counts more than ``filename`` (RFC 6266 section 4.3). Of the latter, bytes that
    are UTF-8 are taken as that, and others as Latin-1.

    Args:
        value: each character of it is one byte that was sent.

    Returns:
        None if there is none. The name is not safe: see `safe_filename`.

    """
    match = _type().match(value)
    if match is None:  # some servers leave the type out
        value = f";{value}"
    found = first_of_each(parameters(value, match.end() if match else 0, NO_LIST))
    extended = extended_value(found.get("filename*", ""))
    if extended is not None:
        return extended
    name = found.get("filename")
    if name is None:
        return None
    try:
        return name.encode("latin-1").decode()
    except UnicodeError:
        return name


def safe_filename(name: str) -> str | None:
    """Return *name* as one that is safe to create in a folder; None if nothing is left of it.

    It is the last part of a path. Control characters and other invisible ones are left out, as are
    dots and blanks at both ends; characters that Windows does not allow become underscores.
    """
    name = _separators().split(name)[-1]
    name = "".join(char for char in name if unicodedata.category(char) not in INVISIBLE)
    name = _unsafe().sub("_", name).lstrip(". ").rstrip(". ")
    if _devices().fullmatch(name):
        name = f"_{name}"
    return _cut(name) or None


def _cut(name: str) -> str:
    """Return *name* with at most `MAX_NAME` bytes, and the same suffix."""
    encoded = name.encode()
    if len(encoded) <= MAX_NAME:
        return name
    stem, dot, suffix = encoded.rpartition(b".")
    if not stem or len(suffix) >= MAX_SUFFIX:
        stem, dot, suffix = encoded, b"", b""
    stem = stem[: MAX_NAME - len(dot + suffix)].decode(errors="ignore").rstrip(". ").encode()
    return (stem + dot + suffix).decode()
