"""Files with names and passwords for machines, as of ftp(1): ``~/.netrc``.

A file has entries of tokens with white space between them: ``machine NAME`` or ``default``, and
then ``login``, ``password`` and ``account``, each with a value. A token may be in quotation marks,
and a backslash makes the character behind it plain. ``#`` begins a comment in place of a name, and
``macdef`` a macro, which ends at an empty line.

Messages name the file and the line, and nothing that is written there.

Not here: the entry for a request (netrc.py).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ...errors import InvalidOption

MAX_SIZE: Final = 1 << 20  # bytes, some 10,000 entries
VALUES: Final = frozenset(["login", "user", "password", "account"])

_token = re.compile(r'"(?:[^"\\]|\\.)*"|(?!")(?:[^\s\\]|\\.)+', re.DOTALL)
_gap = re.compile(r"\s*")
_escaped = re.compile(r"\\(.)", re.DOTALL)
_comment = re.compile(r"[^\n]*")
_macro = re.compile(r".*?(?:\n[ \t\r]*\n|\Z)", re.DOTALL)


class Entry(NamedTuple):
    """The credentials for one machine.

    Attributes:
        machine: its name as it is written; None for all others (``default``).
        login: user name, or None.
        password: password, or None.

    """

    machine: str | None
    login: str | None
    password: str | None


def default_path() -> Path:
    """Return the path in the environment variable ``NETRC``, otherwise that in the home folder.

    Raises:
        InvalidOption: there is no home folder.

    """
    named = os.environ.get("NETRC")
    try:
        if named:
            return Path(named).expanduser()
        home = Path.home()
    except RuntimeError:
        raise InvalidOption("path: there is no home folder with a .netrc") from None
    usual, other = home / ".netrc", home / "_netrc"  # the second one is common on Windows
    return other if other.exists() and not usual.exists() else usual


def read_entries(path: Path, *, private: bool) -> list[Entry]:
    """Return the entries in the file at *path*, in order.

    Args:
        path: of the file.
        private: True to refuse a file with passwords that others than its owner may read or
            change, or whose owner is somebody else. It has no effect on Windows.

    Raises:
        InvalidOption: the file cannot be read, is refused, or is no such file.

    """
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            data = file.read(MAX_SIZE + 1)
    except OSError as exc:
        raise InvalidOption(f"path: {path} cannot be read: {exc.strerror}") from exc
    if len(data) > MAX_SIZE:
        raise InvalidOption(f"path: {path} has more than {MAX_SIZE} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidOption(f"path: {path} is not UTF-8") from None
    entries = list(_Parser(text, path).entries())
    if private and any(entry.password for entry in entries):
        _check_owner(state, path)
    return entries


def _check_owner(state: os.stat_result, path: Path) -> None:
    if os.name != "posix":
        return
    if state.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidOption(
            f"path: {path} has passwords, and others may use it: chmod 600, or private=False"
        )
    if state.st_uid not in {os.geteuid(), 0}:
        raise InvalidOption(f"path: {path} has passwords, and another owner, or use private=False")


class _Parser:
    """Reads the text of a file, from left to right."""

    def __init__(self, text: str, path: Path) -> None:
        self._text = text
        self._path = path
        self._at = 0

    def entries(self) -> Iterator[Entry]:
        """Find the entries; raise `InvalidOption` where the text is none."""
        machine: str | None = None
        values: dict[str, str] | None = None  # of the present entry
        while (word := self._next()) is not None:
            if word.startswith("#"):
                self._skip(_comment)
            elif word == "macdef":
                self._value(word)
                self._skip(_macro)
            elif word in {"machine", "default"}:
                if values is not None:
                    yield self._entry(machine, values)
                machine = self._value(word) if word == "machine" else None
                values = {}
            elif word in VALUES and values is not None:
                values.setdefault("login" if word == "user" else word, self._value(word))
            else:
                raise self._error("a machine, default, login, password or account")
        if values is not None:
            yield self._entry(machine, values)

    @staticmethod
    def _entry(machine: str | None, values: dict[str, str]) -> Entry:
        return Entry(machine, values.get("login"), values.get("password"))

    def _next(self) -> str | None:
        """Return the next token as it is written, None at the end."""
        self._skip(_gap)
        if self._at == len(self._text):
            return None
        match = _token.match(self._text, self._at)
        if match is None:
            raise self._error("the end of a text in quotation marks")
        self._at = match.end()
        return match[0]

    def _value(self, word: str) -> str:
        """Return the value behind *word*, without quotation marks and backslashes."""
        token = self._next()
        if token is None:
            raise self._error(f"a value of {word}")
        return _escaped.sub(r"\1", token[1:-1] if token.startswith('"') else token)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()

    def _error(self, expected: str) -> InvalidOption:
        line = self._text.count("\n", 0, self._at) + 1
        return InvalidOption(f"path: {self._path}, line {line}: {expected} is missing")
