"""Dispatchers for some URLs: which URLs fit a pattern, which pattern wins, and their end."""

import pytest
from kit.sending import request_to

from dugong_like import URL, Client, InvalidOption, MockDispatcher, Response, run
from dugong_like.client.mounts import Mounts, Pattern


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("http://", ["http://a.test/"], ["https://a.test/"]),
        ("all://", ["http://a.test/", "https://b.test:1/x"], []),
        ("all://*", ["http://a.test/"], []),
        ("HTTPS://A.Test", ["https://a.test/", "https://a.test:81/"], ["https://b.a.test/"]),
        ("all://*.a.test", ["http://a.test/", "http://b.c.a.test/"], ["http://ba.test/"]),
        ("all://a.test:81", ["http://a.test:81/"], ["http://a.test/"]),
        ("https://a.test:443", ["https://a.test/"], ["https://a.test:444/"]),
        ("all://:81", ["http://a.test:81/"], ["http://a.test/"]),
        ("http://a.test/api/", ["http://a.test/api/x?y"], ["http://a.test/api", "http://a.test/"]),
        ("http://[::1]", ["http://[::1]/", "http://[::1]:8/"], ["http://[::2]/"]),
        ("http://[::1]:80", ["http://[::1]/"], ["http://[::1]:81/"]),
        ("all://bücher.example", ["http://xn--bcher-kva.example/"], ["http://bucher.example/"]),
        ("all://*.bücher.example", ["http://a.xn--bcher-kva.example/"], []),
        ("all://a.test/", ["http://a.test/anything"], []),
    ],
)
def test_urls_that_fit(pattern, fitting, others):
    one = Pattern(pattern)
    assert [url for url in fitting if not one.fits(URL(url))] == []
    assert [url for url in others if one.fits(URL(url))] == []


def named(name, log=None):
    class Named(MockDispatcher):
        def co_close(self):
            log.append(name)
            yield from ()
            if name == "bad":
                raise LookupError(name)

    return Named(lambda request: Response(200, text=name))


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://x.test/", "scheme"),
        ("http://a.test/", "host"),
        ("http://a.test:81/", "port"),
        ("http://a.test/api/x", "path"),
        ("https://a.test/", "https host"),
        ("http://b.c.test/", "below"),
        ("http://d.b.c.test/", "further below"),
        ("https://x.test/", "none"),
    ],
)
def test_the_pattern_that_says_most_wins(url, wanted):
    patterns = {
        "http://": "scheme",
        "all://a.test": "host",
        "all://a.test:81": "port",
        "all://a.test/api/": "path",
        "https://a.test": "https host",
        "all://*.c.test": "below",
        "all://*.b.c.test": "further below",
    }
    for order in (list(patterns), list(patterns)[::-1]):
        mounts = {text: named(patterns[text]) for text in order}
        client = Client(dispatcher=named("none"), mounts=mounts)
        patterns["all://*.b.c.test"] = "further below"
        if url == "http://b.c.test/":
            del mounts["all://*.b.c.test"]
            client = Client(dispatcher=named("none"), mounts=mounts)
        assert client.get(url).text == wanted


@pytest.mark.parametrize(
    ("mounts", "error", "why"),
    [
        ({"a.test": named("x")}, InvalidOption, "all://a.test"),
        ({"http://a.test:x": named("x")}, InvalidOption, "port"),
        ({"http://a b": named("x")}, InvalidOption, "host"),
        ({1: named("x")}, TypeError, "string"),
        ({"http://": None}, TypeError, "dispatcher"),
        ({"http://": MockDispatcher}, TypeError, "dispatcher"),
        ({"http://": 1}, TypeError, "dispatcher"),
        ([], None, ""),
        ([1], TypeError, "mapping"),
    ],
)
def test_wrong_arguments(mounts, error, why):
    if error is None:
        mounts = {}
        Client(mounts=mounts)
        return
    with pytest.raises(error, match=why):
        Client(mounts=mounts)


def test_all_are_closed_once_even_if_one_fails():
    log = []
    twice = named("twice", log)
    mounts = Mounts(
        {
            "http://": named("bad", log),
            "https://": twice,
            "all://": twice,
            "all://x": named("x", log),
        }
    )
    with pytest.raises(LookupError):
        run(mounts.co_close())
    assert sorted(log) == ["bad", "twice", "x"]


def test_what_fits_no_pattern_goes_on():
    request = request_to("https://a.test/")
    sent = []
    co_send = Mounts({"http://": named("x")}).over(sent.append)
    co_send(request)
    assert sent == [request]
