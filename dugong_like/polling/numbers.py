"""Checks of numeric arguments, made where they are passed, so that errors name the argument.

Not here: the sizes and bytes of single calls (http/arguments.py), ports (http/hosts.py), and other
values in messages (http/redaction.py).
"""

from __future__ import annotations

import math
import sys
from typing import Final

from ..errors import InvalidOption

MAX_SHOWN: Final = 60  # characters of a value in a message
MAX_BITS: Final = 128  # of a number there
PLAIN: Final = frozenset([float, int])
FAR: Final = 1e12  # seconds, 30,000 years
SECRET_MARKS: Final = frozenset("@=&")


def shown(value: object) -> str:
    """Return an invalid *value* for a message: without secrets, and not too long.

    Objects other than text and plain numbers are shown by the name of their type, as they may
    contain secrets anywhere, or be of any size. So may text with a login or a query.
    """
    if isinstance(value, str) and len(value) <= MAX_SHOWN and SECRET_MARKS.isdisjoint(value):
        return repr(value)
    if value is None or type(value) in {bool, float}:
        return repr(value)
    if type(value) is int and value.bit_length() <= MAX_BITS:
        return str(value)
    return type(value).__name__


def check_int(name: str, value: object, least: int, most: int = sys.maxsize) -> None:
    """Check an argument that is a whole number.

    Args:
        name: name of the argument.
        value: its value.
        least: the smallest allowed number.
        most: the largest; by default the largest size of memory.

    Raises:
        TypeError: it is not an int.
        InvalidOption: it is less than *least*, or more than *most*.

    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is an int, not {shown(value)}")
    if not least <= value <= most:
        raise InvalidOption(f"{name} cannot be {shown(value)}: it is from {least} to {most}")


def check_flag(name: str, value: object) -> None:
    """Check an argument that is True or False, or 1 or 0.

    Raises:
        TypeError: it is none of these.

    """
    if not isinstance(value, int) or value not in {0, 1}:
        raise TypeError(f"{name} is True or False, not {shown(value)}")


def check_positive(name: str, value: object) -> None:
    """Check an argument that is a number above 0, and finite.

    Raises:
        TypeError: it is not a number.
        InvalidOption: it is 0 or less, infinite, or not a number.

    """
    if not 0 < _as_float(name, value, "a number") < math.inf:
        raise InvalidOption(f"{name} cannot be {shown(value)}: it is a number above 0")


def check_seconds(seconds: object, name: str, *, optional: bool = True) -> None:
    """Check a time limit called *name*. It may be 0 or infinite.

    With *optional* the message says that None is allowed, too; it is never passed here.

    Raises:
        TypeError: it is not a number.
        InvalidOption: it is negative, too large, or not a number.

    """
    if type(seconds) in PLAIN and 0 <= seconds < FAR:  # type: ignore[operator]  # a number
        return
    kind = "a number of seconds, or None" if optional else "a number of seconds"
    if not _as_float(name, seconds, kind) >= 0:
        raise InvalidOption(f"a time limit of {shown(seconds)} seconds for {name}")


def check_limit(seconds: object, name: str) -> None:
    """Check an interval or a time limit called *name* that makes no sense if it is 0.

    Its message says that None is allowed, too; it is never passed here.

    Raises:
        TypeError: it is not a number.
        InvalidOption: it is 0, negative, too large, or not a number.

    """
    check_seconds(seconds, name)
    if not seconds:
        raise InvalidOption(f"{name} cannot be {shown(seconds)}: it is above 0, or None for none")


def check_deadline(deadline: object, name: str = "deadline") -> None:
    """Check a time of `time.monotonic`, which may have passed.

    Raises:
        TypeError: it is not a number.
        InvalidOption: it is too large, or not a number.

    """
    if type(deadline) in PLAIN and -FAR < deadline < FAR:  # type: ignore[operator]  # see above
        return
    if math.isnan(_as_float(name, deadline, "seconds of time.monotonic(), a number")):
        raise InvalidOption(f"{name} cannot be {shown(deadline)}")


def _as_float(name: str, value: object, kind: str) -> float:
    """Return a number of any type as a float, like its sum with a time."""
    try:
        number = value + 0.0  # type: ignore[operator]  # raises for other types
    except OverflowError:
        raise InvalidOption(f"{name} cannot be {shown(value)}: it is too large") from None
    except Exception:  # noqa: BLE001 - foreign numbers may raise anything
        number = None
    if not isinstance(number, float) or isinstance(value, bool):
        raise TypeError(f"{name} is {kind}, not {shown(value)}")
    return number
