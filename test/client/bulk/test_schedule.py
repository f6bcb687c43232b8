"""`Client.map` without sockets: order, window, layers, errors, and what ends a connection."""

import gzip
import json
import random
import time

import pytest
from kit.cases import each_case
from kit.memory_site import MemorySite
from kit.sites import answer_of
from kit.steps import PACKAGE, Steps
from kit.streams import finish

from dugong_like import (
    BasicAuth,
    Client,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    Connector,
    DeadlineExceeded,
    DigestAuth,
    InvalidRequest,
    Limits,
    MockDispatcher,
    NotAnswered,
    Origin,
    Pool,
    PoolTimedOut,
    Response,
    Retry,
    StateError,
    StatusError,
    Timeouts,
    run,
    within,
)
from dugong_like.client.bulk.work import Work
from dugong_like.connection.origins import IN_A_ROW, ORIGINS
from dugong_like.polling.wake import Wake, co_checkpoint


@pytest.fixture(autouse=True)
def nothing_is_known_of_origins():
    ORIGINS.forget()
    yield
    ORIGINS.forget()


def urls(count, host="a.test"):
    return [f"http://{host}/{number}" for number in range(count)]


def texts(items):
    return [item.response.text for item in items]


class Counting:
    """An iterable of URLs that notes how many were taken."""

    def __init__(self, given):
        self._given = iter(given)
        self.taken = 0

    def __iter__(self):
        return self

    def __next__(self):
        given = next(self._given)
        self.taken += 1
        return given


# ---- order and window


@pytest.mark.feature("N21")
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("count", [0, 1, 7, 500])
@pytest.mark.parametrize("sizes", [(8, 512, 32), (1, 1, 1), (3, 10, 4), (1, 600, 64)])
def test_each_request_has_its_response(ordered, count, sizes):
    concurrency, window, depth = sizes
    site = MemorySite()
    with site.client() as client:
        options = {"concurrency": concurrency, "window": window, "depth": depth}
        items = list(client.map(urls(count), ordered=ordered, **options))
        assert all(one.busy == 0 for one in client.stats().values())

    assert sorted(item.index for item in items) == list(range(count))
    assert not ordered or [item.index for item in items] == list(range(count))
    assert all(item.response.text == f"/{item.index}" for item in items)
    assert all(str(item.request.url) == item.given == urls(count)[item.index] for item in items)
    assert len(site.streams) <= concurrency
    assert len(site.seen) == count


def test_requests_are_pipelined():
    site = MemorySite(lambda _: None)
    with site.client() as client:
        results = client.map(urls(100), concurrency=2, depth=10)
        operation = results.co_next()
        next(operation)
        assert len(site.streams) == 2
        assert len(site.held) == 10  # half of the depth each, as nothing is known of the server
        operation.close()
        results.close()
    assert site.open() == 0


@pytest.mark.parametrize("window", [1, 2, 7, 50])
@pytest.mark.parametrize("ordered", [True, False])
def test_the_iterable_is_never_read_further_ahead_than_the_window(window, ordered):
    source = Counting(urls(200))
    with MemorySite().client() as client:
        returned = 0
        for _ in client.map(source, window=window, ordered=ordered):
            assert source.taken <= returned + window
            returned += 1
    assert returned == source.taken == 200


def test_nothing_is_taken_before_the_first_result_is_asked_for():
    source = Counting(urls(5))
    with MemorySite().client() as client:
        results = client.map(source)
        assert source.taken == 0
        results.close()
        assert list(results) == []
    assert source.taken == 0


def test_an_origin_that_is_slow_holds_others_up_no_more_than_the_window_says():
    site = MemorySite(
        lambda seen: None if seen.host == "slow.test" else answer_of(200, body=b"fast")
    )
    mixed = [url for number in range(40) for url in (f"http://fast.test/{number}",)]
    mixed[3] = "http://slow.test/3"
    with site.client() as client:
        results = client.map(mixed, ordered=False, window=10)
        fast = [results.next() for _ in range(39)]
        assert texts(fast) == ["fast"] * 39
        site.release()
        assert texts(results) == ["/3"]


def test_with_order_others_wait_for_the_slow_one_within_the_window():
    site = MemorySite(lambda seen: None if seen.target == "/0" else answer_of(200))
    source = Counting(["http://slow.test/0", *urls(100)[1:]])
    with site.client() as client:
        results = client.map(source, window=10)
        operation = results.co_next()
        next(operation)
        assert source.taken == 10
        site.release()
        assert finish(operation).index == 0
        assert len(list(results)) == 99


def test_memory_is_bounded_by_bytes():
    size = 10_000
    site = MemorySite(lambda _: answer_of(200, body=bytes(size)))
    source = Counting(urls(300))
    with site.client() as client:
        most = returned = 0
        for _ in client.map(source, max_bytes=50_000, window=200, concurrency=2, depth=4):
            most = max(most, source.taken - returned)
            returned += 1
    assert returned == 300
    assert 1 < most <= 8  # 5 bodies, and what was taken when their size was not known


def test_bodies_of_requests_count_as_well():
    site = MemorySite(lambda _: answer_of(204))
    with site.client() as client:
        source = Counting(
            client.build_request("PUT", f"http://a.test/{number}", content=bytes(10_000))
            for number in range(50)
        )
        returned = 0
        for item in client.map(source, max_bytes=60_000):
            assert item.response.status_code == 204
            assert source.taken <= returned + 6
            returned += 1
    assert returned == 50


def test_lanes_stop_while_more_bytes_wait_than_may():
    """The first response is late, and the others are larger than anybody could expect."""
    site = MemorySite(
        lambda seen: None if seen.target == "/0" else answer_of(200, body=bytes(100_000))
    )
    with site.client() as client:
        results = client.map(urls(60), max_bytes=1 << 20, concurrency=4, depth=2, window=60)
        operation = results.co_next()
        for _ in range(300):
            next(operation)
        assert len(site.seen) < 25
        site.release()
        finish(operation)
        assert len(list(results)) == 59


# ---- what layers do


def test_redirects_are_followed_in_the_middle():
    def answer(seen):
        if seen.target in {"/5", "/17"}:
            return answer_of(302, f"Location: http://b.test/moved{seen.target}")
        return answer_of(200, body=f"{seen.host}{seen.target}".encode())

    site = MemorySite(answer)
    with site.client() as client:
        items = list(client.map(urls(30)))

    wanted = [f"a.test/{number}" for number in range(30)]
    wanted[5], wanted[17] = "b.test/moved/5", "b.test/moved/17"
    assert texts(items) == wanted
    assert [item.index for item in items if item.response.history] == [5, 17]
    assert len(site.seen) == 32


@pytest.mark.parametrize("concurrency", [1, 3])
def test_an_origin_that_others_redirect_to_has_no_more_connections_either(concurrency):
    def answer(seen):
        if seen.host == "a.test":
            return answer_of(307, f"Location: http://b.test{seen.target}")
        under_way.append(seen.target)
        return None

    under_way = []
    site = MemorySite(answer)
    given = [("POST", url) for url in urls(12)]
    with site.client(limits=Limits(max_per_origin=50)) as client:
        done = []
        operation = client.co_map(given, done.append, concurrency=concurrency)
        for need in operation:
            if not need.poll(0):  # all is sent that may be
                assert 0 < len(under_way) <= concurrency
                under_way.clear()
                site.release()
    assert texts(done) == [f"/{number}" for number in range(12)]


def test_a_challenge_in_the_middle_is_answered():
    def answer(seen):
        if seen.target == "/5" and "authorization" not in seen.headers:
            return answer_of(401, 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"')
        return answer_of(200, body=seen.target.encode())

    site = MemorySite(answer)
    with site.client(auth=DigestAuth("u", "p")) as client:
        items = list(client.map(urls(30)))

    assert texts(items) == [f"/{number}" for number in range(30)]
    assert site.targets().count("/5") == 2


def test_authentication_that_needs_no_challenge_is_pipelined():
    site = MemorySite(lambda _: None)
    with site.client(auth=BasicAuth("u", "p")) as client:
        results = client.map(urls(30), concurrency=1, depth=10)
        operation = results.co_next()
        for _ in range(20):
            next(operation)
        assert len(site.held) == 5
        assert all("authorization" in seen.headers for seen in site.seen)
        operation.close()
        results.close()


def test_cookies_are_kept_and_sent():
    def answer(seen):
        fields = ["Set-Cookie: a=b"] if seen.target == "/0" else []
        return answer_of(200, *fields, body=seen.headers.get("cookie", "").encode())

    with MemorySite(answer).client() as client:
        items = list(client.map(urls(20), window=1))
        assert texts(items) == ["", *["a=b"] * 19]
        assert client.cookies["a"] == "b"
        assert texts(client.map(urls(20))) == ["a=b"] * 20  # pipelined, each with its cookie


def test_bodies_are_decoded():
    body = gzip.compress(b"text")
    site = MemorySite(lambda _: answer_of(200, "Content-Encoding: gzip", body=body))
    with site.client() as client:
        assert texts(client.map(urls(5))) == ["text"] * 5


def test_statuses_are_raised_if_the_client_raises_them():
    site = MemorySite(lambda seen: answer_of(404 if seen.target == "/2" else 200))
    with site.client(raise_for_status=True) as client:
        items = list(client.map(urls(5), errors="return"))
        assert [isinstance(item.error, StatusError) for item in items] == [
            number == 2 for number in range(5)
        ]
    with site.client() as client:
        assert [item.response.status_code for item in client.map(urls(5))][2] == 404


def test_layers_and_events_of_the_user_hold():
    def co_layer(request, co_send):
        request.headers.set("X-Layer", "yes")
        response = yield from co_send(request)
        response.extensions["layer"] = True
        return response

    called = []
    site = MemorySite()
    with site.client(
        layers=[co_layer], hooks={"pre_request": lambda response, **_: called.append(1)}
    ) as client:
        items = list(client.map(urls(20)))
    assert all(item.response.extensions["layer"] for item in items)
    assert all(seen.headers["x-layer"] == "yes" for seen in site.seen)
    assert len(called) == 20


class Unavailable:
    """A site that refuses some requests, by a clock that goes on in waits only.

    Args:
        clock: a list of one number, seconds.
        refuses: returns the seconds of Retry-After for a request, or None.
        status: of what is refused.
        is_pipelined: False to answer each request by itself, as on streams of HTTP/2.

    Attributes:
        early: the requests that came before their own Retry-After was over.
        refused: how many were.
        targets: what came.

    """

    def __init__(self, clock, refuses, status=503, *, is_pipelined=True):
        self.early, self.refused, self.targets = [], 0, []
        self._is_pipelined = is_pipelined
        self._clock, self._refuses, self._status = clock, refuses, status
        self._due = {}

    def _seconds(self, target):
        """Return the seconds of Retry-After, or None."""
        self.targets.append(target)
        if self._clock[0] < self._due.get(target, 0):
            self.early.append(target)
        seconds = self._refuses(target)
        if seconds is not None:
            self.refused += 1
            self._due[target] = self._clock[0] + seconds
        return seconds

    def _answer(self, seen):
        if (seconds := self._seconds(seen.target)) is None:
            return answer_of(200, body=seen.target.encode())
        return answer_of(self._status, f"Retry-After: {seconds}")

    def _respond(self, request):
        if (seconds := self._seconds(request.url.target)) is None:
            return Response(200, text=request.url.target)
        return Response(self._status, {"Retry-After": str(seconds)})

    def _client(self):
        options = {"retry": Retry(9, max_wait=2000, budget=None)}
        if self._is_pipelined:
            return MemorySite(self._answer).client(**options)
        mock = MockDispatcher()
        mock.add("GET").by(self._respond)
        return Client(dispatcher=mock, **options)

    def results(self, count, **options):
        """Return the results of so many requests; a wait ends when something is there, or is due.

        Nothing is waited for: the clock is put on to the next time.
        """
        with self._client() as client:
            results = client.map(urls(count), errors="return", **options)
            return results_on(self._clock, results)


def results_on(clock, results):
    """Return all *results*; the *clock*, a list with the time, goes on when nothing else is left.

    So nothing is waited for.
    """
    got = []
    operation = results.co_next()
    while True:
        try:
            need = next(operation)
        except StopIteration as end:
            if end.value is None:
                return got
            got.append(end.value)
            operation = results.co_next()
        else:
            if not need.poll(0) and need.deadline is not None:
                clock[0] = max(clock[0], need.deadline)


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def right(items, count):
    """Return True if there is one response to each request, and they are the right ones."""
    found = {item.index: item.response.text for item in items if item.error is None}
    return found == {number: f"/{number}" for number in range(count)}


@pytest.mark.parametrize("is_pipelined", [True, False])
@pytest.mark.parametrize("ordered", [True, False])
def test_one_that_is_refused_among_others_waits_alone(clock, ordered, is_pipelined):
    came = {}

    def refuses(target):
        came.setdefault(target, []).append(clock[0])
        return 1000 if target == "/5" and len(came["/5"]) == 1 else None

    server = Unavailable(clock, refuses, is_pipelined=is_pipelined)
    items = server.results(100, concurrency=2, depth=4, ordered=ordered)
    assert right(items, 100)
    assert came.pop("/5") == [1000, 2000]
    assert all(times == [1000] for times in came.values())
    assert ordered or items[-1].index == 5


def test_one_whose_pause_is_over_is_sent_while_another_response_is_late(clock):
    """The only connection waits for that; it takes the request all the same."""
    refused = []

    def answer(seen):
        if seen.target == "/9":
            return None
        if seen.target == "/5" and not refused:
            refused.append(seen)
            return answer_of(503, "Retry-After: 7")
        return answer_of(200, body=seen.target.encode())

    site = MemorySite(answer)
    with site.client(retry=Retry(budget=None)) as client:
        options = {"concurrency": 1, "depth": 64, "ordered": False}
        with client.map(urls(10), **options) as results:
            got = [results.next() for _ in range(8)]
            assert sorted(item.index for item in got) == [0, 1, 2, 3, 4, 6, 7, 8]
            going = results.co_next()
            assert next(going).deadline == 1007
            assert site.targets().count("/5") == 1
            clock[0] = 1007
            next(going)
            assert site.targets().count("/5") == 2
            going.close()


@pytest.mark.parametrize("is_pipelined", [True, False])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_server_that_was_unavailable_is_asked_by_a_few_requests_first(
    clock, concurrency, is_pipelined
):
    """No more than one of each connection, as long as none is answered."""
    came = []

    def refuses(target):
        came.append(clock[0])
        return 10 if clock[0] < 1030 else None

    server = Unavailable(clock, refuses, is_pipelined=is_pipelined)
    items = server.results(200, concurrency=concurrency, ordered=False)
    assert right(items, 200)
    assert not server.early
    probes = [came.count(at) for at in (1010, 1020)]
    assert all(0 < count <= max(concurrency, 4) for count in probes), probes
    assert clock[0] < 1060


def test_a_pause_may_end_between_any_two_looks_at_the_clock(clock, monkeypatch):
    """The clock goes on with each of them."""

    def tick():
        clock[0] += 1
        return clock[0]

    monkeypatch.setattr(time, "monotonic", tick)
    mock = MockDispatcher()
    mock.add("GET").by(lambda request: Response(200, text=request.url.target))
    lost = []
    for seconds in range(1, 40):
        ORIGINS.forget()
        ORIGINS.facts("http://a.test").pause(seconds)
        count = 0
        with Client(dispatcher=mock) as client, client.map(urls(3)) as results:
            operation = results.co_next()
            while True:
                try:
                    need = next(operation)
                except StopIteration as end:
                    if end.value is None:
                        break
                    count += 1
                    operation = results.co_next()
                else:
                    if not need.poll(0):
                        if need.deadline is None:
                            break  # it would wait for ever
                        clock[0] = max(clock[0], need.deadline)
        if count < 3:
            lost.append(seconds)
    assert not lost


def test_a_late_error_of_a_request_before_a_pause_is_no_news(clock):
    """That the server answers again is known by one that was sent later."""
    with MemorySite().client() as client, client.map(urls(3)) as results:
        request = results.next().request
        place = results._schedule.place(Origin("http", "a.test", 80))
        place.facts.pause(5)
        assert place.probes()
        for sent_at in (1006, 1000):
            results._schedule.note_status(place, request, Response(500), sent_at)
            assert not place.probes()


@pytest.mark.parametrize("is_pipelined", [True, False])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_server_that_refuses_one_in_twenty_delays_no_others(clock, concurrency, is_pipelined):
    chance = random.Random(5)
    server = Unavailable(
        clock, lambda _: 1 if chance.random() < 0.05 else None, is_pipelined=is_pipelined
    )
    items = server.results(1000, concurrency=concurrency, ordered=False)
    assert right(items, 1000)
    assert not server.early
    assert server.refused > 40
    most = max(server.targets.count(f"/{item.index}") for item in items)
    assert clock[0] - 1000 <= most - 1, "as many pauses as one request has had, and no more"


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("is_pipelined", [True, False])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_server_that_refuses_all_is_paused_until_it_answers(
    clock, ordered, concurrency, is_pipelined
):
    """What is under way is refused; then there is one pause for all."""
    came = []

    def refuses(target):
        came.append(clock[0])
        return 5 if clock[0] < 1019 else None

    server = Unavailable(clock, refuses, is_pipelined=is_pipelined)
    items = server.results(300, concurrency=concurrency, depth=4, ordered=ordered)
    assert right(items, 300)
    assert not server.early
    assert sorted(set(came)) == [1000, 1005, 1010, 1015, 1020], "one pause after the other"
    for at in 1000, 1005, 1010, 1015:
        assert came.count(at) <= 12, "no more than was under way"


def test_refusals_of_one_connection_that_come_behind_later_answers_delay_no_others(clock):
    """A load balancer has one connection at a node that restarts; its refusals come together."""
    came, held = {}, []

    def answer(seen):
        is_late = seen.connection == 1 and len(site.seen) > 60  # it is known to pipeline by then
        if is_late and len(held) < IN_A_ROW:
            held.append(seen.target)
            return None
        came[seen.target] = clock[0]
        return answer_of(200, body=seen.target.encode())

    site = MemorySite(answer)
    items = []
    with site.client(retry=Retry(9, max_wait=2000, budget=None)) as client:
        results = client.map(urls(999), window=64, concurrency=2, depth=16, ordered=False)
        operation = results.co_next()
        while True:
            try:
                need = next(operation)
            except StopIteration as end:
                if end.value is None:
                    break
                items.append(end.value)
                last = int(held[-1][1:]) if len(held) == IN_A_ROW else 999
                if site.held and end.value.index > last:
                    behind, site.held = site.held, []
                    refused, right_one = answer_of(503, "Retry-After: 1000"), answer_of(200)
                    targets = [seen.target for _, seen in behind]
                    answers = [refused if each in held else right_one for each in targets]
                    behind[0][0].give(b"".join(answers))
                operation = results.co_next()
            else:
                if not need.poll(0) and need.deadline is not None:
                    clock[0] = max(clock[0], need.deadline)
    assert sorted(item.index for item in items) == list(range(999))
    assert len(held) == IN_A_ROW
    assert all(at == (2000 if target in held else 1000) for target, at in came.items())


@pytest.mark.parametrize("retry", [None, Retry(1, backoff=0, budget=None)])
@pytest.mark.parametrize(
    ("status", "shows"), [(200, True), (404, True), (429, False), (500, False), (503, False)]
)
def test_each_answer_shows_that_its_origin_is_available(status, shows, retry):
    """Other requests, or clients, may have a retry though this one has none."""
    before = time.monotonic()
    with MemorySite(lambda _: answer_of(status)).client(retry=retry) as client:
        items = list(client.map(urls(3)))
    assert [item.response.status_code for item in items] == [status] * 3
    facts = ORIGINS.facts("http://a.test")
    for _ in range(IN_A_ROW):
        facts.note_refusal(before, 1000)
    assert (facts.resumes == 0) is shows


@pytest.mark.parametrize("is_pipelined", [True, False])
def test_too_many_requests_pause_the_origin_at_once(clock, is_pipelined):
    refused = []

    def refuses(target):
        if len(server.targets) == 20:
            refused.append(clock[0])
            return 30
        return None

    server = Unavailable(clock, refuses, status=429, is_pipelined=is_pipelined)
    items = server.results(100, concurrency=1, depth=4)
    assert right(items, 100)
    assert not server.early
    assert len(refused) == 1
    assert clock[0] == 1030


def test_retries_repeat():
    def answer(seen):
        first = site.targets().count(seen.target) == 1
        if first and seen.target in {"/3", "/9"}:
            return answer_of(503, "Retry-After: 0")
        return answer_of(200, body=seen.target.encode())

    site = MemorySite(answer)
    with site.client(retry=Retry(3, backoff=0)) as client:
        items = list(client.map(urls(30)))
    assert texts(items) == [f"/{number}" for number in range(30)]
    assert len(site.seen) == 32
    assert items[3].response.attempts == 2


class CountingRetry(Retry):
    """Notes the requests that it counts, which earn repetitions, and the repetitions."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.counted = self.taken = 0

    def count(self, origin):
        self.counted += 1
        super().count(origin)

    def takes(self, origin):
        self.taken += 1
        return super().takes(origin)


def sent_in_vain():
    """Return how often a request is sent whose connection ends each time."""
    site = MemorySite(breaking)
    with site.client() as client:
        list(client.map(urls(20), errors="return"))
    return site.targets().count("/7")


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("is_lost", [True, False])
def test_failures_are_repeated_as_the_client_repeats_a_request_by_itself(ordered, is_lost):
    """After connections that end, as often as that is tried without retries, or a status."""

    def answer(seen):
        if seen.target == "/7" and site.targets().count("/7") <= lost:
            return breaking(seen) if is_lost else answer_of(502)
        return answer_of(200, body=seen.target.encode())

    site = MemorySite(answer)
    lost = sent_in_vain() if is_lost else 1
    retry = CountingRetry(1, backoff=0)
    with site.client(retry=retry) as client:
        items = list(client.map(urls(20), ordered=ordered))
    assert sorted(item.index for item in items) == list(range(20))
    assert all(item.response.text == f"/{item.index}" for item in items)
    repeated = next(item for item in items if item.index == 7)
    assert repeated.response.attempts == 2
    assert (retry.counted, retry.taken) == (20, 1)


def test_failures_that_are_not_repeated_are_results():
    retry = CountingRetry(2, backoff=0)
    with MemorySite(breaking).client(retry=retry) as client:
        items = list(client.map(urls(20), errors="return"))
    failed = [item for item in items if item.error is not None]
    assert [item.index for item in failed] == [7]
    assert failed[0].error.request is failed[0].request
    assert "http://a.test/7" in str(failed[0].error)
    assert (retry.counted, retry.taken) == (20, 2)


def test_repetitions_of_a_request_are_counted_across_its_two_ways():
    """As of many that wait for a connection, and by itself after that: no more than allowed."""
    refused = []

    class Refusing(MemorySite):
        def co_connect_tcp(self, host, port):
            if len(refused) < 2:
                refused.append(host)
                raise ConnectFailed("refused")
            return (yield from super().co_connect_tcp(host, port))

    site = Refusing(breaking)
    retry = CountingRetry(3, backoff=0)
    with site.client(retry=retry) as client:
        (item,) = client.map(["http://a.test/7"], errors="return")
    assert len(refused) == 2
    assert item.error is not None
    assert item.request.repetitions == retry.taken == 3


def test_retries_cost_requests_that_succeed_few_steps():
    def codes(**options):
        with MemorySite().client(**options) as client:
            list(client.map(urls(100)))
            with Steps(of=PACKAGE) as steps:
                items = list(client.map(urls(500)))
        assert len(items) == 500
        return steps.codes / 500

    plain = codes()
    assert codes(retry=Retry(budget=None)) < plain * 1.1
    assert codes(retry=Retry()) < plain * 1.2  # each earns a share of a repetition


# ---- methods and bodies


def test_what_must_not_be_repeated_goes_alone():
    site = MemorySite(lambda _: None)
    with site.client() as client:
        requests = [
            client.build_request("POST", f"http://a.test/{number}", content=b"x")
            for number in range(20)
        ]
        results = client.map(requests, concurrency=3)
        operation = results.co_next()
        for _ in range(20):
            next(operation)
        assert len(site.held) == len(site.streams) == 3
        operation.close()
        results.close()

    site = MemorySite(lambda _: None)
    with site.client() as client:
        for request in requests:
            request.idempotent = True
        results = client.map(requests, concurrency=1, depth=10)
        operation = results.co_next()
        for _ in range(20):
            next(operation)
        assert len(site.held) == 5
        operation.close()
        results.close()


def test_methods_and_bodies_of_all_kinds():
    site = MemorySite(lambda seen: answer_of(200, body=b"" if seen.method == "HEAD" else seen.body))
    with site.client() as client:
        requests = [
            client.build_request(method, "http://a.test/", content=body)
            for method in ("PUT", "POST", "PATCH", "DELETE")
            for body in (b"bytes", bytearray(b"array"), None)
        ]
        items = list(client.map([*requests, ("HEAD", "http://a.test/")], concurrency=2))
    assert texts(items) == ["bytes", "array", ""] * 4 + [""]


def test_posts_are_not_held_up_by_gets_for_ever():
    site = MemorySite()
    given = urls(400)
    given[10] = ("POST", "http://a.test/post")
    with site.client() as client:
        order = [item.index for item in client.map(given, concurrency=1, ordered=False, window=50)]
    assert sorted(order) == list(range(400))
    assert order.index(10) < 150


# ---- errors


def breaking(seen):
    """Answer, but for one: whose connection ends in the middle of each answer."""
    if seen.target == "/7":
        return (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",)
    return answer_of(200, body=seen.target.encode())


@pytest.mark.parametrize("ordered", [True, False])
def test_errors_are_results(ordered):
    with MemorySite(breaking).client() as client:
        items = list(client.map(urls(20), errors="return", ordered=ordered))
    failed = [item for item in items if item.error is not None]
    assert [item.index for item in failed] == [7]
    assert isinstance(failed[0].error, NotAnswered)
    assert failed[0].response is None
    assert failed[0].error.request is failed[0].request
    assert "http://a.test/7" in str(failed[0].error)
    assert len(items) == 20


def test_errors_are_raised_in_the_place_of_their_result():
    site = MemorySite(breaking)
    with site.client() as client:
        results = client.map(urls(20))
        got = []
        with pytest.raises(ConnectionClosed):
            for item in results:
                got.append(item.index)
        assert got == list(range(7))
        assert list(results) == []
        assert all(one.busy == 0 for one in client.stats().values())


def test_wrong_items_are_errors_of_theirs():
    with MemorySite().client() as client:
        given = ["http://a.test/0", 5, "ftp://x/", None, "http://a.test/4", "http://a.test/\n"]
        items = list(client.map(given, errors="return"))
        kinds = [type(item.error) for item in items]
        assert kinds[:5] == [type(None), TypeError, InvalidRequest, TypeError, type(None)]
        assert issubclass(kinds[5], InvalidRequest)
        assert [item.request is None for item in items] == [False, True, True, True, False, True]
        assert [item.given for item in items] == given
        with pytest.raises(TypeError, match="an item of requests"):
            list(client.map(given))


def test_a_field_that_cannot_be_sent_costs_no_other_request():
    with MemorySite().client() as client:
        requests = [client.build_request("GET", url) for url in urls(20)]
        requests[9].method = "B AD"
        items = list(client.map(requests, errors="return"))
    assert [item.index for item in items if item.error is not None] == [9]


def test_an_iterable_that_raises():
    def failing():
        yield from urls(10)
        raise KeyError("x")

    with MemorySite().client() as client:
        results = client.map(failing())
        got = []
        with pytest.raises(KeyError):
            for item in results:
                got.append(item.index)
        assert got == list(range(10))
        assert list(results) == []


def test_a_server_that_cannot_be_reached():
    site = MemorySite()

    def co_refuse(host, port):
        raise ConnectionRefusedError("nobody there")
        yield

    site.co_connect_tcp = co_refuse
    with site.client() as client:
        items = list(client.map(urls(10), errors="return"))
        assert [item.error is not None for item in items] == [True] * 10
        assert [item.request.attempts for item in items] == [1] * 10


class Restarting(MemorySite):
    """A site that closes its connections after some requests, and takes no others for a while.

    Args:
        clock: a list with the time.
        after: requests before that.
        seconds: until it is back.

    Attributes:
        refused: when connections were refused.

    """

    def __init__(self, clock, after, seconds):
        super().__init__()
        self._clock = clock
        self._after = after
        self._seconds = seconds
        self._back_at = 0.0
        self.refused = []

    def take(self, stream, seen):
        super().take(stream, seen)
        if len(self.seen) == self._after:
            self.down()

    def down(self):
        """Close all connections, and refuse others for a time."""
        self._back_at = self._clock[0] + self._seconds
        for each in self.streams:
            each.end()

    def co_connect_tcp(self, host, port):
        if self._clock[0] < self._back_at:
            self.refused.append(self._clock[0])
            raise ConnectFailed("refused")
        return (yield from super().co_connect_tcp(host, port))

    def results(self, requests, retry, hooks=None, **options):
        """Return the results of *requests*. The clock is put on when nothing else is left."""
        with self.client(retry=retry, hooks=hooks) as client:
            return results_on(self._clock, client.map(requests, errors="return", **options))


RESTARTS = [(after, method) for after in (1, 100) for method in ("GET", "POST", "mixed")]


@each_case(("after", "method"), RESTARTS)
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_server_that_restarts_loses_no_request(clock, after, method, concurrency):
    """The whole map waits for it: that takes few connections, and few of the repetitions."""
    ORIGINS.forget()
    retry = Retry(backoff=1, jitter=False)
    site = Restarting(clock, after, 5)
    methods = ("GET", "POST") if method == "mixed" else (method,)
    given = [(methods[number % len(methods)], url) for number, url in enumerate(urls(150))]
    items = site.results(given, retry, concurrency=concurrency)

    failed = [item for item in items if item.error is not None]
    assert [type(item.error) for item in failed if item.given[0] == "GET"] == []
    assert all(isinstance(item.error, ConnectionClosed | NotAnswered) for item in failed)
    assert len(failed) <= concurrency  # whose answers were lost, and which must not be repeated
    assert all(item.response.text == f"/{item.index}" for item in items if item.error is None)
    # Three of each pipeline that was under way, after pauses of its own, and those of `Retry`.
    assert 0 < len(site.refused) <= 8 * concurrency
    assert site.open() == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_server_that_does_not_come_back_has_as_many_attempts_as_with_one_request(
    clock, method, concurrency
):
    site = Restarting(clock, 1, 10_000)
    begun = clock[0]
    retry = Retry(2, backoff=1, jitter=False)
    given = [(method, url) for url in urls(30)]
    items = site.results(given, retry, concurrency=concurrency, window=30)

    errors = [item.error for item in items if item.error is not None]
    assert len(errors) >= 29
    assert sum(isinstance(error, ConnectFailed) for error in errors) >= 30 - concurrency
    assert clock[0] <= begun + 2 * (1 + 2)  # as of a client that sends one of them
    assert len(site.refused) <= 30 + 4 * concurrency


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_each_repetition_is_an_event_of_its_request(clock, method, concurrency):
    """Also of those which have only waited; a function may wait, and is called once at a time."""
    site, called, under_way = Restarting(clock, 0, 5), [], set()
    site.down()

    def co_note(response, exc, request, **_):
        assert (response, type(exc)) == (None, ConnectFailed)
        assert request not in under_way
        under_way.add(request)
        yield from co_checkpoint()
        under_way.remove(request)
        called.append(request)

    retry = Retry(10, backoff=1, jitter=False)
    given = [(method, url) for url in urls(30)]
    items = site.results(given, retry, {"on_retry": co_note}, concurrency=concurrency)

    assert right(items, 30)
    assert min(item.request.repetitions for item in items) > 1
    assert [called.count(item.request) for item in items] == [
        item.request.repetitions for item in items
    ]


def test_an_error_of_the_event_of_a_repetition_ends_its_request_and_no_other(clock):
    def fail(_response, request, **_):
        if request.url.target == "/3":
            raise ValueError("3")

    site = Restarting(clock, 0, 5)
    site.down()
    items = site.results(urls(30), Retry(10, backoff=1, jitter=False), {"on_retry": fail})

    assert isinstance(items.pop(3).error, ValueError)
    assert all(item.response.text == f"/{item.index}" for item in items)


def test_a_connection_more_that_is_refused_costs_no_request_if_there_is_another(clock):
    site = Restarting(clock, 1000, 1)
    connect = site.co_connect_tcp

    def co_connect_once(host, port):
        if site.streams:
            site.refused.append(clock[0])
            raise ConnectFailed("too many")
        return (yield from connect(host, port))

    site.co_connect_tcp = co_connect_once
    items = site.results(urls(300), Retry(0), concurrency=8)
    assert right(items, 300)
    assert 0 < len(site.refused) <= 8


def test_it_is_no_repetition_to_wait_for_a_connection_that_there_is(clock):
    """A server that is going to restart may still answer where it has been asked before."""
    site = Restarting(clock, 1000, 0)
    site._answer = lambda seen: None if seen.method == "GET" else answer_of(200, body=b"post")
    connect = site.co_connect_tcp

    def co_connect_once(host, port):
        if site.streams:
            site.refused.append(clock[0])
            if len(site.refused) == 7:
                site.release()
            raise ConnectFailed("refused")
        return (yield from connect(host, port))

    site.co_connect_tcp = co_connect_once
    retry = Retry(2, backoff=1, jitter=False)
    given = [("GET", "http://a.test/0"), ("POST", "http://a.test/1")]
    items = site.results(given, retry, concurrency=2)

    assert texts(items) == ["/0", "post"]
    assert [item.request.repetitions for item in items] == [0, 0]
    assert len(site.refused) == 7


def test_what_gets_no_connection_is_no_attempt():
    connector = Connector(transport=MemorySite(), trust_env=False, timeout=Timeouts(pool=0))
    pool = Pool(connector, Limits(max_connections=1))
    with Client(dispatcher=pool) as client, pool.acquire(Origin("http", "b.test", 80)):
        items = list(client.map(urls(3), errors="return"))
    assert [type(item.error) for item in items] == [PoolTimedOut] * 3
    assert [item.request.attempts for item in items] == [0] * 3


@pytest.mark.parametrize("ordered", [True, False])
def test_no_request_waits_for_a_connection_that_is_not_there_yet(ordered):
    """A SYN is lost, and sent again after a second; the requests go on the other connections."""
    site = MemorySite()
    co_connect, silence, lost = site.co_connect_tcp, Wake("a SYN"), []

    def co_lose(host, port):
        if len(lost) < 2:
            lost.append(port)
            while True:
                yield silence.need()
        return (yield from co_connect(host, port))

    site.co_connect_tcp = co_lose
    with site.client() as client, client.map(urls(200), ordered=ordered) as results:
        items = sorted(results)
        assert texts(items) == [f"/{number}" for number in range(200)]
        assert all(one.busy == 0 for one in client.stats().values())
    silence.close()
    assert len(lost) == 2
    assert len(site.streams) <= 6


@pytest.mark.parametrize(("count", "connections"), [(1, 1), (8, 8), (10, 5), (16, 8), (17, 6)])
def test_no_connection_is_opened_without_a_share_of_the_requests(count, connections):
    site = MemorySite()
    with site.client() as client:
        assert len(list(client.map(urls(count)))) == count
    assert len(site.streams) <= connections


# ---- connections that end


@pytest.mark.parametrize("after", [1, 2, 10, 100])
@pytest.mark.parametrize("is_told", [True, False])
def test_a_server_that_closes_after_so_many_requests(after, is_told):
    counts = {}

    def answer(seen):
        counts[seen.connection] = counts.get(seen.connection, 0) + 1
        is_last = counts[seen.connection] == after
        fields = ["Connection: close"] if is_last and is_told else []
        whole = answer_of(200, *fields, body=seen.target.encode())
        return (whole,) if is_last else whole

    site = MemorySite(answer)
    with site.client() as client:
        items = list(client.map(urls(300), concurrency=2, depth=8))
    assert texts(items) == [f"/{number}" for number in range(300)]
    assert len(site.seen) == 300  # answers are counted, not what the closed connection has got


def test_connections_that_end_at_random():
    chance = random.Random(7)

    def answer(seen):
        whole = answer_of(200, body=seen.target.encode())
        if chance.random() < 0.05:
            return (whole[: chance.randrange(len(whole) + 1)],)
        return whole

    site = MemorySite(answer)
    with site.client() as client:
        items = list(client.map(urls(500), concurrency=3, depth=8, errors="return"))
    assert [item.index for item in items] == list(range(500))
    assert all(item.error is not None or item.response.text == f"/{item.index}" for item in items)
    assert sum(item.error is not None for item in items) < 50  # of those bodies that were cut


def test_limits_of_the_pool_hold():
    site = MemorySite()
    mixed = [f"http://host{number % 7}.test/{number}" for number in range(200)]
    with site.client(Limits(max_connections=3, max_requests=10)) as client:
        open_at_once = []
        for item in client.map(mixed, depth=4, concurrency=2):
            assert item.response.text == f"/{item.index}"
            open_at_once.append(site.open())
    assert max(open_at_once) <= 3
    assert len(site.streams) >= 20


# ---- time


def test_a_total_limit():
    site = MemorySite(lambda seen: None if seen.target == "/3" else answer_of(200))
    with site.client() as client:
        results = client.map(urls(10), total=0.05)
        got = []
        with pytest.raises(DeadlineExceeded, match="within 0.05 s"):
            for item in results:
                got.append(item.index)
        assert got in ([0, 1, 2], [0, 1], [0], [])
        assert list(results) == []
    assert site.open() == 0


def test_the_total_limit_of_each_request():
    site = MemorySite(lambda seen: None if seen.target == "/3" else answer_of(200))
    with site.client() as client:
        given = urls(10)
        given[3] = client.build_request("GET", given[3], timeout=Timeouts(total=0.05))
        items = list(client.map(given, errors="return", concurrency=1))
    assert [item.index for item in items if item.error is not None] == [3]
    assert isinstance(items[3].error, DeadlineExceeded)


def test_a_server_that_stops_answering():
    site = MemorySite(lambda seen: None if seen.target == "/3" else answer_of(200))
    with site.client(timeout=Timeouts(stall=0.05)) as client:
        items = list(client.map(urls(10), errors="return", concurrency=1))
    failed = [item for item in items if item.error is not None]
    assert [item.index for item in failed] == [3]
    assert isinstance(failed[0].error, ConnectionTimedOut)
    assert len(items) == 10


def test_a_pipelined_request_that_is_given_up_makes_way_for_those_behind_it():
    sent = []

    def answer(seen):
        if seen.target == "/3":
            sent.append(seen)
            return None
        return answer_of(200)

    def co_given_up(op):
        """Run *op* with a time limit that begins when the request has been sent."""
        while not sent:
            yield next(op).until(time.monotonic() + 0.05)  # another one may send it
        return (yield from within(time.monotonic() + 0.05, op))

    def co_layer(request, co_send):
        going = co_send(request)
        return (yield from co_given_up(going) if request.url.target == "/3" else going)

    site = MemorySite(answer)
    with site.client(layers=[co_layer]) as client:
        items = list(client.map(urls(10), errors="return", concurrency=1))
    assert [item.index for item in items if item.error is not None] == [3]
    assert isinstance(items[3].error, ConnectionTimedOut)
    assert len(site.streams) == 2


def test_one_that_is_given_up_before_it_is_sent_is_not_sent():
    given_up = []

    def co_layer(request, co_send):
        if request.url.target == "/3":
            going = co_send(request)
            given_up.append(next(going))
            going.close()
        return (yield from co_send(request))

    site = MemorySite()
    with site.client(layers=[co_layer]) as client:
        assert len(list(client.map(urls(10), concurrency=1))) == 10
    assert given_up
    assert site.targets().count("/3") == 1


# ---- other dispatchers


@pytest.mark.parametrize("ordered", [True, False])
def test_any_dispatcher_does(ordered):
    mock = MockDispatcher()
    mock.add("GET").by(lambda request: Response(200, text=request.url.target))
    with Client(dispatcher=mock) as client:
        items = list(client.map(urls(50), ordered=ordered, window=7))
        with pytest.raises(StateError):  # there is no answer to that
            list(client.map([("DELETE", "http://a.test/")]))
    assert sorted(item.index for item in items) == list(range(50))
    assert all(item.response.text == f"/{item.index}" for item in items)


def test_a_closed_client():
    site = MemorySite()
    client = site.client()
    client.close()
    items = list(client.map(urls(3), errors="return"))
    assert [type(item.error) for item in items] == [StateError] * 3
    closed = [f"GET http://a.test/{number}: the client is closed" for number in range(3)]
    assert [str(item.error) for item in items] == closed


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("is_pipelined", [True, False])
@pytest.mark.parametrize("ordered", [True, False])
def test_what_waits_in_a_pause_fails_at_once_when_the_client_is_closed(
    status, is_pipelined, ordered
):
    def answer(seen):
        target = seen.target if is_pipelined else seen.url.path
        if target < "/3":
            body = target.encode()
            return answer_of(200, body=body) if is_pipelined else Response(200, content=body)
        asked = {"Retry-After": "1000"}
        if is_pipelined:
            return answer_of(status, "Retry-After: 1000", body=b"wait")
        return Response(status, asked)

    retry = Retry(9, max_wait=2000, budget=None)
    if is_pipelined:
        client = MemorySite(answer).client(retry=retry)
    else:
        mock = MockDispatcher()
        mock.add("GET").by(lambda request, **_: answer(request))
        client = Client(dispatcher=mock, retry=retry)
    source = Counting(urls(40))
    options = {"concurrency": 2, "depth": 4, "window": 20, "ordered": ordered}
    results = client.map(source, errors="return", **options)
    items = []
    while (item := _next_at_once(results)) is not None:
        items.append(item)
    assert sorted(item.response.text for item in items) == ["/0", "/1", "/2"]

    client.close()
    while (item := _next_at_once(results)) is not None:
        items.append(item)

    assert results.progress.done == source.taken == len(items) == 40
    refused = [item for item in items if item.error is not None]
    assert len(refused) == 37
    for item in refused:
        assert type(item.error) is StateError, item
        assert str(item.error) == f"GET {item.given}: the client is closed"


def _next_at_once(results):
    """Return the next of *results*; None if it has to be waited for, or at the end."""
    operation = results.co_next()
    try:
        while next(operation).poll(0):
            pass
    except StopIteration as end:
        return end.value
    operation.close()
    return None


def test_what_is_under_way_is_completed_when_the_client_is_closed():
    site = MemorySite(lambda _: None)
    client = site.client()
    given = [("POST", "http://a.test/0"), *urls(3), ("POST", "http://a.test/9")]
    results = client.map(given, errors="return", concurrency=2, ordered=False)
    assert _next_at_once(results) is None
    begun = site.targets()

    client.close()
    items = []
    while (item := _next_at_once(results)) is not None:
        items.append(item)
    assert all("the client is closed" in str(item.error) for item in items)
    assert len(items) == 5 - len(begun)
    site.release()

    assert sorted(item.response.text for item in results) == sorted(begun) == sorted(site.targets())
    assert 0 < len(begun) < 5
    assert site.open() == 0


# ---- cancelling


@pytest.mark.parametrize("ordered", [True, False])
def test_it_may_be_closed_at_every_wait(ordered):
    """Nothing stays open, whatever was under way."""

    def answer(seen):
        if seen.target == "/5":
            return answer_of(302, "Location: /moved")
        return answer_of(200, "Set-Cookie: a=b", body=seen.target.encode())

    steps = 0
    while True:
        site = MemorySite(answer)
        with site.client() as client:
            given = [
                ("POST", url) if number % 4 == 0 else url for number, url in enumerate(urls(30))
            ]
            results = client.map(given, concurrency=2, depth=4, window=8, ordered=ordered)
            is_over = _after(results, steps)
            results.close()
            assert all(one.busy == one.waiting == 0 for one in client.stats().values())
            assert list(results) == []
        assert site.open() == 0
        if is_over:
            break
        steps += 1
    assert steps > 5


def _after(results, steps):
    """Take so many results and waits of *results*; return True if all is done before."""
    while True:
        operation = results.co_next()
        try:
            while steps > 0:
                steps -= 1
                next(operation)
            operation.close()
            return False
        except StopIteration as end:
            if end.value is None:
                return True


def test_an_operation_that_is_given_up_loses_nothing():
    site = MemorySite()
    with site.client() as client:
        results = client.map(urls(50), concurrency=2, depth=4, window=8)
        got = []
        for number in range(10_000):
            operation = results.co_next()
            try:
                next(operation)
                if number % 3:
                    operation.close()
                    continue
                got.append(run(operation))
            except StopIteration as end:
                got.append(end.value)
            if got[-1] is None:
                break
    assert [item.index for item in got[:-1]] == list(range(50))


def test_progress():
    seen = []
    site = MemorySite(breaking)
    with site.client() as client:
        requests = [
            client.build_request("PUT", f"http://a.test/{number}", content=b"abc")
            for number in range(10)
        ]
        results = client.map(requests, errors="return", on_progress=seen.append)
        assert len(list(results)) == 10
    assert [progress.done for progress in seen] == list(range(1, 11))
    assert seen[-1] == results.progress
    assert (seen[-1].taken, seen[-1].failed, seen[-1].sent, seen[-1].received) == (10, 1, 30, 18)


def test_progress_that_raises_ends_all():
    def on_progress(progress):
        if progress.done == 5:
            raise KeyError("x")

    site = MemorySite()
    with site.client() as client:
        results = client.map(urls(20), on_progress=on_progress)
        with pytest.raises(KeyError):
            list(results)
        assert list(results) == []
        assert all(one.busy == 0 for one in client.stats().values())


def test_closing_it_from_within():
    site = MemorySite()
    with site.client() as client:
        results = client.map(urls(20), on_progress=lambda _: results.close())
        assert list(results) == []
        assert all(one.busy == 0 for one in client.stats().values())


def test_json_is_json():
    site = MemorySite(lambda seen: answer_of(200, body=json.dumps(seen.target).encode()))
    with site.client() as client:
        assert [item.response.json() for item in client.map(urls(3))] == ["/0", "/1", "/2"]


# ---- operations of several requests


def work(client, *targets, fail=None):
    """Return a `Work` that asks for *targets* one after the other, and returns their texts."""

    def co_run(co_send):
        found = []
        for target in targets:
            response = yield from co_send(client.build_request("GET", f"http://a.test/{target}"))
            found.append(response.text)
        if fail is not None:
            raise fail
        return found

    return Work(Origin("http", "a.test"), co_run)


@pytest.mark.parametrize("ordered", [True, False])
def test_operations_of_several_requests_run_side_by_side(ordered):
    site = MemorySite()
    with site.client() as client:
        works = (work(client, number, f"{number}/again") for number in range(100))

        items = list(client.map(works, ordered=ordered, concurrency=2, window=20))

        assert sorted(item.index for item in items) == list(range(100))
        for item in items:
            assert item.response == [f"/{item.index}", f"/{item.index}/again"]
        assert len(site.streams) == 2, "their requests are pipelined"


def test_the_error_of_an_operation_is_its_result():
    with MemorySite().client() as client:
        works = [work(client, 1), work(client, 2, fail=ValueError("mine")), "http://a.test/3"]

        items = list(client.map(works, errors="return"))
        results = client.map(works)

        assert [item.error is None for item in items] == [True, False, True]
        assert items[2].response.text == "/3"
        assert next(results).response == ["/1"]
        with pytest.raises(ValueError, match="mine"):
            next(results)


def test_a_streamed_response_of_an_operation_is_left_to_it():
    body = b"x" * 300_000
    site = MemorySite(lambda seen: answer_of(200, body=body))
    with site.client() as client:

        def co_run(co_send):
            count = 0
            request = client.build_request("GET", "http://a.test/")
            response = yield from co_send(request, stream=True)
            assert not response.is_closed
            for reading in response.co_iter_bytes():
                data = yield from reading
                count += len(data or b"")
            return count

        works = [Work(Origin("http", "a.test"), co_run)] * 30

        assert [item.response for item in client.map(works, concurrency=3)] == [300_000] * 30
        assert len(site.streams) <= 30


def test_operations_that_are_given_up_are_closed():
    closed = []
    site = MemorySite(lambda seen: None)
    with site.client() as client:

        def co_run(co_send):
            try:
                yield from co_send(client.build_request("GET", "http://a.test/"))
            finally:
                closed.append(1)

        with client.map([Work(Origin("http", "a.test"), co_run)] * 5) as results:
            going = results.co_next()
            for _ in range(3):
                next(going)
            going.close()

    assert len(closed) == 5
