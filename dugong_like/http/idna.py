"""International host names in ASCII (IDNA), as they are looked up and sent.

With the package ``idna`` (extra ``idna``) names are mapped by UTS 46, not transitionally, and
checked by IDNA 2008 (RFC 5891), as in browsers. As in browsers, symbols such as emoji are allowed,
which IDNA 2008 does not allow. Without the package, Python's codec is used, which is IDNA 2003 (RFC
3490), but only for names that are the same in both: ``faß.de`` is ``fass.de`` in IDNA 2003, another
host.

Not here: names in ASCII, which are never changed, ``xn--`` included (hosts.py).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_NAME: Final = 1024  # characters; a name has 253 (RFC 1035), before the mapping perhaps more
MAX_LABEL: Final = 63  # characters between dots (RFC 1035 section 2.3.4)
ALLOWED: Final = frozenset(["Ll", "Lo", "Lm", "Mn", "Mc", "Nd", "So", "Sm", "Sc"])  # RFC 5892
ADVICE: Final = (
    "it needs IDNA 2008: install the package idna (pip install 'dugong-like[idna]'), or write the "
    "name in ASCII (xn--...)"
)

# Sharp s and final sigma: IDNA 2003 makes other letters of them, and IDNA 2008 does not. (Joiners,
# which IDNA 2003 drops, need no exception: the mapping of today keeps them.)
_deviation = re.compile("[\u00df\u1e9e\u03c2]").search
# Letters, marks and symbols that IDNA 2008 does not allow, or UTS 46 drops (RFC 5892 sections 2.3,
# 2.4, 2.6 and 2.9).
_exception = re.compile(
    "[\u0640\u07fa\u1100-\u11ff\u17b4\u17b5\u180b-\u180f\u20d0-\u20ff\u302e\u302f"
    "\u3031-\u3035\u303b\u3164\ua960-\ua97f\ud7b0-\ud7ff\uffa0\U0001d100-\U0001d24f\U000e0000-\U000e0fff]"
).search
_hyphens = re.compile("-|..--|.*-$", re.DOTALL).match  # in places that RFC 5891 4.2.3.1 forbids
_in_ascii = re.compile(r"[a-z0-9\-]*").fullmatch
_dots = re.compile("[.\u3002\uff0e\uff61]")  # RFC 3490 section 3.1


class NotIDNA(Exception):
    """A name that is no international host name. Its text says why, and does not contain it."""


def to_ascii(name: str) -> str:
    """Return *name*, a host name that is not in ASCII, in ASCII.

    The result may have any characters of ASCII, as the mapping makes ASCII of others.

    Raises:
        NotIDNA: it is no valid name, or IDNA 2008 is needed and not installed.

    """
    if len(name) > MAX_NAME:
        raise NotIDNA("too long")
    try:
        import idna  # noqa: PLC0415, F401 - 12 ms, and only for names that are not in ASCII
    except ImportError:
        return by_codec(name)
    return by_package(name)


def by_package(name: str) -> str:
    """Return *name* by the package ``idna``; see `to_ascii`."""
    import idna  # noqa: PLC0415 - as above

    try:
        mapped = idna.uts46_remap(name, std3_rules=False)
        return ".".join([_a_label(label) for label in mapped.split(".")])
    except idna.IDNAError:  # which contains the name
        pass
    raise NotIDNA("IDNA 2008 does not allow one of its characters, or not at its place")


def _a_label(label: str) -> str:
    """Return *label*, which has been mapped, in ASCII."""
    if label.isascii():
        return label
    import idna  # noqa: PLC0415 - as above

    idna.check_nfc(label)
    letters = _without_symbols(label)
    if letters:
        idna.check_label(letters)
    encoded = f"xn--{label.encode('punycode').decode()}"
    if len(encoded) > MAX_LABEL:
        raise idna.IDNAError("label too long")
    return encoded


def by_codec(name: str) -> str:
    """Return *name* by the codec of Python, if IDNA 2008 gives the same; see `to_ascii`."""
    try:
        text = name.encode("idna").decode("ascii")
    except UnicodeError:  # which contains the name
        text = ""
    if not text:
        raise NotIDNA("it has characters that no host name has, or a label is empty or too long")
    labels, encoded = _dots.split(name), text.split(".")
    if len(labels) != len(encoded) or not all(map(_is_same, labels, encoded)):
        raise NotIDNA(ADVICE)
    return text


def _is_same(label: str, encoded: str) -> bool:
    """Return True if IDNA 2008 certainly makes *encoded* of *label*, as IDNA 2003 does.

    That is so for letters, digits, marks and symbols, if the Unicode of today maps them as that of
    2002 does, which IDNA 2003 has. Labels that are written from right to left have letters and
    marks only, as the rules for digits in them are different (RFC 5893).
    """
    if label.isascii():
        return True
    plain = encoded
    if encoded.startswith("xn--"):
        plain = encoded.removeprefix("xn--").encode().decode("punycode")
    mapped = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    if mapped != plain or _deviation(label) or _exception(plain):
        return False
    letters = "".join([char for char in plain if not char.isascii()])
    kinds = {unicodedata.category(char) for char in letters}
    if not kinds <= ALLOWED or not _in_ascii("".join(filter(str.isascii, plain))):
        return False
    checked = _without_symbols(plain)
    if letters and (_hyphens(plain) or _hyphens(checked)):
        return False
    if unicodedata.normalize("NFC", checked) != checked:
        return False  # a mark behind a symbol, which is checked as if it were behind a letter
    if checked and unicodedata.category(checked[0])[0] == "M":
        return False  # a mark needs a letter in front of it
    directions = {unicodedata.bidirectional(char) for char in plain}
    return directions.isdisjoint({"R", "AL", "AN"}) or directions <= {"R", "AL", "NSM"}


def _without_symbols(label: str) -> str:
    """Return the characters of *label* that IDNA 2008 checks."""
    return "".join([char for char in label if unicodedata.category(char)[0] != "S"])
