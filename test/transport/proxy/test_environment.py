"""Which variable says what, and which do not count."""

import pytest

from dugong_like.transport.proxy.environment import proxy_url

URL = "http://proxy.test:3128"


def found(scheme="http", host="example.org", port=80, **environ):
    found = proxy_url(scheme, host, port, environ)
    return None if found is None else found[1]


@pytest.mark.feature("A57")
@pytest.mark.reliability(62)
@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, None, None),
        ({"http_proxy": "http://a"}, "http://a", None),
        ({"HTTP_PROXY": "http://a"}, "http://a", None),
        ({"https_proxy": "http://a"}, None, "http://a"),
        ({"HTTPS_PROXY": "http://a"}, None, "http://a"),
        ({"all_proxy": "socks5h://a"}, "socks5h://a", "socks5h://a"),
        ({"ALL_PROXY": "http://a"}, "http://a", "http://a"),
        ({"all_proxy": "http://a", "http_proxy": "http://b"}, "http://b", "http://a"),
        ({"http_proxy": "http://a", "HTTP_PROXY": "http://b"}, "http://a", None),
        ({"https_proxy": "http://a", "HTTPS_PROXY": "http://b"}, None, "http://a"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://b"}, None, None),
        ({"https_proxy": " "}, None, None),
        ({"http_proxy": "", "all_proxy": "http://a"}, "http://a", "http://a"),
        ({"http_proxy": "proxy.test:3128"}, "http://proxy.test:3128", None),
        ({"http_proxy": " http://a\n"}, "http://a", None),
        ({"Http_Proxy": "http://a"}, None, None),
        ({"ftp_proxy": "http://a", "proxy": "http://b"}, None, None),
        # a CGI program (httpoxy)
        ({"REQUEST_METHOD": "GET", "HTTP_PROXY": "http://a"}, None, None),
        ({"REQUEST_METHOD": "", "HTTP_PROXY": "http://a"}, None, None),
        ({"REQUEST_METHOD": "GET", "http_proxy": "http://a"}, "http://a", None),
        ({"REQUEST_METHOD": "GET", "HTTPS_PROXY": "http://a"}, None, "http://a"),
        ({"REQUEST_METHOD": "GET", "HTTP_PROXY": "http://a", "ALL_PROXY": "http://b"}, "http://b",
         "http://b"),
    ],
)  # fmt: skip
def test_variables(environ, http, https):
    assert found("http", **environ) == http
    assert found("https", **environ) == https


@pytest.mark.feature("A57")
@pytest.mark.reliability(62)
def test_no_proxy():
    assert found(all_proxy=URL, no_proxy="example.org") is None
    assert found(all_proxy=URL, NO_PROXY="example.org") is None
    assert found(all_proxy=URL, no_proxy="", NO_PROXY="example.org") == URL
    assert found(all_proxy=URL, no_proxy="other.test") == URL
    assert found(all_proxy=URL, no_proxy="example.org:443") == URL
    assert found(all_proxy=URL, no_proxy="example.org:443", port=443) is None


@pytest.mark.reliability(62)
def test_environment_that_knows_no_case():
    class Windows(dict):
        """As os.environ there: names are in upper case, and are found in any."""

        def __getitem__(self, name):
            return super().__getitem__(name.upper())

        def __contains__(self, name):
            return super().__contains__(name.upper())

        def get(self, name, default=None):
            return super().get(name.upper(), default)

    environ = Windows(HTTP_PROXY=URL)
    assert "http_proxy" in environ
    assert proxy_url("http", "example.org", 80, environ) == ("http_proxy", URL)
    environ = Windows(HTTP_PROXY=URL, REQUEST_METHOD="GET")
    assert proxy_url("http", "example.org", 80, environ) is None
