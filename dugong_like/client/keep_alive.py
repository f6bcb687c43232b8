"""The field Keep-Alive: for how long, and how many requests, a server keeps a connection.

It has no present standard: RFC 2068 section 19.7.1, draft-thomson-hybi-http-timeout-03 section 2,
and what Apache, nginx and Node send: ``Keep-Alive: timeout=5, max=100``.

Not here: what follows from it (pool.py).
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import inf

from ..http.patterns import compiled_later
from ..http.redaction import quoted

_parameters = compiled_later(
    r"(?:^|[,;\s])(timeout|max)\s*=\s*\"?([0-9]{1,9})(?![0-9])", re.IGNORECASE
)


@lru_cache(maxsize=64)
def parse_keep_alive(value: str) -> tuple[float, float]:
    """Return the seconds that the server waits, and the requests that may follow.

    Either is infinite if *value* does not say it, or not in a way that can be understood.

    Raises:
        TypeError: *value* is not a string.

    """
    if not isinstance(value, str):
        raise TypeError(f"Keep-Alive is a string, not {quoted(value)}")
    found = {name.lower(): float(number) for name, number in reversed(_parameters().findall(value))}
    return found.get("timeout", inf), found.get("max", inf)
