"""For tests of single layers: what they send by, responses that arrive, and time that is told."""

from types import SimpleNamespace

from dugong_like.client.client import Client
from dugong_like.client.dispatchers.mock import MockDispatcher
from dugong_like.client.response import Response
from dugong_like.polling import wake as wake_

PLACE = "http://a.test/x"


class Arriving:
    """A body that arrives in pieces; it counts how often it was closed before its end."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)
        self.closed = 0

    def co_read(self, size):
        return self.pieces.pop(0) if self.pieces else b""
        yield

    def trailers(self):
        return []

    def close(self):
        self.closed += bool(self.pieces)


def arriving(status=200, headers=None, *pieces):
    """Return a response whose body is still to come."""
    response = Response(status, headers)
    response._wire, response._body = None, Arriving(*(pieces or (b"some", b"more")))
    return response


def is_given_up(response):
    """Return True if nothing of *response* is open: it was read to its end, or closed."""
    return response.is_closed and (not response._body.pieces or response._body.closed == 1)


class Sends:
    """What a layer sends by: it gives one outcome after the other; exceptions are raised.

    Attributes:
        requests: those that were sent.

    """

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        request.attempts += 1
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        outcome.request = request
        return outcome
        yield


def request_to(url=PLACE, method="GET", **options):
    """Return a request as a client builds it."""
    return Client(dispatcher=MockDispatcher()).build_request(method, url, **options)


class ToldTime:
    """Time that passes while operations wait, and only then.

    Attributes:
        now: seconds; the present.
        waits: the seconds of each wait.

    """

    def __init__(self, monkeypatch, *modules):
        self.now = 1000.0
        self.waits = []
        for module in (wake_, *modules):
            told = SimpleNamespace(monotonic=lambda: self.now, time=lambda: self.now)
            monkeypatch.setattr(module, "time", told)

    def finish(self, op):
        """Run *op* to its end."""
        while True:
            try:
                need = next(op)
            except StopIteration as end:
                return end.value
            self.wait(need)

    def wait(self, need):
        self.waits.append(round(need.deadline - self.now, 6))
        self.now = need.deadline
