import pytest

from dugong_like import Request
from dugong_like.connection.unsent import UnsentRequests, plain_parts


def gets(count):
    return [Request("GET", f"/{number}") for number in range(count)]


def targets(tickets):
    return [ticket.request.target for ticket in tickets]


def test_requests_are_taken_from_the_iterable_only_when_they_are_drawn():
    taken = []
    coming = (taken.append(request) or request for request in gets(5))
    unsent = UnsentRequests(coming, numbered=False)
    assert taken == []

    assert targets(unsent.draw(2)) == ["/0", "/1"]
    assert len(taken) == 2
    assert targets(unsent.draw(1)) == ["/0", "/1"]
    assert len(taken) == 2
    assert targets(unsent.draw(9)) == ["/0", "/1", "/2", "/3", "/4"]


def test_added_ones_are_behind_those_of_the_iterable():
    unsent = UnsentRequests(gets(2), numbered=True)
    unsent.add(Request("GET", "/added"))

    tickets = unsent.draw(9)

    assert targets(tickets) == ["/0", "/1", "/added"]
    assert [ticket.number for ticket in tickets] == [1, 2, 3]


def test_numbers_say_where_one_belongs_that_is_sent_again():
    unsent = UnsentRequests(gets(5), numbered=True)
    waiting = unsent.draw(4)
    sent = [waiting.popleft() for _ in range(3)]

    unsent.put_back([sent[2], sent[0]])

    assert targets(unsent.draw(9)) == ["/0", "/2", "/3", "/4"]


def test_without_numbers_what_is_sent_again_comes_first():
    unsent = UnsentRequests(gets(3), numbered=False)
    waiting = unsent.draw(3)
    sent = [waiting.popleft() for _ in range(2)]

    unsent.put_back(sent)

    assert targets(unsent.draw(1)) == ["/0", "/1", "/2"]


def failing(count, error):
    yield from gets(count)
    raise error


def test_what_making_them_raises_is_raised_once():
    error = ValueError("no more")
    unsent = UnsentRequests(failing(2, error), numbered=False)
    unsent.check()

    assert targets(unsent.draw(3)) == ["/0", "/1"]
    with pytest.raises(ValueError, match="no more") as caught:
        unsent.check()
    assert caught.value is error
    unsent.check()


def test_those_that_were_made_before_an_error_have_their_numbers():
    unsent = UnsentRequests(failing(3, ValueError()), numbered=True)
    first = unsent.draw(1).popleft()
    unsent.draw(3)

    unsent.put_back([first])

    assert targets(unsent.draw(3)) == ["/0", "/1", "/2"]
    assert [ticket.number for ticket in unsent.draw(3)] == [1, 2, 3]


def test_several_plain_ones_are_taken_together_and_may_be_given_back():
    requests = [*gets(3), Request("POST", "/post"), *gets(2)]
    unsent = UnsentRequests(requests, numbered=False)
    unsent.draw(9)

    tickets, parts = unsent.take_plain(9)

    assert targets(tickets) == ["/0", "/1", "/2"]
    assert parts == [("GET", "/0"), ("GET", "/1"), ("GET", "/2")]
    assert unsent.take_plain(9) == ([], [])  # the next one is not plain
    unsent.take_back(tickets)
    assert targets(unsent.draw(1))[:4] == ["/0", "/1", "/2", "/post"]


def test_one_alone_is_not_taken_together():
    unsent = UnsentRequests(gets(2), numbered=False)
    unsent.draw(2)

    assert unsent.take_plain(1) == ([], [])
    assert len(unsent.take_plain(2)[0]) == 2


@pytest.mark.parametrize(
    "request_",
    [
        Request("POST", "/"),
        Request("PUT", "/", body=b"x"),
        Request("GET", "/", {"Connection": "close"}),
        Request("GET", "/", {"Upgrade": "x"}),
        "no request",
    ],
)
def test_plain_parts_end_at_what_cannot_be_sent_together(request_):
    unsent = UnsentRequests([*gets(2), request_, *gets(1)], numbered=False)

    assert plain_parts(unsent.draw(9), 9) == [("GET", "/0"), ("GET", "/1")]


def test_nothing_is_left_after_clear():
    unsent = UnsentRequests(failing(3, ValueError()), numbered=False)
    unsent.add(Request("GET", "/added"))
    unsent.draw(9)

    unsent.clear()

    unsent.check()
    assert not unsent.draw(9)


def test_error_that_was_given_is_raised():
    unsent = UnsentRequests([], numbered=False)
    unsent.fail(KeyError("interrupted"))

    with pytest.raises(KeyError, match="interrupted"):
        unsent.check()


def test_something_else_than_an_iterable_is_refused():
    with pytest.raises(TypeError, match="requests is an iterable of Request"):
        UnsentRequests(5, numbered=False)
