"""What does HTTP/2 cost without a network: a small GET, a download and an upload?

The engine of this library, and the h2 library as a client, get the bytes of the same server (h2),
which were made before. So only the client's side is measured: encoding the head, reading frames,
decoding the head, flow control.

Run: ``python3 -m contrib.bench.http2_engine [--count N] [--rounds N]``. Prints the median of the
rounds and the spread, in microseconds for a GET and in megabytes a second for the others; a
difference below the spread is noise.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import h2.config
import h2.connection
import h2.events

from dugong_like.http.h2.engine import Engine
from dugong_like.http.h2.options import H2Options

COUNT: Final = 2000  # of GET requests in a round
ROUNDS: Final = 5
SIZE: Final = 2**24  # bytes of a download and of an upload
FRAME: Final = 16384  # bytes of a DATA frame
BUFFER: Final = 65536  # bytes that arrive at once
HEAD: Final = (
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"example.org"),
    (b":path", b"/some/path"),
    (b"accept-encoding", b"identity"),
    (b"user-agent", b"bench"),
)
RESPONSE: Final = (
    (b":status", b"200"),
    (b"content-type", b"text/plain"),
    (b"content-length", b"1024"),
    (b"server", b"bench"),
)
BODY: Final = bytes(1024)


class Client(NamedTuple):
    """What one library does; each call takes seconds, which it returns."""

    get: Callable[[list[bytes]], float]
    download: Callable[[bytes], float]
    upload: Callable[[], float]


def new_server() -> h2.connection.H2Connection:
    config = h2.config.H2Configuration(client_side=False, header_encoding=None)
    server = h2.connection.H2Connection(config)
    server.initiate_connection()
    return server


def settings() -> bytes:
    """Return the first bytes of a server, and its acknowledgement."""
    server = new_server()
    ours = Engine(H2Options())
    server.receive_data(b"".join(ours.take_output()))
    return bytes(server.data_to_send())


def responses(count: int) -> list[bytes]:
    """Return the bytes of so many small responses, on streams 1, 3, ..."""
    server = new_server()
    engine = Engine(H2Options(max_streams=count))
    engine.receive(settings())
    wires = []
    server.data_to_send()
    for number in range(count):
        engine.open(HEAD, True)
        server.receive_data(b"".join(engine.take_output()))
        server.data_to_send()
        server.send_headers(2 * number + 1, RESPONSE)
        server.send_data(2 * number + 1, BODY, end_stream=True)
        wires.append(bytes(server.data_to_send()))
        engine.receive(wires[-1])
    return wires


def download_wire() -> bytes:
    """Return a head and `SIZE` bytes in frames, on stream 1, without regard to windows."""
    server = new_server()
    engine = Engine(H2Options())
    engine.open(HEAD, True)
    server.receive_data(b"".join(engine.take_output()))
    server.data_to_send()
    server.send_headers(1, RESPONSE[:2])
    frame = FRAME.to_bytes(3, "big") + bytes([0, 0, 0, 0, 0, 1]) + bytes(FRAME)
    return bytes(server.data_to_send()) + frame * (SIZE // FRAME)


def own_get(wires: list[bytes]) -> float:
    engine = Engine(H2Options())
    engine.receive(settings())
    start = time.perf_counter()
    for wire in wires:
        stream = engine.open(HEAD, True)
        engine.take_output()
        engine.report_sent(engine.output.queued)
        engine.receive(wire)
        body = stream.take_all()
        engine.consumed(stream, len(body))
        assert stream.ended
        assert len(body) == len(BODY)
    return time.perf_counter() - start


def own_download(wire: bytes) -> float:
    engine = Engine(H2Options())
    engine.receive(settings())
    stream = engine.open(HEAD, True)
    view = memoryview(wire)
    received = 0
    start = time.perf_counter()
    for at in range(0, len(wire), BUFFER):
        engine.receive(view[at : at + BUFFER])
        body = stream.take_all()
        engine.consumed(stream, len(body))
        received += len(body)
        engine.take_output()
    taken = time.perf_counter() - start
    assert received == SIZE
    return taken


def own_upload() -> float:
    engine = Engine(H2Options())
    engine.receive(settings())
    stream = engine.open(HEAD, False)
    body = memoryview(bytes(BUFFER))
    updates = window_update(0) + window_update(1)
    start = time.perf_counter()
    for _ in range(0, SIZE, BUFFER):
        engine.receive(updates)
        accepted = engine.send_data(stream, body, False)
        assert accepted == BUFFER
        engine.take_output()
        engine.report_sent(engine.output.queued)
    return time.perf_counter() - start


def window_update(stream_id: int) -> bytes:
    payload = BUFFER.to_bytes(4, "big")
    return b"\0\0\4\x08\0" + stream_id.to_bytes(4, "big") + payload


def new_h2() -> h2.connection.H2Connection:
    config = h2.config.H2Configuration(client_side=True, header_encoding=None)
    client = h2.connection.H2Connection(config)
    client.initiate_connection()
    client.increment_flow_control_window(2**30)
    client.receive_data(settings())
    client.data_to_send()
    return client


def h2_get(wires: list[bytes]) -> float:
    client = new_h2()
    start = time.perf_counter()
    for number, wire in enumerate(wires):
        client.send_headers(2 * number + 1, HEAD, end_stream=True)
        client.data_to_send()
        body = b""
        for event in client.receive_data(wire):
            if isinstance(event, h2.events.DataReceived):
                body += event.data
                client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        assert len(body) == len(BODY)
    return time.perf_counter() - start


def h2_download(wire: bytes) -> float:
    client = new_h2()
    client.send_headers(1, HEAD, end_stream=True)
    client.increment_flow_control_window(2**30, 1)
    received = 0
    start = time.perf_counter()
    for at in range(0, len(wire), BUFFER):
        for event in client.receive_data(wire[at : at + BUFFER]):
            if isinstance(event, h2.events.DataReceived):
                received += len(event.data)
                client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        client.data_to_send()
    taken = time.perf_counter() - start
    assert received == SIZE
    return taken


def h2_upload() -> float:
    client = new_h2()
    client.send_headers(1, HEAD)
    body = bytes(BUFFER)
    updates = window_update(0) + window_update(1)
    start = time.perf_counter()
    for _ in range(0, SIZE, BUFFER):
        client.receive_data(updates)
        for at in range(0, BUFFER, FRAME):
            client.send_data(1, body[at : at + FRAME])
        client.data_to_send()
    return time.perf_counter() - start


CLIENTS: Final = {
    "dugong_like": Client(own_get, own_download, own_upload),
    "h2": Client(h2_get, h2_download, h2_upload),
}


def shown(figures: list[float]) -> str:
    middle = statistics.median(figures)
    return f"{middle:,.1f} (spread {(max(figures) - min(figures)) / middle:.0%})"


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=COUNT, help="GET requests in a round")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(arguments)
    wires, wire = responses(options.count), download_wire()
    rounds = range(options.rounds)
    for name, client in CLIENTS.items():
        gets = [client.get(wires) / len(wires) * 1e6 for _ in rounds]
        downloads = [SIZE / client.download(wire) / 1e6 for _ in rounds]
        uploads = [SIZE / client.upload() / 1e6 for _ in rounds]
        print(f"{name}: GET {shown(gets)} µs, download {shown(downloads)} MB/s,", end=" ")
        print(f"upload {shown(uploads)} MB/s")


if __name__ == "__main__":
    main()
