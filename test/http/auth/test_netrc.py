"""Names and passwords from a file: for the right host, and for nobody else."""

import pytest
from kit.flows import Client, co_authenticate, response, run

from dugong_like import InvalidOption, NetRCAuth, Origin, Request

TEXT = """
machine example.org login whole password w
machine example.org:8080 login port password p
machine example.org login second password s
machine EXAMPLE.com. login other password o
machine 127.0.0.1 login v4 password 4
machine [::1]:81 login v6port password 6
machine ::1 login v6 password 6
machine b\xfccher.example login idna password i
machine nothing.test
"""


@pytest.fixture
def make(tmp_path):
    def make(text=TEXT, mode=0o600):
        path = tmp_path / "netrc"
        path.write_text(text, "utf-8")
        path.chmod(mode)
        return NetRCAuth(path)

    return make


@pytest.mark.feature("E17")
@pytest.mark.parametrize(
    ("url", "user"),
    [
        ("http://example.org/", "whole"),
        ("https://example.org/", "whole"),
        ("https://EXAMPLE.org:444/", "whole"),
        ("http://example.org:8080/", "port"),
        ("http://example.org.:8080/", "port"),
        ("http://www.example.org/", None),
        ("http://ample.org/", None),
        ("http://example.org.evil.test/", None),
        ("http://evil.test/example.org", None),
        ("http://example.com/", "other"),
        ("http://127.0.0.1:5000/", "v4"),
        ("http://127.0.0.2/", None),
        ("http://[::1]/", "v6"),
        ("http://[::1]:81/", "v6port"),
        ("http://xn--bcher-kva.example/", "idna"),
        ("http://nothing.test/", None),
        ("/path", None),
    ],
)
def test_entry_of_the_host(make, url, user):
    client = Client(make(), lambda *_: (401, [("WWW-Authenticate", "Basic realm=x")], b""))

    assert client.request(target=url).status_code == 401
    found = make().find(Origin("http", "none.test"))
    assert found is None
    (sent,) = client.sent
    if user is None:
        assert sent[2] is None
    else:
        import base64

        assert base64.b64decode(sent[2].removeprefix("Basic ")).decode().split(":")[0] == user


def test_default_is_for_all_others(make):
    auth = make("default login d password p\nmachine a.test login a password a\nmachine n.test")

    assert auth.find(Origin("http", "a.test")).user == "a"
    assert auth.find(Origin("http", "b.test")).user == "d"
    assert auth.find(Origin("http", "n.test")) is None


def test_fields_of_the_caller_win(make):
    sent = []

    def co_send(request):
        sent.append(request.headers.get("authorization"))
        yield from ()
        return response()

    request = Request("GET", "http://example.org/", {"authorization": "Bearer x"})
    run(co_authenticate(make(), request, co_send))
    assert sent == ["Bearer x"]


def test_file_in_the_home_folder_and_the_environment(tmp_path, monkeypatch):
    path = tmp_path / "mine"
    path.write_text("machine a.test login l password p")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    assert NetRCAuth().find(Origin("http", "a.test")).user == "l"
    assert NetRCAuth(str(path)).find(Origin("http", "a.test")).user == "l"

    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(InvalidOption, match="none cannot be read: No such file"):
        NetRCAuth()


def test_nothing_secret_is_shown(make):
    assert repr(make()) == "NetRCAuth()"
    for text in ("machine a login s:3cret password p", 'machine a login b password "s3cret\x01"'):
        with pytest.raises(InvalidOption, match="path: .*netrc: the ") as failure:
            make(text)
        assert "3cret" not in str(failure.value)
