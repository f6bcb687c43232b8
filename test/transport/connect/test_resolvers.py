"""Resolvers of the caller's: plain functions, operations, and the cache."""

import os
import socket
import sys
import threading
import time

import pytest
from kit.cases import each_case
from kit.support import in_child
from kit.ways import WAYS

from dugong_like import (
    CachingResolver,
    ConnectionTimedOut,
    DNSUnavailable,
    HostnameNotResolvable,
    HTTPConnection,
    InvalidOption,
    InvalidRequest,
    Wake,
    run,
)
from dugong_like.transport.connect import resolvers
from dugong_like.transport.connect.resolvers import co_look_up

FOUR = (socket.AF_INET, ("127.0.0.1", 80))
SIX = (socket.AF_INET6, ("::1", 80, 0, 0))
pytestmark = pytest.mark.usefixtures("nothing_is_left_open")


def plain(host, port):
    return [FOUR]


def co_plain(host, port):
    with Wake() as wake:
        wake.set()
        yield from wake.co_wait()
    return [FOUR]


def calling(host, port):
    """No generator function, but it returns a generator."""
    return co_plain(host, port)


class WithCall:
    def __call__(self, host, port):
        yield from ()
        return [FOUR]

    def method(self, host, port):
        yield from ()
        return (FOUR,)


@pytest.mark.parametrize(
    "resolver",
    [plain, co_plain, WithCall(), WithCall().method, calling],
)
def test_each_kind_of_resolver(resolver):
    assert list(run(co_look_up("x.test", 80, resolver))) == [FOUR]


def test_what_it_is_asked_for():
    asked = []
    run(co_look_up("X.test", 8080, lambda *question: asked.append(question) or [FOUR]))

    assert asked == [("X.test", 8080)]


def test_addresses_are_not_asked_for():
    def nobody(host, port):
        raise AssertionError

    assert run(co_look_up("127.0.0.1", 80, nobody)) == [FOUR]
    with pytest.raises(HostnameNotResolvable):
        run(co_look_up("127.0.0.1", 80, nobody, socket.AF_INET6))


def test_function_that_blocks_does_not_block_the_operation():
    release = threading.Event()
    threads = []

    def slow(host, port):
        threads.append(threading.current_thread())
        release.wait(10)
        return [FOUR]

    operation = co_look_up("x.test", 80, slow)
    need = next(operation)
    assert not need.poll(0)
    assert next(operation) == need
    release.set()
    assert need.poll(30)
    with pytest.raises(StopIteration) as end:
        next(operation)
    assert end.value.value == [FOUR]
    assert threads[0] is not threading.main_thread()
    release.clear()
    operation = co_look_up("x.test", 80, slow)
    next(operation)
    operation.close()
    release.set()


def test_family_is_chosen():
    both = lambda host, port: [SIX, FOUR]  # noqa: E731

    assert run(co_look_up("x.test", 80, both)) == [SIX, FOUR]
    assert run(co_look_up("x.test", 80, both, socket.AF_INET)) == [FOUR]
    with pytest.raises(HostnameNotResolvable, match="no address of this family, of 1, for x.test"):
        run(co_look_up("x.test", 80, plain, socket.AF_INET6))
    with pytest.raises(HostnameNotResolvable, match="has no address for x.test"):
        run(co_look_up("x.test", 80, lambda host, port: []))


def raising(exc):
    def resolver(host, port):
        raise exc

    return resolver


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no such name"), HostnameNotResolvable),
        (socket.gaierror(socket.EAI_AGAIN, "later"), DNSUnavailable),
        (ConnectionRefusedError(111, "refused"), DNSUnavailable),
        (OSError("no answer"), DNSUnavailable),
        (HostnameNotResolvable("my own words"), HostnameNotResolvable),
        (InvalidRequest("my own words"), InvalidRequest),
        (KeyError("x.test"), KeyError),
        (StopIteration(5), RuntimeError),
    ],
)
def test_errors_of_a_resolver(error, expected):
    with pytest.raises(expected) as failure:
        run(co_look_up("x.test", 80, raising(error)))
    if isinstance(error, OSError) and not isinstance(error, HostnameNotResolvable):
        assert "the resolver has no answer for x.test: " in str(failure.value)
        assert failure.value.__cause__ is error


@pytest.mark.parametrize(
    "answer", [None, "127.0.0.1", ["127.0.0.1"], [("127.0.0.1", 80)], [(2, "127.0.0.1")], 5]
)
def test_answers_that_are_none(answer):
    with pytest.raises(TypeError, match="a resolver returns a list|an address is a pair"):
        run(co_look_up("x.test", 80, lambda host, port: answer))


# ---- the cache


class Counting:
    """A resolver that notes its questions, and waits for `released` before it answers."""

    def __init__(self, *answers):
        self.asked = []
        self.answers = list(answers) or [[FOUR]]
        self.released = Wake()
        self.released.set()

    def __call__(self, host, port):
        self.asked.append((host, port))
        while not self.released.is_set():  # a descriptor for each who waits
            with Wake() as wake:
                yield from wake.co_wait(time.monotonic() + 0.01)
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def counting():
    made = []

    def make(*answers):
        made.append(Counting(*answers))
        return made[-1]

    yield make
    for one in made:
        one.released.close()


@pytest.mark.feature("A44")
def test_answers_are_remembered_for_a_while(counting, monkeypatch):
    now = [100.0]
    source = counting()
    cache = CachingResolver(source, max_age=10)
    monkeypatch.setattr(resolvers.time, "monotonic", lambda: now[0])
    for _ in range(3):
        assert run(cache("x.test", 80)) == [FOUR]
    run(cache("X.TEST", 80))
    assert source.asked == [("x.test", 80)]
    run(cache("x.test", 81))
    run(cache("y.test", 80))
    assert len(source.asked) == 3
    now[0] += 9.9
    run(cache("x.test", 80))
    assert len(source.asked) == 3
    now[0] += 0.2
    run(cache("x.test", 80))
    assert len(source.asked) == 4
    cache.clear()
    assert len(cache) == 0
    run(cache("x.test", 80))
    assert len(source.asked) == 5


@pytest.mark.feature("A44")
def test_cache_is_bounded_and_forgets_who_was_asked_for_longest_ago(counting):
    source = counting()
    cache = CachingResolver(source, max_entries=2)
    for host in ("a", "b", "a", "c"):
        run(cache(f"{host}.test", 80))
    assert len(cache) == 2
    run(cache("a.test", 80))
    assert [host for host, _ in source.asked] == ["a.test", "b.test", "c.test"]
    run(cache("b.test", 80))
    assert len(source.asked) == 4


def test_no_is_not_remembered(counting):
    source = counting(socket.gaierror(socket.EAI_NONAME, "no"), [FOUR])
    cache = CachingResolver(source)
    with pytest.raises(HostnameNotResolvable):
        run(cache("x.test", 80))
    assert run(cache("x.test", 80)) == [FOUR]


@pytest.mark.parametrize("max_age", [60, 0])
def test_one_question_for_all_who_ask_at_the_same_time(counting, max_age):
    source = counting()
    cache = CachingResolver(source, max_age=max_age)
    source.released.clear()
    operations = [cache("x.test", 80) for _ in range(5)]
    needs = [next(operation) for operation in operations]
    assert len({need.fd for need in needs[1:]}) == 4  # a descriptor for each
    assert [next(operation) for operation in operations[1:]] == needs[1:]
    source.released.set()
    for operation in operations:
        assert run(operation) == [FOUR]
    assert len(source.asked) == 1


def test_error_is_for_all_who_have_asked(counting):
    source = counting(socket.gaierror(socket.EAI_AGAIN, "later"))
    cache = CachingResolver(source)
    source.released.clear()
    operations = [cache("x.test", 80) for _ in range(3)]
    for operation in operations:
        next(operation)
    source.released.set()
    for operation in operations:
        with pytest.raises(DNSUnavailable):
            run(operation)
    assert len(source.asked) == 1


@pytest.mark.parametrize("end", ["closed", "limit"])
def test_who_waits_asks_if_who_has_asked_gives_up(counting, end):
    """Also at a time limit, which the others have not set."""
    source = counting()
    cache = CachingResolver(source)
    source.released.clear()
    first, second, third = (cache("x.test", 80) for _ in range(3))
    needs = [next(operation) for operation in (first, second, third)]
    third.close()
    assert not needs[1].poll(0)
    if end == "closed":
        first.close()
    else:
        with pytest.raises(ConnectionTimedOut, match="^mine$"):
            first.throw(ConnectionTimedOut("mine", phase="dns"))
    assert needs[1].poll(30)
    next(second)
    assert len(source.asked) == 2
    source.released.set()
    assert run(second) == [FOUR]


def test_threads(counting):
    source = counting()
    cache = CachingResolver(source, max_entries=3)
    problems = []

    def work(number):
        try:
            for turn in range(300):
                assert run(cache(f"{(number + turn) % 7}.test", 80)) == [FOUR]
        except BaseException as exc:
            problems.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert len(cache) == 3


def test_answer_that_comes_between_two_looks(counting):
    """Whoever is late to wait finds that it is over."""
    question = resolvers._Question()
    question.end()
    assert list(question.co_wait()) == []


def test_system_is_asked_by_default(monkeypatch):
    asked = []

    def answer(host, port, **options):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    cache = CachingResolver()
    for _ in range(2):
        assert run(cache("x.test", 80)) == [FOUR]
    assert asked == ["x.test"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_entries": 0}, "max_entries cannot be 0"),
        ({"max_age": -1}, "-1 seconds for max_age"),
        ({"max_age": float("nan")}, "nan seconds for max_age"),
        ({"max_age": 10**400}, "max_age cannot be int: it is too large"),
    ],
)
def test_limits_that_make_no_sense(options, reason):
    with pytest.raises(InvalidOption, match=reason):
        CachingResolver(**options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_entries": "x"}, "max_entries is an int, not 'x'"),
        ({"max_age": "x"}, "max_age is a number of seconds, not 'x'"),
        ({"max_age": None}, "max_age is a number of seconds, not None"),
        ({"resolver": "x"}, "resolver is a function, not 'x'"),
        ({"resolver": CachingResolver}, r"resolver is a class, where a CachingResolver\(…\)"),
    ],
)
def test_arguments_of_a_wrong_type(options, reason):
    with pytest.raises(TypeError, match=reason):
        CachingResolver(**options)


NONSENSE = [
    ((2, ("127.0.0.1", 99999)), InvalidOption, "port cannot be 99999: it is from 1 to 65535"),
    ((2, ("127.0.0.1", 0)), InvalidOption, "port cannot be 0"),
    ((2, ("127.0.0.1", -1)), InvalidOption, "port cannot be -1"),
    ((2, ("127.0.0.1", "80")), TypeError, "port is an int, not '80'"),
    ((2, ("127.0.0.1", None)), TypeError, "port is an int, not None"),
    ((2, ("127.0.0.1",)), InvalidOption, "neither AF_INET with"),
    ((2, ("127.0.0.1", 80, 0, 0)), InvalidOption, "neither AF_INET with"),
    ((99, ("127.0.0.1", 80)), InvalidOption, "neither AF_INET with"),
    (("AF_INET", ("127.0.0.1", 80)), InvalidOption, "neither AF_INET with"),
    (([2], ("127.0.0.1", 80)), InvalidOption, "neither AF_INET with"),
    ((2, ("localhost", 80)), InvalidOption, "no IP address of its family"),
    ((2, ("::1", 80)), InvalidOption, "no IP address of its family"),
    ((10, ("127.0.0.1", 80)), InvalidOption, "no IP address of its family"),
    ((2, (b"127.0.0.1", 80)), InvalidOption, "no IP address of its family"),
    ((2, ("", 80)), InvalidOption, "no IP address of its family"),
    ((10, ("::1", 80, -1, 0)), InvalidOption, "flow cannot be -1"),
    ((10, ("::1", 80, 0, 2**32)), InvalidOption, "scope cannot be 4294967296"),
    ((2, ["127.0.0.1", 80]), TypeError, "an address is a pair"),
]


@pytest.mark.skipif(socket.AF_INET6 != 10, reason="the number of another system")
@each_case("way", WAYS)
@each_case(("address", "error", "reason"), NONSENSE)
def test_answer_that_makes_no_sense_is_named(way, address, error, reason):
    for kind in (lambda: lambda *_: [address], lambda: CachingResolver(lambda *_: [address])):
        conn = HTTPConnection("x.test", resolver=kind(), timeout=30)
        with pytest.raises(error, match=reason) as failure:
            way(conn.co_connect())
        assert "the resolver's answer for x.test has " in str(failure.value)
        assert repr(address)[:60] in str(failure.value)


def test_numbers_of_families_do_as_well():
    """A trace has their names."""
    family = int(socket.AF_INET)
    [(known, place)] = run(co_look_up("x.test", 80, lambda *_: [(family, ("127.0.0.1", 80))]))
    assert (known.name, place) == ("AF_INET", ("127.0.0.1", 80))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="warns about threads")
def test_child_process_does_not_wait_for_questions_of_its_parent(counting):
    source = counting()
    cache = CachingResolver(source)
    source.released.clear()
    asking = cache("x.test", 80)
    next(asking)

    def ask():
        source.released.set()
        return run(cache("x.test", 80)) == [FOUR]

    with resolvers._lock:
        assert in_child(ask) == 1
    asking.close()
