"""The layer of authentication: challenges, what flows send for themselves, and one connection."""

import io
import threading

import pytest
from kit.ntlm_server import NTLMServer
from kit.sending import PLACE, Sends, arriving, is_given_up, request_to
from kit.support import ScriptedServer, open_descriptors, read_head

from dugong_like import (
    BearerAuth,
    Client,
    ConnectFailed,
    DigestAuth,
    Limits,
    NegotiateAuth,
    Request,
    Retry,
    run,
)
from dugong_like.client.layers.authentication import authentication

CHALLENGE = {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'}
TOKEN = "https://token.test/t"


def test_requests_without_authentication_pass():
    sends = Sends(arriving())
    request = request_to()
    run(authentication(request, sends))
    assert sends.requests == [request]


def test_challenge_is_answered_and_given_up():
    first, second = arriving(401, CHALLENGE), arriving(200)
    request = request_to(auth=DigestAuth("u", "p"))
    response = run(authentication(request, Sends(first, second)))
    assert (response, response.history) == (second, (first,))
    assert is_given_up(first)
    assert first._body.closed == 0
    assert not second.is_closed
    assert request.attempts == 2
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("body", "attempts"), [(b"x", 2), ([b"x"], 2), (io.BytesIO(b"x"), 2), (iter([b"x"]), 1)]
)
def test_bodies_that_cannot_be_sent_again(body, attempts):
    first = arriving(401, CHALLENGE)
    request = request_to(method="POST", content=body, auth=DigestAuth("u", "p"))
    sends = Sends(first, arriving(200))

    def co_send(sent):
        if sent.body is not None and not isinstance(sent.body, bytes):
            source = sent.source()
            source.begin()
            while (yield from source.co_next()):
                pass
        return (yield from sends(sent))

    response = run(authentication(request, co_send))
    assert len(sends.requests) == attempts
    if attempts == 1:
        assert response is first
        assert not first.is_closed
        assert response.history == ()


class Fetches:
    """A flow that asks for a token first, by a request of its own."""

    def __init__(self, target=TOKEN):
        self.target = target

    def auth_flow(self, request):
        response = yield Request("POST", self.target, {"X-Own": "1"}, b"give")
        request.headers.set("Authorization", f"Bearer {(yield from response.co_read()).decode()}")
        yield request


@pytest.mark.parametrize(("target", "url"), [(TOKEN, TOKEN), ("/login", "http://a.test/login")])
def test_requests_that_a_flow_makes_for_itself(target, url):
    token, answer = arriving(200, None, b"abc"), arriving()
    request = request_to(
        auth=Fetches(target), timeout=3, method="PUT", content=b"body", cookies={"a": "b"}
    )
    request.deadline = 5.0
    sends = Sends(token, answer)
    response = run(authentication(request, sends))
    own, sent = sends.requests
    assert (own.method, str(own.url), own.body) == ("POST", url, b"give")
    assert own.headers.items() == [("X-Own", "1")]
    assert (own.timeouts, own.deadline, own.cookies) == (request.timeouts, 5.0, None)
    assert (own.auth, own.follow_redirects) == (None, False)
    assert (sent.headers["authorization"], sent.body) == ("Bearer abc", b"body")
    assert (response.history, request.attempts) == ((), 1)
    assert is_given_up(token)


def test_flow_makes_requests_through_all_layers():
    from dugong_like import MockDispatcher, RequestRate

    mock = MockDispatcher()
    mock.add("POST", TOKEN).fail(ConnectFailed("no")).reply(
        200, {"Set-Cookie": "a=b"}, content=b"abc"
    )
    mock.add("GET", PLACE).reply(200)
    client = Client(dispatcher=mock, auth=Fetches(), retry=Retry(backoff=0), rate=RequestRate(1e6))
    with mock, client:
        assert client.get(PLACE).status_code == 200
    assert client.cookies.get("a", domain="token.test") == "b"


class Fails:
    def __init__(self, at):
        self.at = at

    def auth_flow(self, request):
        for number in range(3):
            if number == self.at:
                raise LookupError
            yield request


@pytest.mark.parametrize("at", range(3))
def test_last_response_is_given_up_if_the_flow_fails(at):
    responses = [arriving(401) for _ in range(3)]
    with pytest.raises(LookupError):
        run(authentication(request_to(auth=Fails(at)), Sends(*responses)))
    assert all(map(is_given_up, responses[:at]))


def test_failure_of_a_round_leaves_nothing():
    first = arriving(401, CHALLENGE)
    request = request_to(auth=DigestAuth("u", "p"))
    with pytest.raises(ConnectionError):
        run(authentication(request, Sends(first, ConnectionError())))
    assert is_given_up(first)
    assert request.attempts == 2


@pytest.mark.parametrize("hops", [1, 2])
def test_challenges_and_redirects_are_in_the_history_once(hops):
    from dugong_like import MockDispatcher, Response

    def handler(request):
        if "authorization" not in request.headers:
            return Response(401, CHALLENGE)
        number = int(request.url.path[1:])
        return Response(302, {"Location": f"/{number + 1}"}) if number < hops else Response(200)

    client = Client(dispatcher=MockDispatcher(handler), auth=DigestAuth("u", "p"))
    response = client.get("http://a.test/0")
    assert [old.status_code for old in response.history] == [401, *[302] * hops]
    assert response.attempts == hops + 2


class NTLMOverConnections:
    """A server whose authentication is that of each connection."""

    def __init__(self, keeps=True):
        self.requests = []  # pairs of the number of the connection, and the path
        self.keeps = keeps
        self._lock = threading.Lock()
        self._count = 0

    def __call__(self, sock):
        with self._lock:
            self._count += 1
            number = self._count
        server = NTLMServer()
        while head := read_head(sock):
            lines = head.decode().split("\r\n")
            method, path, _ = lines[0].split(" ")
            fields = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
            }
            self.requests.append((number, path))
            value = fields.get("authorization") if server.context is not None else None
            status, more, body = server.respond(method, path, value, b"")
            more = "".join(f"{name}: {value}\r\n" for name, value in more)
            answer = f"HTTP/1.1 {status} X\r\n{more}Content-Length: {len(body)}\r\n\r\n"
            sock.sendall(answer.encode() + body)
            if not self.keeps:
                return


@pytest.fixture
def account(tmp_path, monkeypatch):
    file = tmp_path / "accounts"
    file.write_text("DOM:me:sesame\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(file))
    return NegotiateAuth("DOM\\me", "sesame", host="server.test")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("limits", [Limits(), Limits(max_connections=1)])
def test_all_rounds_go_over_one_connection_which_nobody_else_gets(account, stream, limits):
    handler = NTLMOverConnections()
    with ScriptedServer(handler) as server, Client(limits=limits) as client:
        place = f"http://127.0.0.1:{server.port}/"
        response = client.get(f"{place}mine", auth=account, stream=stream)
        assert response.read() == b"welcome"
        assert [old.status_code for old in response.history] == [401] * (response.attempts - 1)
        assert response.attempts >= 3
        assert {number for number, _ in handler.requests} == {1}
        stats = next(iter(client.stats().values()))
        assert (stats.idle, stats.busy) == (0, 0)
        assert client.get(f"{place}other").status_code == 401
        assert handler.requests[-1] == (2, "/other")


def test_connection_that_was_not_authenticated_is_kept():
    class Asks(BearerAuth):
        same_connection = True

    def handler(sock):
        while read_head(sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with ScriptedServer(handler) as server, Client(auth=Asks("t")) as client:
        for _ in range(3):
            client.get(f"http://127.0.0.1:{server.port}/", auth=Asks("t"))
        assert server.connections == 1


def test_server_that_closes_after_each_response(account):
    handler = NTLMOverConnections(keeps=False)
    with ScriptedServer(handler) as server, Client() as client:
        response = client.get(f"http://127.0.0.1:{server.port}/", auth=account)
        assert response.status_code == 401
        assert next(iter(client.stats().values())).busy == 0


def test_rounds_given_up_at_any_wait_leave_nothing(account):
    before = open_descriptors()
    handler = NTLMOverConnections()
    with ScriptedServer(handler) as server, Client() as client:
        for steps in range(100):
            op = client.co_get(f"http://127.0.0.1:{server.port}/", auth=account)
            try:
                for _ in range(steps):
                    next(op).poll(20)
            except StopIteration:
                break
            op.close()
            assert all(each.busy == 0 for each in client.stats().values())
        assert steps > 3
    assert open_descriptors() <= before
