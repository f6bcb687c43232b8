"""Clients that go to other processes: what is kept, and what is made anew."""

import copy
import fractions
import json
import pickle
import ssl

import pytest
from kit.sites import Site

import dugong_like
from dugong_like import (
    AsyncClient,
    BasicAuth,
    BearerAuth,
    Client,
    Cookies,
    DigestAuth,
    H2Options,
    Limits,
    MockDispatcher,
    Proxy,
    PublicOnly,
    RequestRate,
    Response,
    Retry,
    SocketOptions,
    StateError,
    Timeouts,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(request):
    return Response(200, json=sorted(request.headers.items()))


def on_headers(response, **_):
    response.extensions["seen"] = True


def sent_again(value):
    return pickle.loads(pickle.dumps(value))


@pytest.mark.feature("E47")
def test_a_client_arrives_with_its_settings_and_connections_of_its_own():
    with (
        Site({None: OK}) as site,
        Client(base_url=site.url("127.0.0.1"), headers={"X-Own": "1"}) as client,
    ):
        client.get("/1")
        client.headers["X-Later"] = "2"
        del client.headers["Accept"]
        with sent_again(client) as other:
            assert other.get("/2").content == b"ok"
            assert client.get("/3").content == b"ok"
            assert other.dispatcher is not client.dispatcher
            assert other.headers == client.headers
        assert client.get("/4").content == b"ok"  # closing one leaves the other open
        first, second, third, fourth = site.seen
        assert {first.connection, third.connection, fourth.connection} == {first.connection}
        assert second.connection != first.connection
        assert (second.headers["X-Own"], second.headers["X-Later"]) == ("1", "2")
        assert "Accept" not in second.headers


def test_credentials_cookies_and_functions_for_events_arrive():
    cookies = Cookies()
    client = Client(
        dispatcher=MockDispatcher(answer), auth=("me", "secret"), cookies=cookies,
        hooks={"on_headers": on_headers},
    )  # fmt: skip
    client.bind_event("on_headers", on_headers)
    client.cookies.set("a", "1", domain="example.org")
    other = sent_again(client)

    fields = dict(other.get("http://example.org/").json())
    assert fields["Authorization"] == "Basic bWU6c2VjcmV0"
    assert fields["Cookie"] == "a=1"
    assert other.cookies is not cookies
    assert vars(other)["_hooks"].functions() == {"on_headers": [on_headers] * 2}


SETTINGS = {  # each argument of a client, with a value that is not the default one
    "base_url": "https://example.org/a/",
    "headers": {"X-Own": "1", "Accept": None},
    "params": {"a": "1"},
    "cookies": Cookies(),
    "auth": DigestAuth("me", "secret"),
    "timeout": Timeouts(connect=3, total=9),
    "follow_redirects": False,
    "max_redirects": 3,
    "keep_fields": ("x-own",),
    "insecure_redirects": True,
    "retry": Retry(7, statuses=[500], methods=["GET"], backoff=0.1, budget=0.5),
    "limits": Limits(max_connections=3),
    "verify": False,
    "proxy": Proxy("http://me:secret@proxy.example:3128", headers={"X-Via": "1"}),
    "trust_env": False,
    "store_cookies": False,
    "decompress": False,
    "max_body": 1000,
    "default_encoding": "latin-1",
    "raise_for_status": True,
    "json": fractions,  # any module, with these functions
    "hooks": {"on_headers": on_headers},
    "layers": (answer,),
    "guard": PublicOnly(),
    "rate": RequestRate(3.3, 4, per_origin=False),
    "resolver": answer,
    "local_address": "127.0.0.1",
    "uds": "/tmp/socket",
    "versions": ("http/1.1", "h2"),
    "http2": H2Options(max_streams=7),
    "socket_options": SocketOptions(),
    "dispatcher": MockDispatcher(answer),
    "mounts": {"https://example.org": MockDispatcher(answer)},
    "cert": None,
    "ssl_context": None,
}


def test_every_setting_arrives(monkeypatch):
    monkeypatch.setattr(fractions, "dumps", json.dumps, raising=False)
    monkeypatch.setattr(fractions, "loads", json.loads, raising=False)
    assert set(SETTINGS) == set(Client.__init__.__kwdefaults__)
    wrong = []
    for name, value in SETTINGS.items():
        client = Client(**{name: value})
        other = sent_again(client)
        arrived = vars(other)["_given"].get(name)
        if name != "headers" and repr(arrived) != repr(value) and type(arrived) is not type(value):
            wrong.append((name, arrived))
        assert other.headers == client.headers
    assert not wrong


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Retry(7, statuses=[500], budget=None), lambda it: (repr(it), it.backoff, it.methods)),
        (RequestRate(0.3, 4, per_origin=False), repr),
        (BasicAuth("me", "secret"), type),
        (BearerAuth("secret"), type),
        (PublicOnly(), type),
    ],
    ids=lambda value: type(value).__name__,
)
def test_settings_are_pickled_and_copied(value, shown):
    for made in (sent_again(value), copy.copy(value), copy.deepcopy(value)):
        assert made is not value
        assert shown(made) == shown(value)


def test_a_context_is_refused_with_what_to_do_instead():
    with Client(ssl_context=ssl.create_default_context()) as client:
        with pytest.raises(TypeError, match="ssl_context cannot be pickled.*verify and cert"):
            pickle.dumps(client)


def test_a_closed_client_arrives_closed():
    client = Client()
    client.close()

    other = sent_again(client)
    assert other.is_closed
    with pytest.raises(StateError):
        other.get("http://example.org/")


class Labelled(Client):
    """A client of somebody, with an attribute of its own and other arguments."""

    def __init__(self, label):
        super().__init__(headers={"X-Label": label})
        self.label = label


def test_a_subclass_keeps_its_attributes(monkeypatch):
    monkeypatch.setitem(pickle.__dict__, "Labelled", Labelled)
    monkeypatch.setattr(Labelled, "__module__", "pickle")  # where the module of a test can be found
    other = sent_again(Labelled("x"))

    assert (type(other), other.label, other.headers["X-Label"]) == (Labelled, "x", "x")


def test_an_async_client_and_a_copy_are_made_in_the_same_way():
    client = AsyncClient(headers={"X-Own": "1"})
    other = sent_again(client)

    assert other.headers["X-Own"] == "1"
    assert other.dispatcher is not client.dispatcher
    copied = copy.copy(client.client)
    assert copied.dispatcher is not client.dispatcher
    assert dugong_like.Client is Client
