"""Negotiate and NTLM, with pyspnego on both sides."""

import pytest
from kit.flows import Client

from dugong_like import AuthenticationFailed, InvalidRequest, NegotiateAuth

pytest.importorskip("spnego")
from kit.ntlm_server import NTLMServer


@pytest.fixture(autouse=True)
def accounts(tmp_path, monkeypatch):
    file = tmp_path / "accounts"
    file.write_text("DOM:me:sesame\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(file))


@pytest.mark.parametrize(
    ("scheme", "protocol", "offers"),
    [
        ("Negotiate", "negotiate", None),
        ("NTLM", "ntlm", None),
        ("NTLM", "negotiate", ["NTLM"]),
        ("Negotiate", "negotiate", ['Basic realm="x"', "NTLM", "Negotiate"]),
        ("NTLM", "ntlm", ["Negotiate, NTLM"]),
    ],
)
def test_rounds_over_one_connection(scheme, protocol, offers):
    server = NTLMServer(scheme, offers)
    auth = NegotiateAuth("DOM\\me", "sesame", protocol=protocol)
    client = Client(auth, server.respond)

    assert auth.same_connection
    assert client.request("PUT", body=b"abc").status_code == 200
    assert client.sent[0][2] is None
    assert len(client.sent) == 1 + server.rounds
    assert server.rounds >= 2
    assert server.context.client_principal == "DOM\\me"


def test_wrong_password_is_refused_once():
    server = NTLMServer()
    client = Client(NegotiateAuth("DOM\\me", "wrong"), server.respond)

    assert client.request().status_code == 401
    assert server.rounds == 2


def test_nothing_is_said_before_and_to_others():
    for status, offers in ((200, ["Negotiate"]), (401, ["Basic realm=x"]), (401, [])):
        client = Client(
            NegotiateAuth("DOM\\me", "sesame"),
            lambda *_, status=status, offers=offers: (
                status, [("WWW-Authenticate", offer) for offer in offers], b"",
            ),
        )  # fmt: skip
        assert client.request().status_code == status
        assert len(client.sent) == 1
    client = Client(
        NegotiateAuth("me", "x", protocol="kerberos"),
        lambda *_: (401, [("WWW-Authenticate", "NTLM")], b""),
    )
    assert client.request().status_code == 401


@pytest.mark.parametrize("token", ["Negotiate", "Negotiate ===", "Negotiate YQ==x", "Basic x=y"])
def test_answers_without_a_token_end_it(token):
    client = Client(
        NegotiateAuth("DOM\\me", "sesame"),
        lambda method, path, value, body: (
            401, [("WWW-Authenticate", "Negotiate" if value is None else token)], b"",
        ),
    )  # fmt: skip
    assert client.request().status_code == 401
    assert len(client.sent) == 2


@pytest.mark.parametrize("status", [401, 200])
def test_tokens_that_mean_nothing(status):
    client = Client(
        NegotiateAuth("DOM\\me", "secret"),
        lambda method, path, value, body: (
            (401, [("WWW-Authenticate", "Negotiate")], b"") if value is None else
            (status, [("WWW-Authenticate", "Negotiate YWJj")], b"")
        ),
    )  # fmt: skip
    with pytest.raises(AuthenticationFailed, match="of spnego") as failure:
        client.request()
    assert "secret" not in str(failure.value)


def test_requests_by_path_need_a_name():
    server = NTLMServer()
    with pytest.raises(InvalidRequest, match="host="):
        Client(NegotiateAuth("DOM\\me", "sesame"), server.respond).request(target="/a")
    auth = NegotiateAuth("DOM\\me", "sesame", host="server.test")
    assert Client(auth, server.respond).request(target="/a").status_code == 200


def test_arguments():
    assert repr(NegotiateAuth("secret", "secret")) == "NegotiateAuth()"
    for wrong, error in (
        ({"user": b"u"}, TypeError), ({"password": 5}, TypeError), ({"host": 5}, TypeError),
        ({"user": "a\r\nb"}, InvalidRequest), ({"protocol": None}, TypeError),
        ({"protocol": "basic"}, ValueError),
    ):  # fmt: skip
        with pytest.raises(error):
            NegotiateAuth(**wrong)
