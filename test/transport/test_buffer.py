"""The receive buffer: bytes in at the end, bytes out at the beginning."""

from dugong_like.transport.buffer import BUFFER_SIZE, ReceiveBuffer


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
