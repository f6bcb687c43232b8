"""OAuth 2.0: tokens are obtained once, renewed once, and never sent in the clear."""

import base64
import json
import threading
from urllib.parse import parse_qsl

import pytest
from kit.flows import Client, co_authenticate, response, run

from dugong_like import AuthenticationFailed, InvalidRequest, OAuth2, Request
from dugong_like.polling.wake import co_checkpoint

oauth2 = pytest.importorskip("oauthlib.oauth2")

TOKENS = "https://tokens.test/token"
URL = "https://server.test/a"


class Servers:
    """A token endpoint and a server that accepts the last token of it."""

    def __init__(self, **extra):
        self.extra = extra  # of each token
        self.given = 0
        self.asked = []  # bodies of the requests for tokens
        self.logins = []
        self.refusal = None  # status and body instead of a token
        self.lock = threading.Lock()

    @property
    def token(self):
        return f"token{self.given}"

    def respond(self, method, target, value, body):
        with self.lock:
            if target == TOKENS:
                assert method == "POST"
                self.asked.append(dict(parse_qsl(body.decode(), strict_parsing=True)))
                self.logins.append(value)
                if self.refusal:
                    return self.refusal[0], [], self.refusal[1]
                self.given += 1
                answer = {"access_token": self.token, "token_type": "bearer"} | self.extra
                return 200, [("Content-Type", "application/json")], json.dumps(answer).encode()
            good = value == f"Bearer {self.token}"
            return (200, [], b"") if good else (401, [("WWW-Authenticate", "Bearer")], b"")


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.feature("D10")
def test_client_credentials_are_exchanged_once():
    servers, saved = Servers(expires_in=3600), []
    auth = OAuth2("me:", TOKENS, "sec ret", scope=["a", "b"], on_token=saved.append)
    client = Client(auth, servers.respond)

    assert [client.request(target=URL).status_code for _ in range(3)] == [200] * 3
    assert servers.asked == [{"grant_type": "client_credentials", "scope": "a b"}]
    assert servers.logins == [basic("me%3A:sec+ret")]
    assert [sent[:2] for sent in client.sent] == [("POST", TOKENS)] + [("GET", URL)] * 3
    assert [token["access_token"] for token in saved] == ["token1"]


@pytest.mark.parametrize(
    ("options", "login", "body"),
    [
        ({}, None, {"client_id": "me"}),
        ({"client_secret": "s", "in_body": True}, None, {"client_id": "me", "client_secret": "s"}),
        ({"client_secret": "s"}, basic("me:s"), {}),
    ],
)
def test_ways_of_naming_the_client(options, login, body):
    servers = Servers()
    assert (
        Client(OAuth2("me", TOKENS, **options), servers.respond).request(target=URL).status_code
        == 200
    )
    assert servers.asked == [{"grant_type": "client_credentials"} | body]
    assert servers.logins == [login]


def test_passwords_of_the_user():
    servers = Servers()
    auth = OAuth2(
        oauth2.LegacyApplicationClient("me"), TOKENS, "s", username="user", password="pass"
    )
    assert Client(auth, servers.respond).request(target=URL).status_code == 200
    assert servers.asked[0] | {"client_id": "me"} == {
        "grant_type": "password", "username": "user", "password": "pass", "client_id": "me",
    }  # fmt: skip


def test_codes_are_used_once():
    servers = Servers()
    auth = OAuth2(
        oauth2.WebApplicationClient("me"), TOKENS, code="c", redirect_uri="https://me.test/"
    )
    client = Client(auth, servers.respond)
    assert client.request(target=URL).status_code == 200
    servers.given += 1  # the token is not valid any more
    assert client.request(target=URL).status_code == 401
    assert len(servers.asked) == 1


@pytest.mark.parametrize("why", ["expired", "refused"])
def test_refresh_tokens_are_used_and_replaced(why):
    servers = Servers(refresh_token="again", expires_in=3600)
    token = {"access_token": "old", "token_type": "Bearer", "refresh_token": "first"}
    if why == "expired":
        token["expires_at"] = 1
    auth = OAuth2(oauth2.WebApplicationClient("me", token=token), TOKENS)
    client = Client(auth, servers.respond)

    assert client.request(target=URL).status_code == 200
    assert [asked["refresh_token"] for asked in servers.asked] == ["first"]
    assert servers.asked[0]["grant_type"] == "refresh_token"
    servers.given += 1
    assert client.request(target=URL).status_code == 200
    assert [asked["refresh_token"] for asked in servers.asked] == ["first", "again"]
    assert len(client.sent) == (2 if why == "expired" else 3) + 3


def test_token_that_never_expires_replaces_one_that_has():
    servers = Servers()
    token = {"access_token": "old", "expires_at": 1, "token_type": "Bearer", "refresh_token": "r"}
    client = Client(OAuth2(oauth2.WebApplicationClient("me", token=token), TOKENS), servers.respond)

    assert [client.request(target=URL).status_code for _ in range(2)] == [200, 200]
    assert len(servers.asked) == 1


def test_refused_refresh_token_makes_way_for_the_grant():
    servers = Servers(refresh_token="r")
    auth = OAuth2("me", TOKENS, "s")
    client = Client(auth, servers.respond)
    assert client.request(target=URL).status_code == 200

    def refuse(method, target, value, body):
        if target == TOKENS and b"refresh" in body:
            servers.asked.append("refused")
            return 400, [], b'{"error": "invalid_grant"}'
        return servers.respond(method, target, value, body)

    client.respond = refuse
    servers.given += 1
    assert client.request(target=URL).status_code == 200
    assert servers.asked[1] == "refused"
    assert servers.asked[2]["grant_type"] == "client_credentials"


def test_token_is_renewed_once_for_a_request():
    servers = Servers()
    client = Client(OAuth2("me", TOKENS), lambda m, t, v, b: (
        servers.respond(m, t, v, b) if t == TOKENS else (401, [], b"")
    ))  # fmt: skip

    assert client.request(target=URL).status_code == 401
    assert [sent[1] for sent in client.sent] == [TOKENS, URL, TOKENS, URL]


def test_body_that_cannot_be_repeated_has_the_next_request_renew_the_token():
    servers = Servers()
    client = Client(OAuth2("me", TOKENS), servers.respond)
    assert client.request(target=URL).status_code == 200
    servers.given += 1

    assert client.request("PUT", URL, iter([b"x"])).status_code == 401
    assert len(servers.asked) == 1
    assert client.request("PUT", URL, iter([b"x"])).status_code == 200
    assert len(servers.asked) == 2
    assert client.request("PUT", URL, iter([b"x"])).status_code == 200
    assert len(servers.asked) == 2


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        ((400, b'{"error": "invalid_client", "error_description": "secret"}'), "400, 'invalid_cl"),
        ((503, b"<html>secret</html>"), "503, 'missing_token'"),
        ((200, b"{}"), "200, 'missing_token'"),
        ((200, b'["secret"]'), "something else"),
        ((200, b'"secret"'), "something else"),
        ((200, b"\xff"), "200, 'missing_token'"),
        ((200, b'{"access_token": "secret", "token_type": "odd"}'), "a type that"),
    ],
)
def test_answers_without_a_token(refusal, reason):
    servers = Servers()
    servers.refusal = refusal
    client = Client(OAuth2("me", TOKENS, "secret"), servers.respond)

    with pytest.raises(AuthenticationFailed, match=reason) as failure:
        client.request(target=URL)
    assert "secret" not in str(failure.value)
    assert URL not in [sent[1] for sent in client.sent]
    servers.refusal = None  # nothing is kept of the failure
    if b"odd" not in refusal[1]:
        assert client.request(target=URL).status_code == 200


def test_another_scope_is_taken():
    servers = Servers(scope="a")
    client = Client(
        OAuth2(oauth2.BackendApplicationClient("me", scope="a b"), TOKENS), servers.respond
    )
    assert client.request(target=URL).status_code == 200


def test_tokens_in_the_query():
    servers = Servers()
    auth = OAuth2(oauth2.BackendApplicationClient("me", default_token_placement="query"), TOKENS)
    client = Client(auth, servers.respond)
    client.respond = lambda m, t, v, b: (
        servers.respond(m, t, v, b) if t == TOKENS else (200, [], b"")
    )

    client.request(target=f"{URL}?b=c")
    assert client.sent[1] == ("GET", f"{URL}?b=c&access_token=token1", None)


@pytest.mark.reliability(60)
@pytest.mark.parametrize(
    "url", ["http://server.test/", "http://127.0.0.1.test/", "http://10.0.0.1/"]
)
def test_tokens_are_never_sent_in_the_clear(url):
    with pytest.raises(InvalidRequest, match="https"):
        OAuth2("me", url)
    client = Client(OAuth2("me", TOKENS), Servers().respond)
    with pytest.raises(InvalidRequest, match="https"):
        client.request(target=url)
    assert client.sent == []


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "[::1]", "localhost", "a.localhost:81"])
def test_this_machine_is_safe(host):
    servers, url = Servers(), f"http://{host}/a"
    client = Client(OAuth2("me", TOKENS), servers.respond)

    assert client.request(target=url).status_code == 200
    assert client.sent[1][1] == url
    OAuth2("me", url)


def test_several_requests_at_once_cause_one_for_a_token():
    servers = Servers()
    auth = OAuth2("me", TOKENS)

    def co_send(request):
        for _ in range(3):
            yield from co_checkpoint()
        value = request.headers.get("authorization")
        return response(*servers.respond(request.method, request.target, value, request.body))

    ops = [co_authenticate(auth, Request("GET", URL), co_send) for _ in range(10)]
    threads = [threading.Thread(target=run, args=[op]) for op in ops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert servers.given == 1


def test_operation_that_ends_while_it_obtains_a_token_lets_others_do_so():
    servers = Servers()
    auth = OAuth2("me", TOKENS)
    client = Client(auth, servers.respond)

    def co_hang(request):
        while True:
            yield from co_checkpoint()

    first = co_authenticate(auth, Request("GET", URL), co_hang)
    next(first)
    second = client.co_request("GET", URL)
    next(second)  # waits for the first one
    assert client.sent == []
    first.close()
    assert run(second).status_code == 200


def test_without_a_token_endpoint():
    token = {"access_token": "token0", "token_type": "Bearer"}
    client = Client(OAuth2(oauth2.WebApplicationClient("me", token=token)), Servers().respond)
    assert client.request(target=URL).status_code == 200
    with pytest.raises(AuthenticationFailed, match="no token_url"):
        Client(OAuth2("me"), Servers().respond).request(target=URL)
    with pytest.raises(AuthenticationFailed, match="obtains no tokens"):
        Client(OAuth2(oauth2.Client("me"), TOKENS), Servers().respond).request(target=URL)
    with pytest.raises(InvalidRequest, match="URLs only"):
        client.request(target="/")


def test_arguments():
    assert repr(OAuth2("secret", TOKENS, "secret")) == "OAuth2()"
    for wrong in (
        {"client": None}, {"client": b"me"}, {"client": "me", "token_url": 5},
        {"client": "me", "client_secret": b"x"}, {"client": "me", "on_token": 5},
    ):  # fmt: skip
        with pytest.raises(TypeError):
            OAuth2(**wrong)
    with pytest.raises(InvalidRequest):
        OAuth2("me", "tokens.test")
