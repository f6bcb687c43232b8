"""Events that a trace was told of, and those of a whole small exchange."""


def pair(*names):
    return [f"{name}.{end}" for name in names for end in ("started", "complete")]


SENT = pair("http11.send_request_headers", "http11.send_request_body")


HEAD = pair("http11.receive_response_headers")


BODY = pair("http11.receive_response_body", "http11.response_closed")


TCP = [
    *("connection.connect_tcp.started", *pair("connection.attempt")),
    "connection.connect_tcp.complete",
]


class Told(list):
    """A trace that keeps events, and raises at one of them."""

    def __init__(self, bad=None, failure=LookupError):
        super().__init__()
        self.bad, self.failure = bad, failure

    def __call__(self, event, info):
        assert "secret" not in repr(info)
        self.append((event, info))
        if event == self.bad:
            raise self.failure(event)

    @property
    def events(self):
        return [event for event, _ in self]

    def info(self, event):
        return dict(self)[event]
