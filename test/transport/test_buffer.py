"""The receive buffer: bytes in at the end, bytes out at the beginning."""

from dugong_like.transport.buffer import BUFFER_SIZE, ReceiveBuffer


class Source:
    """Gives what it was given, then blocks."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)

    def recv_into(self, room):
        if not self.pieces:
            return None
        piece = self.pieces.pop(0)
        room[: len(piece)] = piece
        return len(piece)


def put(buffer, data):
    room = buffer.room()
    count = min(len(room), len(data))
    room[:count] = data[:count]
    buffer.end += count
    return count


def test_bytes_come_out_in_the_order_they_went_in():
    buffer = ReceiveBuffer(8)
    wanted = bytes(range(200))
    got = b""
    at = 0
    while len(got) < 200:
        at += put(buffer, wanted[at : at + 5])
        got += buffer.take(3)
    assert got == wanted
    assert buffer.take(5) == b""


def test_empty_buffer_has_all_its_room():
    buffer = ReceiveBuffer(8)
    put(buffer, b"12345678")
    assert buffer.take(100) == b"12345678"
    assert len(buffer.room()) == 8
    assert len(ReceiveBuffer().room()) == BUFFER_SIZE


def test_full_buffer_moves_and_then_grows():
    buffer = ReceiveBuffer(8)
    put(buffer, b"12345678")
    buffer.take(3)
    assert len(buffer.room()) == 3
    put(buffer, b"abc")
    assert len(buffer.room()) == 8
    assert len(buffer.data) == 16
    assert buffer.take(100) == b"45678abc"


def test_bytes_are_taken_into_memory_of_the_caller():
    buffer = ReceiveBuffer(8)
    put(buffer, b"12345")
    target = bytearray(3)

    assert buffer.take_into(memoryview(target)) == 3
    assert target == b"123"
    assert buffer.take_into(memoryview(target)) == 2
    assert target == b"453"
    assert buffer.take_into(memoryview(target)) == 0


def test_what_arrives_is_counted_and_memory_is_borrowed_only_while_it_is_needed():
    buffer = ReceiveBuffer(8)
    source = Source(b"abc", b"", b"de")
    assert len(buffer.data) == 0
    assert [buffer.fill(source) for _ in range(4)] == [3, 0, 2, None]
    assert (buffer.received, len(buffer.data)) == (5, 8)
    assert buffer.take(9) == b"abcde"
    assert buffer.fill(source) is None
    assert len(buffer.data) == 0


def test_memory_is_used_again_by_others():
    one, other = ReceiveBuffer(9), ReceiveBuffer(9)
    put(one, b"123")
    memory = one.data
    assert one.take(3) == b"123"
    one.give_back()
    put(other, b"x")
    assert other.data is memory
    put(one, b"y")
    assert one.data is not memory
    assert (one.take(2), other.take(2)) == (b"y", b"x")


def test_memory_that_has_grown_is_not_kept():
    buffer = ReceiveBuffer(7)
    put(buffer, b"1234567")
    put(buffer, b"8")
    grown = buffer.data
    assert buffer.take(8) == b"12345678"
    buffer.give_back()
    put(buffer, b"9")
    assert len(buffer.data) == 7
    assert buffer.data is not grown


def test_cleared_buffer_has_no_bytes_and_no_memory():
    buffer = ReceiveBuffer(6)
    put(buffer, b"123")
    memory = buffer.data
    buffer.clear()
    assert (buffer.begin, buffer.end, len(buffer.data)) == (0, 0, 0)
    another = ReceiveBuffer(6)
    put(another, b"9")
    assert another.data is not memory
