"""Patterns of what a synchronisation leaves alone.

=============== ================================================================
``*.tmp``       any file or folder of that name, in any folder
``cache/``      the same, of folders only
``/build``      a path from the top; so does any pattern with ``/`` before its end
``*`` ``?``     any characters, or one, except ``/``
``[a-z]``       one of these; ``[!a-z]`` any other one
``**``          any characters
=============== ================================================================

A folder that is left alone is so with all that is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...errors import InvalidOption
from ...http.redaction import quoted

_token = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)
FIXED = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class Exclusion:
    """Says which paths are left alone.

    Args:
        patterns: see above.

    Raises:
        InvalidOption: one of them is no pattern.

    """

    def __init__(self, patterns: Iterable[str]) -> None:
        parts = []
        for pattern in patterns:
            text = pattern.removesuffix("/")
            only_folders = text != pattern
            if not text.strip("/"):
                raise InvalidOption(f"exclude: not a pattern: {quoted(pattern)}")
            start = "" if "/" in text else "(?:.*/)?"
            body = "".join(_regex(token) for token in _token.findall(text.removeprefix("/")))
            parts.append(f"{start}{body}/.*" if only_folders else f"{start}{body}(?:/.*)?")
        try:
            self._matches = re.compile("|".join(parts), re.DOTALL).fullmatch
        except re.error as exc:
            raise InvalidOption(f"exclude: not a pattern: {exc}") from None
        self._is_empty = not parts
        self._paths: set[str] = set()

    def __bool__(self) -> bool:
        return not self._is_empty or bool(self._paths)

    def __call__(self, path: str) -> bool:
        """Return True if the file *path* is left alone."""
        return path in self._paths or (not self._is_empty and self._matches(path) is not None)

    def add_paths(self, paths: Iterable[str]) -> None:
        """Leave the files *paths* alone as well."""
        self._paths.update(paths)

    def folder(self, path: str) -> bool:
        """Return True if the folder *path* is left alone, with all that is in it."""
        return not self._is_empty and self._matches(f"{path}/") is not None


def _regex(token: str) -> str:
    if token in FIXED:
        return FIXED[token]
    if len(token) > 1:  # a set
        negated = token.startswith("[!")
        inner = token[2 if negated else 1 : -1].replace("\\", "\\\\").replace("[", "\\[")
        inner = inner.replace("^", "\\^")
        return f"[^/{inner}]" if negated else f"(?!/)[{inner}]"
    return re.escape(token)
