"""The iterable of `Client.map`: what its items may be, and how it ends."""

import asyncio

import pytest

from dugong_like import URL, Client, InvalidOption, InvalidRequest, MockDispatcher, Request
from dugong_like.client.bulk.source import END, Source, as_request
from dugong_like.drivers import aio


def test_items_come_one_after_the_other():
    source = Source(iter("ab"))

    assert [source.take(), source.take(), source.take()] == ["a", "b", END]
    assert source.is_over
    assert source.failure is None
    assert source.take() is END


def test_what_it_raises_is_kept():
    def failing():
        yield "a"
        raise KeyError("x")

    source = Source(failing())
    assert source.take() == "a"
    assert source.take() is END
    assert source.is_over
    assert isinstance(source.failure, KeyError)


def test_asynchronous_iterables():
    async def arriving():
        yield "a"
        await asyncio.sleep(0)
        raise KeyError("x")

    source = Source(arriving())
    assert source.is_async

    async def main():
        return [await aio.run(source.co_take()) for _ in range(2)]

    assert asyncio.run(main()) == ["a", END]
    assert isinstance(source.failure, KeyError)


def test_the_end_of_an_asynchronous_iterable():
    async def arriving():
        return
        yield

    source = Source(arriving())
    assert asyncio.run(aio.run(source.co_take())) is END
    assert source.is_over


@pytest.mark.parametrize("wrong", [5, None, "http://h/", b"x", URL("http://h/"), Request()])
def test_what_is_no_iterable_of_requests(wrong):
    with pytest.raises(TypeError, match="requests is"):
        Source(wrong)


def test_requests_are_built():
    client = Client(base_url="http://h/base/", trust_env=False)

    def build(given, **options):
        return as_request(given, client.build_request, options)

    request = client.build_request("PUT", "x", content=b"data")
    assert build(request) is request
    assert str(build("a").url) == "http://h/base/a"
    assert (build(URL("http://i/b")).method, str(build(URL("http://i/b")).url)) == (
        "GET",
        "http://i/b",
    )
    assert (build(("delete", "c")).method, build(["HEAD", "c"]).method) == ("DELETE", "HEAD")
    made = build("a", headers={"X-A": "b"})
    assert made.headers["X-A"] == "b"
    own = Request("POST", "http://h/d", {"X-B": "c"}, b"body")
    own.idempotent = True
    made = build(own)
    assert (made.method, str(made.url), made.headers["X-B"], made.body, made.idempotent) == (
        *("POST", "http://h/d", "c", b"body", True),
    )


@pytest.mark.parametrize("wrong", [5, None, ("GET",), ("GET", "http://h/", 1), b"http://h/"])
def test_other_items(wrong):
    with pytest.raises(TypeError, match="an item of requests is"):
        as_request(wrong, Client(trust_env=False).build_request, {})


def test_items_that_cannot_be_sent():
    client = Client(trust_env=False)
    with pytest.raises(InvalidRequest):
        as_request("ftp://h/", client.build_request, {})
    with pytest.raises(InvalidOption, match="stream"):
        as_request(client.build_request("GET", "http://h/", stream=True), client.build_request, {})


def test_a_pair_that_is_none_says_how_many_elements_it_has():
    build = Client(trust_env=False).build_request
    for wrong in (("GET",), ("GET", "http://h/", {}), []):
        with pytest.raises(TypeError, match=rf"not a {type(wrong).__name__} of {len(wrong)}"):
            as_request(wrong, build, {})


def test_an_error_says_which_item_it_is_about():
    urls = ["http://h/", "ftp://h/", 5]
    mock = MockDispatcher()
    mock.add().reply(200)
    with Client(dispatcher=mock) as client:
        items = list(client.map(urls, errors="return"))
    notes = [getattr(item.error, "__notes__", []) for item in items]
    assert notes == [
        [],
        ["item 1 of the requests of map(), counted from 0"],
        ["item 2 of the requests of map(), counted from 0"],
    ]
