"""Basic and Digest: the examples of the RFCs, and a server's own arithmetic."""

import hashlib
import threading

import pytest

from dugong_like import BasicAuth, DigestAuth, InvalidRequest
from dugong_like.http.challenges import parse_challenges

REALM = 'realm="http-auth@example.org"'
NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
OURS = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
EXAMPLE = f'Digest {REALM}, qop="auth, auth-int", algorithm=%s, nonce="{NONCE}", opaque="{OPAQUE}"'


def learned(text, user="Mufasa", password="Circle of Life"):
    session = DigestAuth(user, password).session()
    assert session.value("GET", "/") is None
    assert session.learn(parse_challenges(text), None) is True
    return session


def parameters(value):
    """Take an answer apart, as a server does."""
    (challenge,) = parse_challenges(value)
    assert challenge.scheme == "digest"
    return challenge.parameters


def accepted(value, method, user, password):
    """Compute the response as RFC 7616 section 3.4.1 has it."""
    has = parameters(value)
    name = has.get("algorithm", "MD5").lower()
    function = "md5" if name.startswith("md5") else "sha256"

    def h(*texts):
        data = b":".join(text.encode("latin-1") for text in texts)
        return hashlib.new(function, data).hexdigest()

    user, password = (text.encode().decode("latin-1") for text in (user, password))
    secret = h(user, has["realm"], password)
    if name.endswith("-sess"):
        secret = h(secret, has["nonce"], has["cnonce"])
    a2 = h(method, has["uri"])
    return has["response"] == h(secret, has["nonce"], has["nc"], has["cnonce"], has["qop"], a2)


# ---- Basic


def test_basic_is_the_example_of_the_rfc():
    session = BasicAuth("Aladdin", "open sesame").session()

    assert session.value("CONNECT", "x:1") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert BasicAuth("test", "123£").session().value("GET", "/") == "Basic dGVzdDoxMjPCow=="
    assert BasicAuth("", "").session().value("GET", "/") == "Basic Og=="


def test_basic_has_nothing_to_add():
    session = BasicAuth("a", "b").session()
    basic = parse_challenges("Digest realm=x, Basic realm=x")

    assert session.learn(basic, session.value("GET", "/")) is False
    assert session.learn(basic, None) is True
    assert session.learn(parse_challenges("Negotiate"), None) is False


@pytest.mark.parametrize("kind", [BasicAuth, DigestAuth])
@pytest.mark.parametrize("bad", ["a\r\nb", "\0", "\x7f", "\x85", "a\tb", "\ud800"])
@pytest.mark.reliability(47)
def test_control_characters_are_refused_and_not_shown(kind, bad):
    for user, password in ((f"secret{bad}", "x"), ("x", f"secret{bad}")):
        with pytest.raises(InvalidRequest) as failure:
            kind(user, password)
        assert "secret" not in str(failure.value)


@pytest.mark.parametrize("kind", [BasicAuth, DigestAuth])
def test_what_is_no_text(kind):
    for user, password in ((b"a", "b"), ("a", None), (5, "b")):
        with pytest.raises(TypeError):
            kind(user, password)


def test_colon_in_a_user_name():
    with pytest.raises(InvalidRequest, match="colon"):
        BasicAuth("a:b", "c")
    assert DigestAuth("a:b", "c:d") == DigestAuth("a:b", "c:d")


@pytest.mark.reliability(60)
def test_credentials_are_values_that_show_nothing():
    for kind in (BasicAuth, DigestAuth):
        assert kind("user", "secret") == kind("user", "secret")
        assert kind("user", "secret") != kind("user", "other")
        assert len({kind("user", "secret"), kind("user", "secret")}) == 1
        assert repr(kind("user", "secret")) == f"{kind.__name__}()"
        with pytest.raises(AttributeError):
            kind("user", "secret").password = "other"


# ---- Digest


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_digest_is_the_example_of_the_rfc(monkeypatch, algorithm, response):
    monkeypatch.setattr("secrets.token_hex", lambda size: OURS)
    value = learned(EXAMPLE % algorithm).value("GET", "/dir/index.html")

    assert parameters(value) == {
        "username": "Mufasa", "realm": "http-auth@example.org", "uri": "/dir/index.html",
        "algorithm": algorithm, "nonce": NONCE, "nc": "00000001", "cnonce": OURS, "qop": "auth",
        "response": response, "opaque": OPAQUE,
    }  # fmt: skip
    for unquoted in (f"algorithm={algorithm}", "qop=auth,", "nc=00000001,"):
        assert unquoted in value


@pytest.mark.parametrize("algorithm", [None, "MD5", "md5-SESS", "SHA-256", "SHA-256-sess"])
@pytest.mark.parametrize(
    ("user", "password", "realm"),
    [("me", "pw", "here"), ("j\xe4s\xf8n", "\u20ac:", "\xe9"), ('a"b\\c', '"', 'a\\"b')],
)
def test_a_server_accepts_what_is_said(algorithm, user, password, realm):
    said = "" if algorithm is None else f"algorithm={algorithm},"
    session = learned(f'Digest {said} realm="{realm}", nonce="n", qop=auth', user, password)

    for number in (1, 2, 3):
        value = session.value("CONNECT", 'x.test:443/"\\')
        has = parameters(value)
        assert accepted(value, "CONNECT", user, password)
        assert has["nc"] == f"{number:08x}"
        assert has["uri"] == 'x.test:443/"\\'
        assert ("algorithm" in has) == (algorithm is not None)
        assert "opaque" not in has
        if not user.isascii():
            assert value.startswith("Digest username*=UTF-8''j%C3%A4s%C3%B8n, ")
        else:
            assert has["username"] == user


def test_hashed_user_name():
    session = learned("Digest realm=r, nonce=n, qop=auth, userhash=true, algorithm=SHA-256", "ü")
    has = parameters(session.value("GET", "/"))

    assert has["username"] == hashlib.sha256("ü:r".encode()).hexdigest()
    assert has["userhash"] == "true"


def test_own_nonce_is_new_for_each_challenge():
    session = learned("Digest realm=r, nonce=n, qop=auth")
    first = parameters(session.value("GET", "/"))
    session.learn(parse_challenges("Digest realm=r, nonce=m, qop=auth"), None)
    second = parameters(session.value("GET", "/"))

    assert len(first["cnonce"]) == 32
    assert first["cnonce"] != second["cnonce"]
    assert (second["nonce"], second["nc"]) == ("m", "00000001")


@pytest.mark.parametrize(
    ("names", "best"),
    [
        (["MD5", "SHA-256", "MD5-sess"], "SHA-256"),
        (["SHA-256-sess", "SHA-256"], "SHA-256-sess"),
        (["SHA-512-256", "MD5", "X"], "MD5"),
    ],
)
def test_strongest_challenge_is_answered(names, best):
    challenges = [f"Digest realm=r, nonce={name}, qop=auth, algorithm={name}" for name in names]
    value = learned(", ".join(["Basic realm=r", *challenges, "Negotiate"])).value("GET", "/")

    assert parameters(value)["nonce"] == best


@pytest.mark.parametrize(
    "text",
    [
        "", "Basic realm=x", "Digest", "Digest realm=r, nonce=n", "Digest nonce=n, qop=auth",
        "Digest realm=r, qop=auth", "Digest realm=r, nonce=n, qop=auth-int",
        "Digest realm=r, nonce=n, qop=auth, algorithm=SHA-512", 'Digest realm=r, nonce=n, qop=""',
    ],
)  # fmt: skip
def test_challenges_that_cannot_be_answered(text):
    session = DigestAuth("a", "b").session()

    assert session.learn(parse_challenges(text), None) is False
    assert session.value("GET", "/") is None


def test_refused_answer_is_repeated_only_if_the_nonce_was_stale():
    session = learned("Digest realm=r, nonce=1, qop=auth")
    value = session.value("GET", "/")

    for stale, again in (("", False), (", stale=false", False), (", stale=TRUE", True)):
        text = f"Digest realm=r, nonce=2, qop=auth{stale}"
        assert session.learn(parse_challenges(text), value) is again
        assert parameters(session.value("GET", "/"))["nonce"] == "2"  # for the next connection


@pytest.mark.reliability(60)
def test_sessions_know_nothing_of_each_other():
    credentials = DigestAuth("a", "b")
    one, other = credentials.session(), credentials.session()
    one.learn(parse_challenges("Digest realm=r, nonce=1, qop=auth"), None)

    assert one.value("GET", "/") is not None
    assert other.value("GET", "/") is None


def test_no_count_is_used_twice_by_threads():
    session = learned("Digest realm=r, nonce=1, qop=auth")
    values = []

    def use():
        for _ in range(200):
            values.append(parameters(session.value("GET", "/"))["nc"])

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(values)) == len(values) == 800
