"""Basic: the examples of RFC 7617, for servers and proxies."""

import pytest
from kit.flows import Client, response

from dugong_like import BasicAuth, DigestAuth, InvalidRequest
from dugong_like.http.challenges import parse_challenges


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


@pytest.mark.feature("D8")
@pytest.mark.parametrize(
    ("user", "password", "value"),
    [
        ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("test", "123£", "Basic dGVzdDoxMjPCow=="),
        ("", "", "Basic Og=="),
        ("a", "b:c", "Basic YTpiOmM="),
    ],
)
def test_servers_get_it_with_the_first_request_and_once(user, password, value):
    client = Client(BasicAuth(user, password), lambda *_: (401, [("WWW-Authenticate", "Basic")]))

    assert client.request().status_code == 401
    assert [sent[2] for sent in client.sent] == [value]


def test_what_was_there_is_replaced_in_the_copy_only():
    from kit.flows import co_authenticate, run

    from dugong_like import Request

    request = Request("GET", "/", {"authorization": "old", "Authorization": "older"})
    got = []

    def co_send(sent):
        got.append(list(sent.headers))
        yield from ()
        return response()

    run(co_authenticate(BasicAuth("a", "b"), request, co_send))
    assert got == [[("Authorization", "Basic YTpi")]]
    assert [value for _, value in request.headers] == ["old", "older"]
