"""Flows: requests and waits of a generator, and what is made of them."""

import io

import pytest
from kit.flows import co_body, response, run

from dugong_like import Auth, BodyFollowing, PollNeeded, Request, StateError, Wake
from dugong_like.http.auth.flow import challenges_of, co_authenticate, co_hold_body
from dugong_like.http.challenges import MAX_CHALLENGES


class Log:
    """Sends nothing, and writes down what it should have sent and ended."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.sent = []
        self.ended = []

    def co_send(self, request):
        self.sent.append((request.target, (yield from co_body(request))))
        return response(self.statuses.pop(0), content=b"content")

    def co_end(self, response):
        self.ended.append(response.status_code)
        yield from ()

    def run(self, auth, request=None):
        request = request or Request("GET", "/first")
        return run(co_authenticate(auth, request, self.co_send, self.co_end))


def flow(function, **attributes):
    """Return an `Auth` with *function* as its flow."""
    return type("Own", (Auth,), {"auth_flow": lambda self, r: function(r), **attributes})()


def test_without_a_scheme_the_request_is_sent():
    log = Log(200)

    assert log.run(Auth()).status_code == 200
    assert log.sent == [("/first", b"")]
    assert log.ended == []


@pytest.mark.feature("D11", "E34")
def test_flow_sends_requests_of_its_own_and_gets_each_response():
    got = []

    def own(request):
        got.append((yield request).status_code)
        got.append((yield Request("POST", "/token", body=b"grant")).status_code)
        got.append((yield request).status_code)

    log = Log(401, 200, 204)
    assert log.run(flow(own)).status_code == 204
    assert log.sent == [("/first", b""), ("/token", b"grant"), ("/first", b"")]
    assert got == [401, 200, 204]
    assert log.ended == [401, 200]


@pytest.mark.feature("D11")
def test_flow_waits_like_an_operation():
    flag = Wake()

    def own(request):
        assert (yield from flag.co_wait()) is True
        response = yield request
        assert (yield from response.co_read()) == b"content"
        assert (yield from flag.co_wait()) is True
        yield request

    log = Log(401, 200)
    op = co_authenticate(flow(own), Request("GET", "/"), log.co_send)
    need = next(op)
    assert isinstance(need, PollNeeded)
    assert need.fd == flag.fd
    assert log.sent == []
    flag.set()
    assert run(op).status_code == 200
    flag.close()


@pytest.mark.feature("D11")
def test_flow_is_closed_with_the_operation():
    flag, ended = Wake(), []

    def own(request):
        try:
            yield from flag.co_wait()
            yield request
        finally:
            ended.append(True)

    op = co_authenticate(flow(own), Request("GET", "/"), Log().co_send)
    next(op)
    op.close()
    assert ended == [True]
    flag.close()


def test_errors_of_sending_close_the_flow():
    ended = []

    def own(request):
        try:
            yield request
        finally:
            ended.append(True)

    def co_fail(request):
        yield from ()
        raise ConnectionError

    with pytest.raises(ConnectionError):
        run(co_authenticate(flow(own), Request("GET", "/"), co_fail))
    assert ended == [True]


@pytest.mark.parametrize("item", [None, "GET /", (1, 2), b""])
def test_what_else_is_yielded(item):
    def own(request):
        yield item

    with pytest.raises(
        TypeError, match=f"yields requests and PollNeeded only, not {type(item).__name__}"
    ):
        Log().run(flow(own))


def test_flow_without_a_request():
    with pytest.raises(StateError, match="Own has not yielded any request"):
        Log().run(flow(lambda request: iter_nothing()))


def iter_nothing():
    yield from ()


# ---- bodies


def twice(request):
    yield request
    yield request


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b"abc", [b"abc"] * 2),
        (io.BytesIO(b"abc"), [b"abc"] * 2),
        ([b"a", b"bc"], [b"abc"] * 2),
        (iter([b"a", b"bc"]), [b"abc"]),
        (BodyFollowing(3), [b""]),
    ],
)
def test_bodies_are_repeated_if_they_can_be(body, sent):
    log = Log(401, 200)
    answer = log.run(flow(twice), Request("PUT", "/", body=body))

    assert [body for _, body in log.sent] == sent
    assert answer.status_code == (200 if len(sent) == 2 else 401)
    assert answer.ended is False


def test_other_requests_follow_also_if_a_body_cannot_be_repeated():
    def own(request):
        yield Request("POST", "/token")
        yield request

    log = Log(200, 201)
    assert log.run(flow(own), Request("PUT", "/", body=iter([b"x"]))).status_code == 201
    assert log.sent == [("/token", b""), ("/", b"x")]


def test_response_to_a_body_that_cannot_be_repeated_is_no_other_one():
    def own(request):
        yield request
        yield Request("POST", "/token")
        yield request

    log = Log(401, 200)
    assert log.run(flow(own), Request("PUT", "/", body=iter([b"x"]))).status_code == 401
    assert log.sent == [("/", b"x"), ("/token", b"")]
    assert log.ended == [401, 200]


def test_original_request_can_be_sent_again_from_where_it_stood():
    stream = io.BytesIO(b"0123")
    stream.seek(2)
    request = Request("PUT", "/", body=stream)
    log = Log(401, 200, 200)

    log.run(flow(twice), request)
    log.run(Auth(), request)
    assert [body for _, body in log.sent] == [b"23"] * 3


@pytest.mark.feature("E34")
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO, lambda b: iter([b])])
def test_whole_body_is_there_if_it_is_needed(kind):
    def own(request):
        assert request.body == b"abc"
        assert type(request.body) is bytes
        yield request
        yield request

    log = Log(401, 200)
    request = Request("PUT", "/", body=kind(b"abc"))
    assert log.run(flow(own, requires_request_body=True), request).status_code == 200
    assert [body for _, body in log.sent] == [b"abc"] * 2


@pytest.mark.parametrize("kind", [bytearray, io.BytesIO, lambda body: [body] * 2])
def test_others_run_while_a_long_body_is_read(kind):
    body = b"0123456789abcdef" * (1 << 18)  # 4 MiB
    request = Request("PUT", "/", body=kind(body))
    op = co_hold_body(request)

    assert len(list(op)) >= 2
    assert request.body[: len(body)] == body


def test_no_body_stays_none():
    request = Request("GET", "/")
    run(co_hold_body(request))
    assert request.body is None


async def no_bytes():
    yield b""


@pytest.mark.parametrize("body", [BodyFollowing(3), no_bytes()])
def test_whole_bodies_that_cannot_be_had(body):
    log = Log()
    with pytest.raises(TypeError, match="needs the body before it is sent"):
        log.run(flow(twice, requires_request_body=True), Request("PUT", "/", body=body))
    assert log.sent == []


@pytest.mark.feature("E34")
@pytest.mark.parametrize("needed", [False, True])
def test_bodies_of_responses_are_read_if_they_are_needed(needed):
    got = []

    def own(request):
        response = yield request
        got.append(response.reads)

    last = Log(200).run(flow(own, requires_response_body=needed))
    assert got == [int(needed)]
    assert last.reads == int(needed)


def test_schemes_need_no_base():
    class Own:
        def auth_flow(self, request):
            request.headers.set("Authorization", "x")
            yield request

    assert Log(200).run(Own()).status_code == 200


def test_challenges_of_several_fields():
    fields = [
        ("WWW-Authenticate", "Basic realm=a, Digest realm=b, nonce=c"),
        ("X", "Basic realm=x"),
        ("www-authenticate", 'Basic realm="broken'),
        ("WWW-AUTHENTICATE", "Negotiate"),
    ]
    found = challenges_of(response(401, fields))
    assert [challenge.scheme for challenge in found] == ["basic", "digest", "negotiate"]
    many = response(401, [("WWW-Authenticate", "A, B")] * 20)
    assert len(challenges_of(many)) == MAX_CHALLENGES
