"""Conversations with proxies as scripts: what has to be sent, and what is answered, without I/O."""

from dugong_like import ConnectionClosed
from dugong_like.transport.buffer import ReceiveBuffer

END = object()  # in place of an answer: the proxy closes the connection
LOST = ConnectionClosed("connection lost: reset", request_sent="maybe")  # or resets it


def whole(data):
    return [data] if data else []


def by_bytes(data):
    return [data[at : at + 1] for at in range(len(data))]


def cut_at(place):
    """Return a way to cut answers in two."""
    return lambda data: [piece for piece in (data[:place], data[place:]) if piece]


def every_cut(longest):
    """Return ways to cut answers of up to *longest* bytes: at each byte, and at all of them."""
    return [whole, by_bytes, *(cut_at(place) for place in range(1, longest))]


def play(conversation, *connections, cut=whole):
    """Carry *conversation* as `co_converse` does.

    Each connection is a list of pairs: what has to be sent, which may be a function that
    looks at it, and what is answered. Return whether it opened; assert that it has said
    all that it had to.
    """
    over = False
    for number, script in enumerate(connections, 1):
        buffer = ReceiveBuffer(1 << 18)
        over = False
        for expected, answer in script:
            assert not over, "it was over before the script"
            sent, conversation.to_send = conversation.to_send, b""
            if callable(expected):
                expected(sent)
            else:
                assert sent == expected
            if answer is END or isinstance(answer, ConnectionClosed):
                conversation.end_of_stream(*([] if answer is END else [answer]))
                over = True
                continue
            for piece in cut(answer):
                assert not over
                assert not conversation.to_send, "it did not wait for the whole answer"
                buffer.room()[: len(piece)] = piece
                buffer.end += len(piece)
                over = conversation.receive(buffer)
        if conversation.opened:
            assert over
            assert buffer.begin == buffer.end
            assert number == len(connections)
            return True
        assert over or number == len(connections)
    return False
