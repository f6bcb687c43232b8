"""Authentication through a client: who gets which credentials, and when it ends.

RFC 7617 (Basic), RFC 7616 (Digest), RFC 6750 (Bearer). Servers of raw bytes note what they get.
"""

import base64
import re

import pytest
from kit.sites import DRIVERS, Site, answer_of, ask

from dugong_like import (
    BasicAuth,
    BearerAuth,
    DigestAuth,
    InvalidRequest,
    NetRCAuth,
    Retry,
)

OK = answer_of(200, body=b"ok")
BASIC = "WWW-Authenticate: Basic realm=x"
DIGEST = 'WWW-Authenticate: Digest realm="x", nonce="{}", qop="auth", algorithm=SHA-256'


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def digest(number=1, more=""):
    return answer_of(401, DIGEST.format(f"n{number}") + more, body=b"who?")


def fields(site):
    return [seen.headers.get("authorization") for seen in site.seen]


def nonces(site):
    """Return the nonce that each request has answered; None without one."""
    found = [re.search('[^c]nonce="([^"]*)"', value or "") for value in fields(site)]
    return [match and match[1] for match in found]


URLS = {
    # userinfo in the URL, auth of the client, of the request: what is sent
    ("u:p@", None, "unset"): basic("u", "p"),
    ("u@", None, "unset"): basic("u", ""),
    (":p@", None, "unset"): basic("", "p"),
    ("@", None, "unset"): None,
    (":@", None, "unset"): None,
    ("%75%3A%40:%2F%20@", None, "unset"): "invalid",  # a colon in the name
    ("%75%40:%2F%20%3A@", None, "unset"): basic("u@", "/ :"),
    ("\u00fc:\u20ac@", None, "unset"): basic("\u00fc", "\u20ac"),
    ("%C3%BC:x@", None, "unset"): basic("\u00fc", "x"),
    ("u:p:q@", None, "unset"): basic("u", "p:q"),
    ("u:p@q@", None, "unset"): "invalid",
    ("u:p%0d%0aX@", None, "unset"): "invalid",  # CRLF (curl 3221)
    ("u:p%00@", None, "unset"): "invalid",
    ("u%zz:p@", None, "unset"): "invalid",
    ("u:p@", ("c", "d"), "unset"): basic("u", "p"),
    ("", ("c", "d"), "unset"): basic("c", "d"),
    ("", ("c", "d"), ("e", "f")): basic("e", "f"),
    ("u:p@", ("c", "d"), ("e", "f")): basic("e", "f"),
    ("u:p@", ("c", "d"), None): None,
    ("", ("c", "d"), None): None,
    ("", BearerAuth("t"), "unset"): "Bearer t",
}


@pytest.mark.reliability(53, 58)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("case", URLS)
def test_whose_credentials_are_sent(case, driver):
    userinfo, of_client, of_request = case
    with Site({None: OK}) as site:
        options = {} if of_request == "unset" else {"auth": of_request}
        url = f"http://{userinfo}a.test:{site.port}/x"
        [result] = ask(driver, {"auth": of_client}, ("GET", url, options))
    if URLS[case] == "invalid":
        assert isinstance(result, InvalidRequest)
        assert "p" not in str(result).partition("password")[2].replace("password", "")[:3]
        assert not site.seen
        return
    assert fields(site) == [URLS[case]]
    assert str(result.url) == f"http://a.test:{site.port}/x"


@pytest.mark.reliability(58)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_field_of_the_caller_and_auth(driver):
    """Without auth the field is sent as it is; with it, that wins, and one field is sent."""
    own = {"headers": {"authorization": "Own x"}}
    with Site({None: OK}) as site:
        ask(driver, {}, ("GET", site.url(), own), ("GET", site.url(), {**own, "auth": ("u", "p")}))
    assert [seen.headers.get_list("authorization") for seen in site.seen] == [
        ["Own x"],
        [basic("u", "p")],
    ]


@pytest.mark.reliability(53)
@pytest.mark.parametrize("driver", DRIVERS)
def test_credentials_in_the_base_url(driver):
    """They are those of its origin, for relative URLs and others that lead there."""
    with Site({None: OK}) as site:
        base = f"http://u:p@a.test:{site.port}/api"
        calls = [("GET", "x"), ("GET", site.url()), ("GET", site.url("b.test"))]
        results = ask(driver, {"base_url": base}, *calls)
    assert [seen.target for seen in site.seen] == ["/api/x", "/", "/"]
    assert fields(site) == [basic("u", "p"), basic("u", "p"), None]
    assert "u:p" not in str([one.url for one in results])


@pytest.mark.reliability(58)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("auth", [("u", "wrong"), BearerAuth("wrong"), DigestAuth("u", "wrong")])
@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_password_is_sent_once(auth, stream, driver):
    """The last 401 is the response, which can be read; nothing loops."""
    refusing = digest() if isinstance(auth, DigestAuth) else answer_of(401, BASIC, body=b"who?")
    with Site({None: refusing}) as site:
        [response] = ask(driver, {"auth": auth}, ("GET", site.url(), {"stream": stream}))
    tries = 2 if isinstance(auth, DigestAuth) else 1
    assert (response.status_code, len(site.seen)) == (401, tries)
    assert stream or response.content == b"who?"
    assert [one.status_code for one in response.history] == [401] * (tries - 1)
    assert site.connections == 1


CHALLENGES = {
    # fields of the 401, and how many requests follow the first one
    "none": ([], 0),
    "basic only": ([BASIC], 0),
    "unknown": (["WWW-Authenticate: Hawk x=1"], 0),
    "unknown algorithm": (['WWW-Authenticate: Digest realm="x", nonce="n", algorithm=X'], 0),
    "no nonce": (['WWW-Authenticate: Digest realm="x"'], 0),
    "unknown qop": (['WWW-Authenticate: Digest realm="x", nonce="n", qop="x"'], 0),
    "garbage": (['WWW-Authenticate: Digest realm="x, nonce=n'], 0),
    "twice the same": ([DIGEST.format("n"), DIGEST.format("n")], 1),
    "behind basic": (["WWW-Authenticate: Basic realm=x, " + DIGEST[18:].format("n")], 1),
    "another line": ([BASIC, DIGEST.format("n")], 1),
    "legacy": (['WWW-Authenticate: Digest realm="x", nonce="n"'], 1),
    "any case": ([DIGEST.format("n").replace("Digest", "DIGEST")], 1),
    "very long": ([DIGEST.format("n" * 8000)], 1),
    "many": ([f"WWW-Authenticate: X{number} a=b" for number in range(50)], 0),
    "empty": (["WWW-Authenticate:"], 0),
    "on 407": ([DIGEST.format("n").replace("WWW", "Proxy")], 0),
}


@pytest.mark.reliability(58)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", CHALLENGES)
def test_challenges(name, driver):
    lines, answered = CHALLENGES[name]
    with Site({None: [answer_of(401, *lines), OK]}) as site:
        [response] = ask(driver, {"auth": DigestAuth("u", "p")}, ("GET", site.url(path="/x?y")))
    assert len(site.seen) == 1 + answered
    assert response.status_code == (200 if answered else 401)
    if answered:
        assert 'uri="/x?y"' in fields(site)[1]
        assert site.connections == 1


@pytest.mark.reliability(58)
@pytest.mark.parametrize("driver", DRIVERS)
def test_stale_nonces(driver):
    """A stale one is answered with the new one once; one that calls all stale ends."""
    with Site({None: [digest(1), OK, digest(2, ", stale=true"), OK]}) as site:
        auth = {"auth": DigestAuth("u", "p")}
        first, second = ask(driver, auth, ("GET", site.url()), ("GET", site.url()))
    assert (first.status_code, second.status_code) == (200, 200)
    assert nonces(site) == [None, "n1", "n1", "n2"]
    with Site({None: digest(1, ", stale=TRUE")}) as site:
        [last] = ask(driver, {"auth": DigestAuth("u", "p")}, ("GET", site.url()))
    assert last.status_code == 401
    assert len(site.seen) <= 3


@pytest.mark.reliability(58)
@pytest.mark.parametrize("driver", DRIVERS)
def test_nonces_stay_with_their_origin(driver):
    """CVE-2026-54276: another origin is not answered before it asks."""
    auth = DigestAuth("u", "p")
    with Site({None: [digest(1), OK]}) as site:
        ask(driver, {"auth": auth}, *[("GET", site.url(host)) for host in ("a.test", "b.test")])
    assert nonces(site) == [None, "n1", None]


@pytest.mark.reliability(54, 58)
@pytest.mark.parametrize("driver", DRIVERS)
def test_digest_over_redirects(driver):
    """On the same origin it goes on; another origin's challenge gets no answer."""
    auth = DigestAuth("u", "secret")
    with Site({None: OK}) as site:
        site._answers["/"] = [digest(1), answer_of(302, "Location: /1")]
        site._answers["/1"] = answer_of(302, f"Location: {site.url('b.test', '/2')}")
        site._answers["/2"] = digest(2)
        [response] = ask(driver, {"auth": auth}, ("GET", site.url()))
    assert response.status_code == 401
    assert nonces(site) == [None, "n1", "n1", None]
    assert ['uri="/1"' in (value or "") for value in fields(site)] == [False, False, True, False]


@pytest.mark.reliability(54, 58)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_challenge_behind_a_redirect_of_another_origin(status, driver):
    """Basic: neither at once nor on demand; and the user's origin gets nothing when it is back."""
    with Site({None: OK}) as site:
        site._answers["/"] = answer_of(status, f"Location: {site.url('evil.test', '/1')}")
        site._answers["/1"] = answer_of(401, BASIC)
        call = ("POST", site.url(), {"content": b"body", "auth": ("u", "secret")})
        [response] = ask(driver, {}, call)
    assert response.status_code == 401
    assert fields(site) == [basic("u", "secret"), None]


@pytest.mark.reliability(58)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("make", "again"),
    [
        (lambda: b"body", True),
        (lambda: [b"bo", b"dy"], True),
        (lambda: (piece for piece in (b"bo", b"dy")), False),
    ],
)
def test_bodies_and_challenges(make, again, driver):
    """A body that cannot be sent again leaves 401 to the caller, and the next request succeeds."""
    auth = DigestAuth("u", "p")
    with Site({None: [digest(1), OK]}) as site:
        calls = [("PUT", site.url(), {"content": make()}) for _ in range(2)]
        first, second = ask(driver, {"auth": auth}, *calls)
    assert first.status_code == (200 if again else 401)
    assert second.status_code == 200
    assert [seen.body for seen in site.seen] == [b"body"] * (3 if again else 2)


@pytest.mark.reliability(58)
@pytest.mark.parametrize("driver", DRIVERS)
def test_cookies_of_a_challenge_are_sent_with_the_answer(driver):
    refusing = answer_of(401, DIGEST.format("n"), "Set-Cookie: a=b; Path=/")
    with Site({None: [refusing, OK]}) as site:
        ask(driver, {"auth": DigestAuth("u", "p")}, ("GET", site.url()))
    assert [seen.headers.get("cookie") for seen in site.seen] == [None, "a=b"]


@pytest.mark.reliability(58)
@pytest.mark.parametrize("driver", DRIVERS)
def test_retries_and_authentication(driver):
    """Each repetition is authenticated, and a challenge behind a failure is answered."""
    with Site({None: [answer_of(503), digest(1), answer_of(503), OK]}) as site:
        options = {"auth": DigestAuth("u", "p"), "retry": Retry(3, backoff=0)}
        [response] = ask(driver, options, ("GET", site.url()))
    assert response.status_code == 200
    assert nonces(site) == [None, None, "n1", "n1"]
    counts = re.findall("nc=([0-9a-f]{8})", "".join(value or "" for value in fields(site)))
    assert len(counts) == 2


@pytest.mark.reliability(43, 58)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_challenge_with_a_body_without_end(driver):
    def endless(sock, seen):
        lines = f"HTTP/1.1 401 X\r\n{DIGEST.format('n')}\r\nTransfer-Encoding: chunked\r\n\r\n"
        sock.sendall(lines.encode())
        while True:
            sock.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    with Site({None: [endless, OK]}) as site:
        [response] = ask(driver, {"auth": DigestAuth("u", "p")}, ("GET", site.url()))
    assert (response.status_code, site.connections) == (200, 2)


@pytest.mark.reliability(60)
@pytest.mark.parametrize("driver", DRIVERS)
def test_credentials_for_a_proxy_and_for_the_server(driver):
    """Plain HTTP through a proxy: each in its own field, and both kept over a redirect there."""
    with Site({None: OK}) as site:
        site._answers = {None: OK}
        options = {"proxy": f"http://pu:pp@127.0.0.1:{site.port}", "resolver": None}
        call = ("GET", "http://a.test/x", {"auth": ("u", "p")})
        [response] = ask(driver, options, call)
    assert response.status_code == 200
    [seen] = site.seen
    assert seen.target == "http://a.test/x"
    assert seen.headers["authorization"] == basic("u", "p")
    assert seen.headers.get_list("proxy-authorization") == [basic("pu", "pp")]


@pytest.mark.reliability(54, 60)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_407_of_a_server_is_no_challenge(driver):
    """Only a proxy asks by 407 (RFC 9110 section 15.5.8)."""
    refusing = answer_of(407, "Proxy-Authenticate: Basic realm=x")
    with Site({None: refusing}) as site:
        [response] = ask(driver, {"auth": DigestAuth("u", "p")}, ("GET", site.url()))
    assert (response.status_code, len(site.seen)) == (407, 1)


@pytest.mark.reliability(59)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("host", "user"), [("a.test", "u"), ("A.TEST", "u"), ("x.a.test", None), ("b.a.test", None)]
)
def test_netrc_is_for_the_very_host(host, user, driver, tmp_path):
    """CVE-2024-47081, CVE-2024-11053: not for another one, and not over redirects."""
    path = tmp_path / "netrc"
    path.write_text("machine a.test login u password p\nmachine c.test login v password q\n")
    path.chmod(0o600)
    with Site({None: OK}) as site:
        site._answers["/"] = answer_of(302, f"Location: {site.url('b.test', '/1')}")
        ask(driver, {"auth": NetRCAuth(path)}, ("GET", site.url(host)))
    assert fields(site) == [basic("u", "p") if user else None, None]


@pytest.mark.reliability(55, 58)
@pytest.mark.parametrize("driver", DRIVERS)
def test_nobody_authenticates_without_being_told(driver, monkeypatch, tmp_path):
    path = tmp_path / "netrc"
    path.write_text("default login u password p\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("default login u password p\n")
    with Site({None: answer_of(401, BASIC)}) as site:
        [response] = ask(driver, {"trust_env": True}, ("GET", site.url()))
    assert (response.status_code, fields(site)) == (401, [None])


@pytest.mark.reliability(58)
@pytest.mark.parametrize(
    ("user", "password"), [("a\r\nX: y", "p"), ("u", "p\r\nX: y"), ("a:b", "p"), ("u\0", "p")]
)
def test_credentials_that_cannot_be_sent(user, password):
    with pytest.raises(InvalidRequest) as failure:
        BasicAuth(user, password)
    assert "X: y" not in str(failure.value)


@pytest.mark.reliability(58)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_flow_that_fails_leaves_nothing_behind(driver):
    class Failing:
        def auth_flow(self, request):
            yield request
            raise RuntimeError("no token")

    with Site({None: OK}) as site:
        [error] = ask(driver, {"auth": Failing()}, ("GET", site.url(), {"stream": True}))
    assert isinstance(error, RuntimeError)
