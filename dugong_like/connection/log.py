"""Events as lines of the standard `logging`, at DEBUG, with what is secret masked.

The loggers are ``dugong_like.connection``, ``dugong_like.http1`` and ``dugong_like.proxy``.

Not here: the events (trace.py says what they look like).
"""

from __future__ import annotations

import logging
from typing import Any, Final

from ..http.redaction import mask_target, mask_words
from ..transport.trace import Info, Trace

CONNECTION: Final = logging.getLogger("dugong_like.connection")
HTTP1: Final = logging.getLogger("dugong_like.http1")
PROXY: Final = logging.getLogger("dugong_like.proxy")
BY_EVENT: Final = {"http11": HTTP1, "proxy": PROXY}  # all others: CONNECTION
MOST: Final = 500  # characters of one value


def log_events() -> Trace:
    """Return a trace that logs each event, for ``HTTPConnection(trace=log_events())``.

    A connection that has no trace logs by itself if one of the loggers takes DEBUG
    when the connection object is made.
    """
    return log_event


def log_event(event: str, info: Info) -> None:
    """Log one event."""
    logger = BY_EVENT.get(event.partition(".")[0], CONNECTION)
    if logger.isEnabledFor(logging.DEBUG):
        facts = " ".join(f"{name}={shown(value)}" for name, value in info.items())
        logger.debug("%s %s", event, facts)


def shown(value: Any) -> str:
    """Return *value* as text of bounded length, without secrets."""
    text = repr(mask_target(value)) if isinstance(value, str) else mask_words(repr(value))
    return text if len(text) <= MOST else f"{text[:MOST]}…"


def is_wanted() -> bool:
    """Return True if somebody listens at DEBUG now."""
    level = logging.DEBUG
    return CONNECTION.isEnabledFor(level) or HTTP1.isEnabledFor(level) or PROXY.isEnabledFor(level)
