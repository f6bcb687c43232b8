"""The closing of a client: what waits to be sent later ends, and nothing else is touched."""

import copy
import os
import pickle

import pytest
from kit.memory_site import MemorySite
from kit.sending import Sends, arriving, request_to
from kit.sites import answer_of

from dugong_like import (
    Client,
    ConnectFailed,
    MockDispatcher,
    RequestRate,
    Retry,
    StateError,
)
from dugong_like.client.closing import Closing, closed, co_pause_before
from dugong_like.client.layers.retry import RetryLayer
from dugong_like.polling.wake import Wake

LONG = 10_000  # seconds, which no test waits


def paused(op):
    """Return the pause that *op* comes to."""
    need = next(op)
    while not need.is_pause:
        assert need.poll(0)
        need = next(op)
    assert not need.poll(0)
    return need


def check_ended_by_closing(client, op, method):
    """Check that *op*, which comes to a pause, ends as soon as *client* is closed."""
    need = paused(op)

    client.close()

    assert need.poll(0)
    with pytest.raises(StateError, match=rf"^{method} http://a.test/x: the client is closed"):
        next(op)


def test_it_sets_what_was_added_and_not_what_was_discarded():
    closing, kept, left, late = Closing(), Wake(), Wake(), Wake()
    closing.add(kept)
    closing.add(left)
    closing.discard(left)
    closing.check()

    closing.close()
    closing.close()
    closing.add(late)

    assert (kept.is_set(), left.is_set(), late.is_set()) == (True, False, True)
    with pytest.raises(StateError, match="the client is closed"):
        closing.check()
    for wake in (kept, left, late):
        wake.close()


def test_a_pause_ends_with_an_error_of_its_request():
    request = request_to("http://a.test/x?secret=1")
    request.closing = Closing()
    op = co_pause_before(request, LONG, "test")
    need = paused(op)

    request.closing.close()

    assert need.poll(0)
    with pytest.raises(StateError, match="the client is closed"):
        next(op)
    assert str(closed(request)) == "GET http://a.test/x?secret=[masked]: the client is closed"


def test_there_is_no_pause_after_it():
    request = request_to()
    request.closing = Closing()
    request.closing.close()
    for seconds in (0, LONG):
        with pytest.raises(StateError):
            next(co_pause_before(request, seconds, "test"))


def test_a_request_without_a_client_pauses_as_well():
    op = co_pause_before(request_to(), LONG, "test")
    paused(op)
    op.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_process_leaves_the_waits_of_its_parent_alone():
    closing, wake = Closing(), Wake()
    closing.add(wake)
    child = os.fork()
    if not child:
        closing.close()
        os._exit(0)

    assert os.waitpid(child, 0)[1] == 0
    assert not wake.need().poll(0)
    closing.close()
    assert wake.need().poll(0)
    wake.close()


def test_the_pause_before_a_retry_ends():
    request = request_to()
    request.closing = Closing()
    sends = Sends(ConnectFailed("no"), arriving(200))
    op = RetryLayer(Retry(backoff=LONG, max_wait=LONG))(request, sends)
    paused(op)

    request.closing.close()

    with pytest.raises(StateError):
        next(op)
    assert len(sends.requests) == 1


def test_the_wait_for_a_rate_ends_and_those_behind_it_move_up():
    rate, first, second = RequestRate(1 / LONG), request_to(), request_to()
    first.closing = Closing()
    with pytest.raises(StopIteration):
        next(rate(request_to(), Sends(arriving())))
    op, behind = rate(first, Sends(arriving())), rate(second, Sends(arriving()))
    need, later = next(op), next(behind)

    first.closing.close()

    assert need.poll(0)
    with pytest.raises(StateError):
        next(op)
    moved = next(behind)
    assert moved.deadline < later.deadline - LONG / 2
    behind.close()


def test_a_request_may_be_copied_while_others_pause_and_is_sent_by_a_client_of_any_kind():
    """What it was built by may be closed, then or before: it is not what sends it."""
    client, url = failing(), "http://a.test/x"
    given = client.build_request("GET", url)
    op = client.co_get(url)
    paused(op)
    requests = [given, given.copy(), pickle.loads(pickle.dumps(given)), copy.deepcopy(given)]
    client.close()
    op.close()
    requests += [pickle.loads(pickle.dumps(given))]

    for request in requests:
        other = failing()
        op = other.co_send(request)
        check_ended_by_closing(other, op, "GET")


def failing():
    """Return a client whose server cannot be reached; it tries again much later."""
    mock = MockDispatcher()
    mock.add().by(refuse)
    return Client(dispatcher=mock, retry=Retry(backoff=LONG, max_wait=LONG))


def refuse(request, **_):
    raise ConnectFailed("refused")


def test_requests_and_transfers_end(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100)
    url = "http://a.test/x"
    pauses = {"retries": Retry(backoff=LONG, max_wait=LONG)}
    ways = [
        (lambda client: client.co_get(url), failing),
        (lambda client: client.co_put(url, content=b"x"), failing),
        (lambda client: client.co_download(url, tmp_path / "target"), failing),
        (lambda client: client.co_upload(tmp_path / "file", url), failing),
        (lambda client: client.co_download(url, tmp_path / "other", **pauses), breaking),
    ]
    for begin, make in ways:
        client = make()
        op = begin(client)
        check_ended_by_closing(client, op, "(GET|PUT)")


def breaking():
    """Return a client whose server sends a part of each body only."""
    site = MemorySite(lambda _: (answer_of(200, 'ETag: "a"', body=b"x" * 100_000)[:60_000],))
    return site.client()
