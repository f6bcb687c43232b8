"""The options of the command line, and checks of their values.

Not here: URLs (urls.py), and the commands themselves.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, NoReturn

from ..http.patterns import compiled_later
from ..http.redaction import SHOWN, quoted, shown_text
from .outcome import WRONG_ARGUMENTS
from .standard import MAX_LINE, PATIENCE, complain, print_output

FILES: Final = 2000  # of the demo, if there is time for so many
MAX_FILES: Final = 100_000  # 9 GiB
MAX_COUNT: Final = 1_000_000  # times
UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}  # as of curl and wget
MAX_RATE: Final = 1 << 50  # bytes a second

_rate = compiled_later(r"(?P<number>[0-9]{1,18}(?:\.[0-9]{1,18})?)(?P<unit>[kKmMgG]?)")


class TimeLimits(NamedTuple):
    """The value of ``--timeout``: seconds without progress; None for no limit.

    Attributes:
        usual: for the server, the way to it, and what is uploaded.
        output: for what is written, here.

    """

    usual: float | None = 60
    output: float | None = PATIENCE


class _OfCheck(argparse.RawDescriptionHelpFormatter):
    """The formatter by which `argparse` checks each argument that is added.

    It formats nothing that is shown, so it need not know how wide the terminal is, which takes 3 ms
    for all arguments.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=MAX_LINE)


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, and writes as the commands do.

    Quoted arguments are shown without possible secrets. The lines of descriptions stay as they are.

    Args:
        command: name of the command whose arguments are parsed, for errors; empty for none.
        options: see `argparse.ArgumentParser`.

    Attributes:
        command: see above.
        further: destination of arguments without option, which may be anywhere between options;
            `argparse` takes the first group of them only.
        before_urls: an option that takes an argument which is no URL, and the one that is meant
            otherwise; None for none.
        add_arguments: adds the arguments when they are needed; None if they are there. So a command
            does not wait for those of the others.

    """

    before_urls: tuple[str, str] | None = None

    def __init__(self, *, command: str = "", **options: Any) -> None:
        super().__init__(formatter_class=_OfCheck, **options)
        self.command = command
        self.further = ""
        self.add_arguments: Callable[[Parser], object] | None = None

    _given: Sequence[str] = ()

    def parse_known_args(  # type: ignore[override]  # the base class has overloads
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        """Parse *args* as the base class does."""
        add_arguments, self.add_arguments = self.add_arguments, None
        if add_arguments is not None:
            add_arguments(self)
        self._given = sys.argv[1:] if args is None else list(args)
        if self.before_urls is not None:
            self._given = _replaced(self._given, *self.before_urls)
        found, extra = super().parse_known_args(self._given, namespace)
        if self.further:
            values = getattr(found, self.further)
            values += [each for each in extra if each == "-" or each[:1] != "-"]
            extra = [each for each in extra if each != "-" and each[:1] == "-"]
        if extra and self.command:  # here, where the command is known
            self.error(f"unrecognized arguments: {' '.join(extra)}")
        return found, extra

    def format_help(self) -> str:
        """Return the help, as wide as the terminal."""
        self.formatter_class = argparse.RawDescriptionHelpFormatter
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Report the error, and end."""
        values = {value for each in self._given for value in (each, each.partition("=")[2])}
        for value in sorted(values, key=len, reverse=True):  # one may be a part of another
            if (masked := shown_text(value, MAX_LINE)) != value:
                message = message.replace(value, masked)
                message = message.replace(repr(value)[1:-1], masked)
        name = f"{self.command}: " if self.command else ""
        complain(f"{name}{message} ({self.prog} --help says more)")
        sys.exit(WRONG_ARGUMENTS)

    def print_help(self, file: Any = None) -> None:  # noqa: ARG002 - the base class's parameter
        """Print the help.

        Raises:
            OSError: standard output cannot be written.

        """
        print_output(self.format_help())


class CommandParser(Parser):
    """A parser of commands, of which the first one may be left out in front of URLs.

    Args:
        usual: name of that command.
        options: see `Parser`.

    """

    def __init__(self, usual: str, **options: Any) -> None:
        super().__init__(**options)
        self._usual = usual
        self._commands: dict[str, Parser] = {}

    def add_commands(self) -> Callable[..., Parser]:
        """Return what adds a command.

        It is a function of its name, of what adds its arguments if it is this command that is
        given, and of arguments of `Parser`.
        """
        commands = self.add_subparsers(
            required=True, title="commands", metavar="COMMAND", parser_class=Parser, prog=self.prog
        )

        def add(name: str, add_arguments: Callable[[Parser], object], **options: Any) -> Parser:
            parser: Parser = commands.add_parser(name, command=name, **options)
            parser.add_arguments = add_arguments
            self._commands[name] = parser
            return parser

        return add

    def parse_known_args(  # type: ignore[override]  # the base class has overloads
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        """Parse *args* as the base class does."""
        given = sys.argv[1:] if args is None else list(args)
        if any(map(is_url, given)) and given[0] not in self._commands:
            given.insert(0, self._usual)
        return super().parse_known_args(given, namespace)


def _replaced(given: Sequence[str], option: str, other: str) -> list[str]:
    """Return *given*, with *other* where *option* has no argument that is no URL."""
    behind = [*given[1:], ""]
    return [
        other if each == option and (not following or _is_none(following)) else each
        for each, following in zip(given, behind, strict=False)
    ]


def _is_none(text: str) -> bool:
    """Return True if *text* is a URL or an option."""
    return is_url(text) or (text != "-" and text[:1] == "-")


def is_url(text: str) -> bool:
    """Return True if *text* begins as a URL."""
    return text.lower().startswith(("http://", "https://"))


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
    """Return the beginning of *text*, in quotation marks, for an error."""
    return quoted(text) + ("..." if len(text) > SHOWN else "")


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


def count(text: str) -> int:
    """Return a number of times, from 0 to `MAX_COUNT`."""
    try:
        number = int(text)
    except ValueError:  # also if it has thousands of digits
        number = -1
    if not 0 <= number <= MAX_COUNT:
        raise argparse.ArgumentTypeError(f"not a number from 0 to {MAX_COUNT}: {shown(text)}")
    return number


def byte_rate(text: str) -> int:
    """Return bytes a second, at least 1, of a number with an optional unit k, M or G of 1024."""
    match = _rate().fullmatch(text)
    rate = float(match["number"]) * UNITS[match["unit"].lower()] if match else 0.0
    if not 1 <= rate <= MAX_RATE:
        raise argparse.ArgumentTypeError(
            f"not a number of bytes a second, such as 500k or 2M: {shown(text)}"
        )
    return int(rate)


def whole_number(text: str) -> int:
    """Return a whole number, with at most the number of digits that Python allows."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a whole number: {shown(text)}") from None


def time_limit(text: str) -> float | None:
    """Return seconds, more than 0; None for ``inf``, which sets no limit."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isnan(seconds) or seconds <= 0:
        raise argparse.ArgumentTypeError(f"not a number of seconds above 0: {shown(text)}")
    return None if math.isinf(seconds) else seconds


def time_limits(text: str) -> TimeLimits:
    """Return the limits for *text*, which sets all of them; see `time_limit`."""
    seconds = time_limit(text)
    return TimeLimits(seconds, seconds)


def field(text: str) -> tuple[str, str]:
    """Return the name and the value of a header field. The rest is checked when it is sent."""
    name, colon, value = text.partition(":")
    if not colon:
        first = re.split(r"[\s=;,]", text.strip(), maxsplit=1)[0]  # the rest may be secret
        raise argparse.ArgumentTypeError(f"no colon behind the name: {shown(first)}")
    return name, value.strip(" \t")


def file_name(text: str) -> str:
    """Return the name of a file, which must not be empty."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"not the name of a file: {shown(text)}")
    return text
