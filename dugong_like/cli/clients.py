"""The client of the command line, from the options of a user.

Not here: the options themselves (request_options.py).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any, Final

from ..client.client import Client
from ..client.connector import Connector
from ..client.dispatcher import Dispatcher
from ..client.layers.retry import Retry
from ..client.pool import Pool
from ..client.pool_limits import HTTP_2_OR_1, Limits
from ..connection.config import HTTP_1, LEAST_STATUS
from ..polling.timeouts import Given, Timeouts
from .heads import Verbose

LIST_CONNECTIONS: Final = (
    8  # to an origin at a time; more make it hardly faster, and servers have limits
)
CONTINUE_TIME: Final = 1.0  # seconds to wait for 100 (Continue), as curl does


def _given(option: str, seconds: float | None) -> float | None:
    """Return *seconds*, of which messages say that *option* gave them."""
    return None if seconds is None else Given(seconds, f"{option} {seconds:g}")


def client_for(options: argparse.Namespace, report: Callable[[list[str]], object]) -> Client:
    """Return a client for *options*.

    Args:
        options: those of `add_request_options`.
        report: called with lines for ``-v``.

    Raises:
        InvalidOption, InvalidRequest: a value of *options* is not possible.

    """
    usual = _given("--timeout", options.timeout.usual)
    limits: dict[str, Any] = {"stall": usual, "expect100": CONTINUE_TIME}
    if options.list:  # its own downloads have the connections, and time limits
        limits["pool"] = math.inf
    timeouts = Timeouts(**limits)  # those of connections, so that no request has to set others
    dispatcher: Dispatcher = Pool(
        Connector(
            verify=not options.insecure if options.cacert is None else options.cacert,
            cert=(options.cert, options.key) if options.key else options.cert,
            proxy=options.proxy,
            timeout=timeouts,
            versions=HTTP_1 if options.http1 else HTTP_2_OR_1,
            whole_below=LEAST_STATUS,  # large bodies are never in memory
            **_budget(options.limit_rate),
        ),
        Limits(max_per_origin=LIST_CONNECTIONS) if options.list else Limits(),
    )
    retry = retry_for(options)
    if options.verbose:
        dispatcher = Verbose(dispatcher, report)
    if options.list and retry is not None:
        from .pausing import Pausing  # noqa: PLC0415 - for those who have a list

        dispatcher = Pausing(dispatcher, retry)
    return Client(
        dispatcher=dispatcher,
        timeout=timeouts
        if options.max_time is None
        else Timeouts(**limits, total=_given("--max-time", options.max_time)),
        auth=_auth(options),
        follow_redirects=options.location,
        retry=retry,
        decompress=options.compressed,
    )


def _budget(limit: int | None) -> dict[str, Any]:
    """Return the option of a connection for *limit*, in bytes a second of either direction."""
    if limit is None:
        return {}
    from ..polling.rates import Budget, RateLimit  # noqa: PLC0415 - dataclasses take 5 ms to import

    return {"budget": Budget(download=RateLimit(limit), upload=RateLimit(limit))}


def _auth(options: argparse.Namespace) -> Any:
    if options.netrc:
        from ..http.auth.netrc import NetRCAuth  # noqa: PLC0415 - for those who want it

        return NetRCAuth()
    return options.user


def retry_for(options: argparse.Namespace) -> Retry | None:
    """Return when requests are repeated; None unless the user wants it.

    An explicit 0 matters to commands that repeat by default: then it is a `Retry` of 0.
    """
    return Retry(options.retry, budget=None) if options.retry or options.repeats else None
