"""Where a field of a received header section is: it is searched by its name.

Most programs look at one or two fields of a response. So its section stays as it came: CRLF, and
checked field lines, each with its CRLF. A name is searched in the same bytes in lower case, behind
a line feed and in front of a colon.

Not here: the grammar of fields (h1/response_head.py), and sections that are taken apart
(lazy_message.py).
"""

from __future__ import annotations

from typing import Final

MOST_KEYS: Final = 256  # names that are remembered
NOWHERE: Final = b"\n\n"  # no section has it

keys: Final[dict[str, bytes]] = {}  # by name; to be asked before `key_of`, which is a call


def key_of(name: str) -> bytes:
    """Return what is in front of the value of a field called *name*, in any case, and remember it.

    That of a string that cannot be a name is found nowhere.
    """
    if len(keys) >= MOST_KEYS:
        keys.clear()
    if not name.isascii() or ":" in name or "\n" in name:
        key = NOWHERE
    else:
        key = b"\n%s:" % name.lower().encode()
    keys[name] = key
    return key
