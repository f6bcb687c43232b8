"""Server-sent events: streams of bytes, cut anywhere, and the events that they are.

The rules once more, line by line and slowly, are in `by_the_book`; the tables say what it has to
find.
"""

import random

import pytest
from kit.cases import each_case
from kit.support import examples

from dugong_like import ServerSentEvent, SSEError
from dugong_like.http.sse import MAX_EVENT_SIZE, MAX_RETRY, EventStreamParser


def event(data, kind="message", last_id="", retry=None):
    return ServerSentEvent(kind, data, last_id, retry)


NO_NUMBERS = [
    *(b"", b" ", b" -1", b" 1.5", b" +1", b" 1_0", b"  1", b" 1 ", b" 0x10", b" 1e3"),
    *("²".encode(), "\u0661".encode()),
]
# Streams as they are sent, and their events. Those of browsers' own tests are among them, in words
# of this file.
STREAMS = {
    # lines
    "an event ends with an empty line": (b"data: a\n\ndata: b\n\n", [event("a"), event("b")]),
    "without one there is none": (b"data: a\n\ndata: b\n", [event("a")]),
    "nor in the middle of a line": (b"data: a\n\ndata: b", [event("a")]),
    "nothing at all": (b"", []),
    "only empty lines": (b"\n\n\r\r\n\n\n", []),
    "carriage returns": (b"data: a\rdata: b\r\rdata: c\r\r", [event("a\nb"), event("c")]),
    "both": (b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", [event("a\nb"), event("c")]),
    "all three": (b"data:1\rdata:2\ndata:3\r\ndata:4\n\n", [event("1\n2\n3\n4")]),
    "a mixed empty line": (b"data: a\r\n\ndata: b\n\r\n", [event("a"), event("b")]),
    "LF CR is two ends": (b"data: a\n\rdata: b\n\r", [event("a"), event("b")]),
    "other ends of lines are none": (
        "data: a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n\n".encode(),
        [event("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg")],
    ),
    "empty lines before": (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [event("a"), event("b")]),
    # data
    "one space is left out": (
        b"data:a\n\ndata: a\n\ndata:  a\n\n",
        [event("a"), event("a"), event(" a")],
    ),
    "a tab is not": (b"data:\ta\n\n", [event("\ta")]),
    "space at the end stays": (b"data: a \n\n", [event("a ")]),
    "several lines": (b"data: YHOO\ndata: +2\ndata: 10\n\n", [event("YHOO\n+2\n10")]),
    "empty data": (b"data\n\ndata\ndata\n\ndata:", [event(""), event("\n")]),
    "empty data with a colon": (b"data:\n\ndata: \ndata:\n\n", [event(""), event("\n")]),
    "lines and none": (b"data:msg\ndata: msg\n\n:\nfalsefield:x\n\nfalsefield:x\nData:x\n\n"
                       b"data\n\n:data\ndata:end\n\n",
                       [event("msg\nmsg"), event(""), event("end")]),
    "colons in it": (b"data: a: b:\n\ndata::\n\n", [event("a: b:"), event(":")]),
    "NUL": (b"data:\0\n\n", [event("\0")]),
    "a name is compared as it is": (b"DATA: a\ndata : b\n data: c\ndatas: d\n\n", []),
    "a field that nobody knows": (b"data: a\nfoo: b\nbar\n\n", [event("a")]),
    "a field before it that nobody knows": (b"foo: b\ndata: a\n\n", [event("a")]),
    # comments
    "a comment": (b": hello\n\ndata: a\n\n", [event("a")]),
    "comments everywhere": (
        b"data:1\r:\0\n:\r\ndata:2\n:" + b"x" * 2048 + b"\rdata:3\n:data:fail\r:" + b"x" * 2048
        + b"\ndata:4\n\n",
        [event("1\n2\n3\n4")],
    ),
    "a comment with two colons": (b"::data: a\ndata: b\n\n", [event("b")]),
    "a comment without end": (b"data: a\n\n: and so on", [event("a")]),
    # event
    "a type": (b"event: add\ndata: a\n\ndata: b\n\n", [event("a", "add"), event("b")]),
    "a type behind the data": (b"data: a\nevent: add\n\n", [event("a", "add")]),
    "the last type counts": (b"event: a\nevent: b\ndata: x\n\n", [event("x", "b")]),
    "an empty type": (b"event: a\nevent:\ndata: x\n\nevent: \ndata: y\n\nevent\ndata: z\n\n",
                      [event("x"), event("y"), event("z")]),
    "a type without data is forgotten": (b"event: a\n\ndata: x\n\n", [event("x")]),
    "a type with spaces": (b"event:  a b \ndata: x\n\n", [event("x", " a b ")]),
    # id
    "an ID stays": (
        b"id: 1\ndata: a\n\ndata: b\n\n",
        [event("a", last_id="1"), event("b", last_id="1")],
    ),
    "an ID behind the data": (b"data: a\nid: 1\n\n", [event("a", last_id="1")]),
    "an ID changes": (b"id: 1\ndata: a\n\nid: 2\ndata: b\n\ndata: c\n\n",
                      [event("a", last_id="1"), event("b", last_id="2"), event("c", last_id="2")]),
    "an ID is taken back": (
        b"id: 1\ndata: a\n\nid\ndata: b\n\ndata: c\n\n",
        [event("a", last_id="1"), event("b"), event("c")],
    ),
    "and with a colon": (
        b"id: 1\ndata: a\n\nid:\ndata: b\n\n",
        [event("a", last_id="1"), event("b")],
    ),
    "an ID without data": (b"id: 1\n\ndata: a\n\n", [event("a", last_id="1")]),
    "an ID with NUL is none": (b"id: 1\ndata: a\n\nid: \0\0\ndata: b\n\nid: 2\0\ndata: c\n\n",
                               [event(each, last_id="1") for each in "abc"]),
    "the last ID counts": (b"id: 1\nid: 2\ndata: a\nid: 3\0\n\n", [event("a", last_id="2")]),
    "any characters": ("id: …ä\ndata: a\n\n".encode(), [event("a", last_id="…ä")]),
    "an ID of an event without end is none": (b"id: 1\ndata: a\n\nid: 2\ndata: b\n",
                                              [event("a", last_id="1")]),
    "the example of the standard": (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
        b"data:  third event\n\n",
        [event("first event", last_id="1"), event("second event"), event(" third event")],
    ),
    # retry
    "a pause": (b"retry: 2000\ndata: a\n\ndata: b\n\n", [event("a", retry=2000), event("b")]),
    "a pause that is no number": (
        b"retry: 2000\nretry: 1000x\ndata: a\n\n",
        [event("a", retry=2000)],
    ),
    "pauses that are none": (
        b"".join(b"retry:%s\n" % each for each in NO_NUMBERS) + b"data: a\n\n",
        [event("a")],
    ),
    "a pause of nothing": (b"retry:0\ndata: a\n\n", [event("a", retry=0)]),
    "a pause with zeros before": (
        b"retry: 00000000000000000000010\ndata: a\n\n",
        [event("a", retry=10)],
    ),
    "a pause of ages": (b"retry: " + b"9" * 5000 + b"\ndata: a\n\n", [event("a", retry=MAX_RETRY)]),
    "a pause is of its event": (b"retry: 1\n\ndata: a\n\n", [event("a")]),
    # bytes
    "a byte order mark": ("\ufeffdata: a\n\ndata: b\n\n".encode(), [event("a"), event("b")]),
    "two of them": ("\ufeff\ufeffdata: a\n\ndata: b\n\n".encode(), [event("b")]),
    "one later": (
        "data: a\n\n\ufeffdata: b\n\ndata: \ufeffc\n\n".encode(),
        [event("a"), event("\ufeffc")],
    ),
    "one before a comment": ("\ufeff: a\ndata: b\n\n".encode(), [event("b")]),
    "one that breaks off": (b"\xef\xbbdata: a\n\ndata: b\n\n", [event("b")]),
    "text": ("data: ok…\U0001f600\n\n".encode(), [event("ok…\U0001f600")]),
    "no UTF-8": (b"data: \xff\xe2\x80\n\ndata: \xed\xa0\x80\n\ndata: \xc3\n\n",
                 [event("\ufffd\ufffd"), event("\ufffd" * 3), event("\ufffd")]),
    "no UTF-8 in a name": (b"dat\xe4: a\ndata: b\n\n", [event("b")]),
}  # fmt: skip


def by_the_book(stream, last_id=""):
    """Return the events of a whole stream, by the steps of section 9.2.6, one by one."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]
    events, data, kind, buffer, retry = [], "", "", last_id, None
    for line in lines:
        if not line:
            if data:
                events.append(event(data[:-1], kind or "message", buffer, retry))
            data, kind, retry = "", "", None
            continue
        if line[0] == ":":
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data += value + "\n"
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            buffer = value
        elif name == "retry" and value and set(value) <= set("0123456789"):
            retry = min(int(value[-4000:]), MAX_RETRY)
    return events


def parsed(pieces, **options):
    parser = EventStreamParser(**options)
    return [each for piece in pieces for each in parser.feed(piece)]


def pieces_of(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.feature("E39")
@each_case("name", STREAMS)
def test_events_do_not_depend_on_where_the_network_cuts(name):
    stream, events = STREAMS[name]
    assert by_the_book(stream) == events
    for limit in (MAX_EVENT_SIZE, None):
        assert parsed([stream], max_event_size=limit) == events
        for size in (1, 2, 3, 5, 100):
            assert parsed(pieces_of(stream, size), max_event_size=limit) == events
    if len(stream) < 300:
        for cut in range(len(stream) + 1):
            assert parsed([stream[:cut], b"", stream[cut:]]) == events


@pytest.mark.examples
def test_any_stream_is_parsed_by_the_book():
    chance = random.Random(5)
    words = [b"data: ", b"data:", b"data", b"event: ", b"id: ", b"retry: ", b"x: ", b":", b" "]
    words += [b"a", b"7", b"\0", b"\n", b"\n", b"\r", b"\r\n", b"\n\n"]
    words += [b"\xef\xbb\xbf", b"\xe2\x80", b"\xff"]
    for _ in range(examples(3000)):
        stream = b"".join(chance.choices(words, k=chance.randrange(40)))
        pieces = []
        at = 0
        while at < len(stream):
            size = chance.choice([1, 2, 3, 8, 30])
            pieces.append(stream[at : at + size])
            at += size
        last_id = chance.choice(["", "before"])
        expected = by_the_book(stream, last_id)
        assert parsed(pieces, last_event_id=last_id) == expected, (stream, pieces)
        assert parsed([stream], last_event_id=last_id) == expected, stream


@pytest.mark.examples
def test_the_largest_event_does_not_depend_on_where_the_network_cuts():
    chance = random.Random(6)
    words = [b"data: ", b"id: ", b": ", b"a", b"7", b"\n", b"\n", b"\r", b"\n\n", b"\xff"]
    for _ in range(examples(3000)):
        stream = b"".join(chance.choices(words, k=chance.randrange(60)))
        most = chance.choice([5, 10, 20])
        found = [limited(pieces_of(stream, size), most) for size in (1, 3, 1000)]
        assert found[0] == found[1] == found[2], (stream, most)


def limited(pieces, most):
    parser = EventStreamParser(max_event_size=most)
    events = []
    for piece in pieces:
        if parser.failure is None:
            events += parser.feed(piece)
    return events, parser.failure is None


def test_an_event_is_there_as_soon_as_its_last_byte():
    for end, more in ((b"\n", b""), (b"\r", b"\n"), (b"\r\n", b"")):
        parser = EventStreamParser()
        for number in range(3):
            assert parser.feed(b"data: a" + end) == []
            assert parser.feed(end[:1]) == [event("a")], (end, number)
            assert parser.feed(end[1:] + more) == []


def test_ids_and_pauses_that_come_without_an_event():
    parser = EventStreamParser("before")
    assert parser.last_event_id == "before"
    assert parser.retry is None
    assert parser.feed(b"retry: 10\n") == []
    assert parser.retry == 10  # at once, as it is about the end of the connection
    assert parser.feed(b"id: 7\n") == []
    assert parser.last_event_id == "before"  # the event may still be lost
    assert parser.feed(b"\n") == []
    assert parser.last_event_id == "7"
    assert parser.feed(b"data: x\n\n") == [event("x", last_id="7")]


LARGE = {
    "a line without end": [b"data: " + b"x" * 95],
    "a line": [b"data: " + b"x" * 95 + b"\n"],
    "a whole event": [b"data: " + b"x" * 95 + b"\n\n"],
    "many lines": [b"data: 890\n" * 12],
    "a type": [b"event: " + b"x" * 94 + b"\n"],
    "what nobody knows": [b"x" * 101],
    "many pieces": [b"data: ", *[b"x"] * 95],
    "lines in pieces": [*[b"data: 890\n"] * 12],
    "after comments": [b":" + b"x" * 500 + b"\n", b"data: " + b"x" * 95 + b"\n"],
    "other ends of lines": [b"data: 890\r\n" * 12],
}


@pytest.mark.parametrize("name", LARGE)
def test_an_event_has_so_many_bytes_at_most(name):
    before = b"data: a\n\nid: 1\ndata: b\n\n"
    for pieces in (LARGE[name], [b"".join(LARGE[name])]):
        for first in ([before, *pieces], [before + pieces[0], *pieces[1:]]):
            parser = EventStreamParser(max_event_size=100)
            events = []
            for piece in first:
                if parser.failure is None:
                    events += parser.feed(piece)
            assert events == [event("a"), event("b", last_id="1")]
            assert "more than 100 bytes" in str(parser.failure)
            with pytest.raises(SSEError, match="more than 100 bytes"):
                parser.feed(b"\n\n")
            assert parser.last_event_id == "1"
    assert parsed([before, *LARGE[name]], max_event_size=None)[:2] == events


SMALL = {
    "just as large": [b"data: " + b"x" * 94 + b"\n\n"] * 3,
    "in pieces": [b"data: ", *[b"x"] * 94, b"\n", b"\n"] * 3,
    "lines": [b"data: 7890\n" * 10, b"\n"] * 3,
    "in one piece": [(b"data: " + b"x" * 94 + b"\n\n") * 50],
    "with long comments": [b":" + b"x" * 500 + b"\n", b"data: " + b"x" * 94 + b"\n",
                           *[b":" + b"x" * 60] * 9, b"\n:\n\n"],
    "a comment in pieces": [*[b": xx", b"yyyyyyyyy"] * 30, b"\ndata: " + b"x" * 94 + b"\n\n"],
    "behind a byte order mark": [b"\xef", b"\xbb\xbf", b": " + b"x" * 300, b"\ndata: x\n\n"],
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_comments_do_not_count(name):
    assert parsed(SMALL[name], max_event_size=100) == by_the_book(b"".join(SMALL[name])) != []
    assert parsed([b"".join(SMALL[name])], max_event_size=100) != []


def test_comments_take_no_memory():
    parser = EventStreamParser(max_event_size=100)
    for _ in range(1000):
        parser.feed(b": " + b"x" * 1000)
    assert sum(map(len, parser._line)) == 1


def test_an_event():
    one = event('{"a": [1]}', "add", "7", 5)
    assert one.json() == {"a": [1]}
    assert one.json(parse_int=str) == {"a": ["1"]}
    assert one.event == one.type == "add"
    assert ServerSentEvent() == event("")
    with pytest.raises(ValueError, match="Expecting value") as caught:
        event("<html>\n" * 100, "odd").json()
    assert "'odd' begins with '<html>" in caught.value.__notes__[0]
    assert len(caught.value.__notes__[0]) < 200
