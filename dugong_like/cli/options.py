"""The options of the command line, and what their values may be.

Not here: URLs (urls.py), and the commands themselves.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from .outcome import WRONG_ARGUMENTS
from .standard import complain, print_output

FILES: Final = 2000  # of the demo
MAX_FILES: Final = 100_000  # 9 GiB
SHOWN: Final = 60  # characters of a value that an error shows


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong, and writes as the commands do."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end."""
        complain(f"{message} ({self.prog} --help says more)")
        sys.exit(WRONG_ARGUMENTS)

    def print_help(self, file: Any = None) -> None:  # noqa: ARG002 - the base class's parameter
        """Print the help.

        Raises:
            OSError: that is not possible.

        """
        print_output(self.format_help())


class PrintVersion(argparse.Action):
    """Prints the version, and ends."""

    def __init__(self, option_strings: Sequence[str], dest: str, *, version: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version")
        self._version = version

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002 - see argparse
        values: object,  # noqa: ARG002
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Print it."""
        print_output(f"{self._version}\n")
        parser.exit()


def shown(text: str) -> str:
    """Return the beginning of *text*, in quotation marks, as an error shows it."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")


def file_count(text: str) -> int:
    """Return a number of files, from 1 to `MAX_FILES`."""
    try:
        count = int(text)
    except ValueError:  # also if it has thousands of digits
        raise argparse.ArgumentTypeError(f"not a number of files: {shown(text)}") from None
    if count < 1:
        raise argparse.ArgumentTypeError("at least one file is needed")
    if count > MAX_FILES:
        raise argparse.ArgumentTypeError(f"more than {MAX_FILES} files: {shown(text)}")
    return count


def whole_number(text: str) -> int:
    """Return a whole number, of at most so many digits as Python takes."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a whole number: {shown(text)}") from None


def time_limit(text: str) -> float | None:
    """Return seconds, more than none; None for ``inf``, which sets no limit."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isnan(seconds) or seconds <= 0:
        raise argparse.ArgumentTypeError(f"not a number of seconds above 0: {shown(text)}")
    return None if math.isinf(seconds) else seconds


def field(text: str) -> tuple[str, str]:
    """Return the name and the value of a header field. The rest is checked when it is sent."""
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"no colon in {shown(text)}")
    return name, value.strip(" \t")


def file_name(text: str) -> str:
    """Return the name of a file, which may be any but an empty one."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"not the name of a file: {shown(text)}")
    return text
