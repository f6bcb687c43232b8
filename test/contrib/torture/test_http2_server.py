"""The server that the exchanges of `contrib.torture.http2` are made with."""

import asyncio
import random
from unittest import mock

import pytest

h2 = pytest.importorskip("h2", reason="needs h2")

from h2.config import H2Configuration  # noqa: E402
from h2.connection import H2Connection  # noqa: E402
from h2.events import StreamReset  # noqa: E402
from h2.settings import SettingCodes  # noqa: E402

from contrib.torture.http2_server import Connection, Serving  # noqa: E402

HEAD = [(":method", "PUT"), (":scheme", "http"), (":authority", "a"), (":path", "/")]


def test_trailers_that_cross_a_reset_are_no_new_stream():
    client, server = H2Connection(), Connection(H2Configuration(client_side=False))
    client.initiate_connection()
    server.initiate_connection()
    for _ in range(2):
        server.receive_data(client.data_to_send())
        client.receive_data(server.data_to_send())
    for stream in (1, 3, 5):
        client.send_headers(stream, HEAD)
    server.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 2})
    client.receive_data(server.data_to_send())
    server.receive_data(client.data_to_send())  # with the acknowledgement
    server.reset_stream(1)
    assert server.open_inbound_streams == 2

    client.send_headers(1, [("x", "y")], end_stream=True)
    events = server.receive_data(client.data_to_send())
    assert {type(event) for event in events} <= {StreamReset}
    client.end_stream(3)
    events = server.receive_data(client.data_to_send())
    assert {event.stream_id for event in events} == {3}


def test_nothing_is_answered_behind_goaway(capfd):
    client, server = H2Connection(), Serving(random.Random(1))
    server.connection_made(mock.Mock(spec=asyncio.Transport))
    client.initiate_connection()
    client.send_headers(1, HEAD)
    client.send_data(1, b"12345")
    client.close_connection()

    server.data_received(client.data_to_send())  # as one piece, with all that came before
    server.data_received(b"what crosses its end")

    assert capfd.readouterr().err == ""
