"""The SDKs of openai and anthropic, unmodified, with the transports for httpx and httpx2.

A local server answers as their services do: with JSON, with events, with errors, and not at all.
"""

import json
from functools import partial
from itertools import islice

import httpx
import httpx2
import pytest
from kit.httpx_clients import RUNNERS
from kit.support import ScriptedServer, installed, read_exactly, read_head, wait_until

from dugong_like import Limits
from dugong_like.adapters.httpx import AsyncTransport, Transport

# On trio the SDKs leave that to the garbage collector, with any transport.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Async generator '(openai|anthropic|httpx|httpx2)[.]:ResourceWarning"
)

WORDS = ["Hello", ", ", "wörld", "\u2028", "!"]
TEXT = "".join(WORDS)
ASKED = [{"role": "user", "content": "Say hello"}]


class OpenAI:
    """What the SDK of openai and its service are like."""

    path = "/v1/chat/completions"

    def __init__(self):
        self.sdk = installed("openai", "sdk")
        self.kinds = self.sdk.OpenAI, self.sdk.AsyncOpenAI

    def make(self, kind, url, **options):
        return kind(api_key="sesame", base_url=f"{url}/v1", **options)

    def options(self, model, **more):
        return {"model": model, "messages": ASKED, **more}

    def method(self, client):
        return client.chat.completions.create

    def text_of(self, answer):
        return answer.choices[0].message.content

    def word_of(self, event):
        return event.choices[0].delta.content or ""

    @staticmethod
    def answer():
        message = {"role": "assistant", "content": TEXT}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"id": "1", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [choice]}  # fmt: skip

    @staticmethod
    def events():
        for word in WORDS:
            choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
            event = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                     "choices": [choice]}  # fmt: skip
            yield f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
        yield "data: [DONE]\n\n"


class Anthropic:
    """The same of anthropic."""

    path = "/v1/messages"

    def __init__(self):
        self.sdk = installed("anthropic", "sdk")
        self.kinds = self.sdk.Anthropic, self.sdk.AsyncAnthropic

    def make(self, kind, url, **options):
        return kind(api_key="sesame", base_url=url, **options)

    def options(self, model, **more):
        return {"model": model, "messages": ASKED, "max_tokens": 100, **more}

    def method(self, client):
        return client.messages.create

    def text_of(self, answer):
        return answer.content[0].text

    def word_of(self, event):
        return event.delta.text if event.type == "content_block_delta" else ""

    @staticmethod
    def answer():
        return {"id": "1", "type": "message", "role": "assistant", "model": "m",
                "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn",
                "stop_sequence": None,
                "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip

    @staticmethod
    def events():
        told = [
            {"type": "message_start", "message": {**Anthropic.answer(), "content": []}},
            {"type": "content_block_start", "index": 0,
             "content_block": {"type": "text", "text": ""}},
            *({"type": "content_block_delta", "index": 0,
               "delta": {"type": "text_delta", "text": word}} for word in WORDS),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_stop"},
        ]  # fmt: skip
        for event in told:
            text = json.dumps(event, ensure_ascii=False)
            yield f"event: {event['type']}\ndata: {text}\n\n"


class Service:
    """Answers by the model that is asked for.

    Attributes:
        requests: what was asked, and the number of the retry.

    """

    def __init__(self, vendor):
        self._vendor = vendor
        self.requests = []

    def __call__(self, sock):
        while head := read_head(sock):
            fields = {
                name.lower(): value.strip()
                for name, _, value in (
                    line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:]
                )
            }
            asked = json.loads(read_exactly(sock, int(fields["content-length"])))
            assert head.startswith(f"POST {self._vendor.path} HTTP/1.1\r\n".encode())
            assert "sesame" in fields.get("authorization", fields.get("x-api-key"))
            assert asked["messages"] == ASKED
            retry = int(fields["x-stainless-retry-count"])
            self.requests.append((asked["model"], retry))
            getattr(self, "_" + asked["model"].replace("-", "_"))(sock, asked, retry)

    def _good(self, sock, asked, retry):
        if not asked.get("stream"):
            self._reply(sock, "200 OK", self._vendor.answer())
            return
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked"
        sock.sendall(f"{head}\r\n\r\n".encode())
        events = [event.encode() for event in self._vendor.events()]
        chunks = [b"%x\r\n%s\r\n" % (len(data), data) for data in events]
        chunks[-1] += b"0\r\n\r\n"  # an SDK may end the response before an end that comes later
        for chunk in chunks:
            sock.sendall(chunk)

    def _busy_twice(self, sock, asked, retry):
        if retry < 2:
            error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
            self._reply(sock, "503 Busy", error, "retry-after-ms: 1\r\n")
        else:
            self._good(sock, asked, retry)

    def _unknown(self, sock, asked, retry):
        error = {"type": "error", "error": {"type": "not_found_error", "message": "no such model"}}
        self._reply(sock, "404 Not Found", error)

    def _silent(self, sock, asked, retry):
        sock.recv(1)  # until the client has had enough

    def _lost_once(self, sock, asked, retry):
        if retry < 1:
            raise ConnectionResetError
        self._good(sock, asked, retry)

    def _reply(self, sock, status, answer, fields=""):
        data = json.dumps(answer).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{fields}"
        sock.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)


class Blocking:
    """Calls to an SDK that blocks; those of `Asynchronous` do the same in an event loop."""

    def __init__(self, vendor, library, url):
        self._vendor = vendor
        self._inner = library.Client(transport=Transport(limits=Limits(max_connections=1)))
        self.client = vendor.make(vendor.kinds[0], url, http_client=self._inner)

    def ask(self, model, **options):
        client = self.client.with_options(**options)
        return self._vendor.text_of(self._vendor.method(client)(**self._vendor.options(model)))

    def stream(self, most=None):
        asked = self._vendor.options("good", stream=True)
        with self._vendor.method(self.client)(**asked) as stream:
            return "".join(self._vendor.word_of(event) for event in islice(stream, most))

    def close(self):
        self._inner.close()


class Asynchronous:
    """The same with its asynchronous client."""

    def __init__(self, runner, vendor, library, url):
        self._vendor, self._runner = vendor, runner()
        transport = AsyncTransport(limits=Limits(max_connections=1))
        self._inner = library.AsyncClient(transport=transport)
        self.client = vendor.make(vendor.kinds[1], url, http_client=self._inner)

    def ask(self, model, **options):
        async def main():
            client = self.client.with_options(**options)
            answer = await self._vendor.method(client)(**self._vendor.options(model))
            return self._vendor.text_of(answer)

        return self._runner.run(main())

    def stream(self, most=None):
        async def main():
            text, left = "", most
            asked = self._vendor.options("good", stream=True)
            async with await self._vendor.method(self.client)(**asked) as stream:
                async for event in stream:
                    text += self._vendor.word_of(event)
                    left = left and left - 1
                    if left == 0:
                        break
            return text

        return self._runner.run(main())

    def close(self):
        self._runner.run(self._inner.aclose())
        self._runner.close()


CALLS = {"blocking": Blocking, **{name: partial(Asynchronous, RUNNERS[name]) for name in RUNNERS}}


# httpx2 is what the SDKs use by themselves; that of openai takes httpx as well.
PAIRS = [(OpenAI, httpx2), (OpenAI, httpx), (Anthropic, httpx2)]


@pytest.fixture(params=PAIRS, ids=[f"{kind.__name__}-{lib.__name__}" for kind, lib in PAIRS])
def pair(request):
    """An SDK and the library that it uses."""
    return request.param


@pytest.fixture
def vendor(pair, monkeypatch):
    """The SDK, which makes short pauses before its retries, and what its service is like."""
    vendor = pair[0]()
    monkeypatch.setattr(vendor.sdk._base_client, "INITIAL_RETRY_DELAY", 0.01, raising=False)
    return vendor


@pytest.fixture
def library(pair):
    """The library."""
    return pair[1]


@pytest.fixture
def service(vendor):
    """The service."""
    return Service(vendor)


@pytest.fixture
def server(service):
    """Its server."""
    with ScriptedServer(service) as server:
        yield server


@pytest.fixture(params=CALLS)
def calls(request, vendor, server, library):
    """Calls to the SDK."""
    calls = CALLS[request.param](vendor, library, f"http://127.0.0.1:{server.port}")
    yield calls
    calls.close()


def test_completions_and_streams_share_one_connection(calls, server):
    assert calls.ask("good") == TEXT
    assert calls.stream() == TEXT
    assert calls.ask("good") == TEXT
    assert server.connections == 1


def test_stream_that_is_given_up_frees_its_connection(calls):
    assert TEXT.startswith(calls.stream(most=4))
    assert calls.ask("good") == TEXT


def test_error_that_passes_is_retried_by_the_sdk(calls, server, service):
    assert calls.ask("busy-twice") == TEXT
    assert service.requests == [("busy-twice", 0), ("busy-twice", 1), ("busy-twice", 2)]
    assert server.connections == 1


def test_connection_that_is_lost_is_retried_by_the_sdk(calls, service):
    assert calls.ask("good") == TEXT
    assert calls.ask("lost-once") == TEXT
    assert service.requests[1:] == [("lost-once", 0), ("lost-once", 1)]


def test_errors_of_the_service_are_those_of_the_sdk(calls, vendor):
    with pytest.raises(vendor.sdk.NotFoundError, match="no such model"):
        calls.ask("unknown")
    with pytest.raises(vendor.sdk.InternalServerError, match="busy"):
        calls.ask("busy-twice", max_retries=1)
    assert calls.ask("good") == TEXT


def test_time_out_is_that_of_the_sdk(calls, vendor, service):
    with pytest.raises(vendor.sdk.APITimeoutError):
        calls.ask("silent", timeout=0.2, max_retries=1)
    wait_until(lambda: service.requests == [("silent", 0), ("silent", 1)])
    assert calls.ask("good") == TEXT


def test_no_server_is_a_connection_error_of_the_sdk(vendor, library):
    with ScriptedServer(lambda sock: None) as server:
        url = f"http://127.0.0.1:{server.port}"
    calls = Blocking(vendor, library, url)
    with pytest.raises(vendor.sdk.APIConnectionError):
        calls.ask("good", max_retries=0)
    calls.close()
