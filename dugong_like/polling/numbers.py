"""Numbers that callers pass: checked where they are given, so that the error names the argument.

Not here: the sizes and bytes that single calls are given (http/arguments.py), ports
(http/hosts.py), and other values in messages (http/redaction.py).
"""

from __future__ import annotations

import math
import re
import sys
from typing import Final

from ..errors import InvalidOption

MAX_SHOWN: Final = 60  # characters of a value in a message
MAX_BITS: Final = 128  # of a number there
PLAIN: Final = frozenset([float, int])
FAR: Final = 1e12  # seconds, 30,000 years
_may_be_secret = re.compile(r"[@=&]").search


def shown(value: object) -> str:
    """Return *value*, which is wrong, for a message: without secrets, and not too long.

    Of what is neither text nor a plain number it is the name of the type: the rest may have
    secrets anywhere, or be of any size. So may text with a login or a query.
    """
    if isinstance(value, str) and len(value) <= MAX_SHOWN and not _may_be_secret(value):
        return repr(value)
    if value is None or type(value) in {bool, float}:
        return repr(value)
    if type(value) is int and value.bit_length() <= MAX_BITS:
        return str(value)
    return type(value).__name__


def check_int(name: str, value: object, least: int, most: int = sys.maxsize) -> None:
    """Check an argument that is a whole number.

    Args:
        name: of the argument.
        value: what was given.
        least: the smallest number that it can be.
        most: the largest; by default what memory can have.

    Raises:
        TypeError: it is no int.
        InvalidOption: it is less than *least*, or more than *most*.

    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is an int, not {shown(value)}")
    if not least <= value <= most:
        raise InvalidOption(f"{name} cannot be {shown(value)}: it is from {least} to {most}")


def check_flag(name: str, value: object) -> None:
    """Check an argument that is True or False, for which 1 and 0 will do.

    Raises:
        TypeError: it is neither.

    """
    if not isinstance(value, int) or value not in {0, 1}:
        raise TypeError(f"{name} is True or False, not {shown(value)}")


def check_positive(name: str, value: object) -> None:
    """Check an argument that is a number above 0, and finite.

    Raises:
        TypeError: it is no number.
        InvalidOption: it is 0 or less, infinite, or not a number.

    """
    if not 0 < _as_float(name, value, "a number") < math.inf:
        raise InvalidOption(f"{name} cannot be {shown(value)}: it is a number above 0")


def check_seconds(seconds: object, name: str, *, optional: bool = True) -> None:
    """Check a time limit, which is called *name*. It may be 0 or infinite.

    *optional* says that None would do as well; it is not given to this function.

    Raises:
        TypeError: it is no number.
        InvalidOption: it is negative, too large, or not a number.

    """
    if type(seconds) in PLAIN and 0 <= seconds < FAR:  # type: ignore[operator]  # it is a number
        return
    kind = "a number of seconds, or None" if optional else "a number of seconds"
    if not _as_float(name, seconds, kind) >= 0:
        raise InvalidOption(f"a time limit of {shown(seconds)} seconds for {name}")


def check_deadline(deadline: object, name: str = "deadline") -> None:
    """Check a time of `time.monotonic`, which may have passed.

    Raises:
        TypeError: it is no number.
        InvalidOption: it is too large, or not a number.

    """
    if type(deadline) in PLAIN and -FAR < deadline < FAR:  # type: ignore[operator]  # see above
        return
    if math.isnan(_as_float(name, deadline, "seconds of time.monotonic(), a number")):
        raise InvalidOption(f"{name} cannot be {shown(deadline)}")


def _as_float(name: str, value: object, kind: str) -> float:
    """Return *value* as the sum with a time is: a float, whatever kind of number it is."""
    try:
        number = value + 0.0  # type: ignore[operator]  # that is the question
    except OverflowError:
        raise InvalidOption(f"{name} cannot be {shown(value)}: it is too large") from None
    except Exception:  # noqa: BLE001 - numbers of others raise what they like
        number = None
    if not isinstance(number, float) or isinstance(value, bool):
        raise TypeError(f"{name} is {kind}, not {shown(value)}")
    return number
