"""A server of WebSockets over HTTP/2 (RFC 8441): the libraries h2 and websockets, without a loop.

Not here: the HTTP/2 below (kit/h2_server.py).
"""

import h2.events
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.headers import build_extension, parse_extension
from websockets.protocol import Protocol, Side

from kit import h2_frames
from kit.echo import echo
from kit.h2_server import Peer, plain_app
from kit.support import ScriptedServer


class WebSocketPeer(Peer):
    """A `Peer` that opens a WebSocket for an extended CONNECT, which sends messages back.

    Paths: ``/refused`` is answered by 403 with a body, ``/refused/N`` with one of N bytes,
    ``/greeting`` begins with a message, behind the head of ``/last`` comes GOAWAY, ``/reset``
    resets the stream at the first message, ``/silent`` answers none, and ``/deaf`` no ping either.

    Args:
        app: see `Peer`, for other requests.
        deflate: False to refuse compression.
        answers: called with the fields of an opening; returns an `Answer` in place of a WebSocket,
            or None.
        settings: see `Peer`.

    Attributes:
        openings: the requests.
        resets: error codes of the streams that the client has reset.
        ended: streams that the client has ended.

    """

    def __init__(self, app=plain_app, *, deflate=True, answers=None, **settings):
        settings.setdefault("enable_connect_protocol", 1)
        super().__init__(app, **settings)
        self._deflate = deflate
        self._answers = answers or (lambda fields: None)
        self._open = {}  # protocol of each WebSocket
        self._texts = {}  # a message in fragments
        self._waiting = {}  # bytes that the windows do not allow yet
        self._goaway = b""  # h2 would take nothing more after one of its own
        self.openings = []
        self.resets = []
        self.ended = []

    def take(self, wire):
        """See `Peer.take`."""
        back = super().take(wire) + self._goaway
        self._goaway = b""
        return back

    def _follow(self, event):
        stream = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.RequestReceived):
            fields = dict(event.headers)
            if fields.get(":protocol") == "websocket":
                self._begin(stream, fields)
                return
        if isinstance(event, h2.events.StreamReset):
            self.resets.append(event.error_code)
            self._open.pop(stream, None)
            self._waiting.pop(stream, None)
        if isinstance(event, h2.events.StreamEnded) and stream in self._open:
            self.ended.append(stream)
        if isinstance(event, h2.events.DataReceived) and stream in self._open:
            gone = stream in self._gone  # by a reset that has come together with this
            if size := event.flow_controlled_length:
                self.connection.increment_flow_control_window(size)
                if not gone and event.stream_ended is None:
                    self.connection.increment_flow_control_window(size, stream)
            # Unless this side has ended it.
            if stream in self._waiting and not gone and not self._is_deaf():
                self._serve(stream, event.data)
            return
        super()._follow(event)

    def _is_deaf(self):
        return self.openings[0][":path"] == "/deaf"

    def _begin(self, stream, fields):
        self.openings.append(fields)
        if stream in self._gone:
            return
        path = fields[":path"]
        send = self.connection.send_headers
        if path.startswith("/refused"):
            body = b"no" if path == "/refused" else b"n" * int(path.rpartition("/")[2])
            send(stream, [(":status", "403"), ("content-length", str(len(body)))], not body)
            if body:
                self._leaving[stream] = [body, [], None]
            return
        if (given := self._answers(fields)) is not None:
            more = bool(given.body) or given.reset is not None
            if given.status:
                send(stream, [(":status", str(given.status)), *given.fields], not more)
            if more:
                self._leaving[stream] = [given.body, [], given.reset]
            return
        answer = [(":status", "200")]
        if offered := fields.get("sec-websocket-protocol"):
            answer.append(("sec-websocket-protocol", offered.split(",")[0]))
        protocol = Protocol(Side.SERVER, max_size=None)
        if self._deflate and "sec-websocket-extensions" in fields:
            factory = ServerPerMessageDeflateFactory()
            (name, parameters), *_ = parse_extension(fields["sec-websocket-extensions"])
            agreed, extension = factory.process_request_params(parameters, [])
            answer.append(("sec-websocket-extensions", build_extension([(name, agreed)])))
            protocol.extensions = [extension]
        send(stream, answer)
        self._open[stream] = protocol
        self._waiting[stream] = b""
        if path == "/last":
            self._goaway = h2_frames.goaway(stream)
        if path == "/greeting":
            protocol.send_text(b"welcome")
            self._collect(stream, protocol)

    def _serve(self, stream, data):
        path = self.openings[0][":path"]
        if path == "/reset":
            self.connection.reset_stream(stream, 8)
            del self._open[stream], self._waiting[stream]
            return
        protocol = self._open[stream]
        protocol.receive_data(data)
        for frame in protocol.events_received():
            if frame.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT} and path != "/silent":
                self._echo(stream, protocol, frame)
        self._collect(stream, protocol)

    def _echo(self, stream, protocol, frame):
        kind, parts = self._texts.pop(stream, (frame.opcode, b""))
        parts += frame.data
        if not frame.fin:
            self._texts[stream] = kind, parts
        elif kind is Opcode.TEXT:
            protocol.send_text(parts)
        else:
            protocol.send_binary(parts)

    def _collect(self, stream, protocol):
        self._waiting[stream] += b"".join(protocol.data_to_send())

    def _send_bodies(self):
        super()._send_bodies()
        for stream, data in [*self._waiting.items()]:
            while data:
                room = self.connection.local_flow_control_window(stream)
                size = min(room, self.frame, self.connection.max_outbound_frame_size, len(data))
                if size <= 0:
                    break
                self.connection.send_data(stream, data[:size])
                data = data[size:]
            self._waiting[stream] = data
            if not data and self._open[stream].close_expected():
                self.connection.end_stream(stream)
                del self._waiting[stream]


def websocket_h2_server(tls=None, **options):
    """Return a `ScriptedServer` of which each connection is a `WebSocketPeer`, in ``peers``."""
    peers = []

    def serve(sock):
        peer = WebSocketPeer(**options)
        peers.append(peer)
        sock.sendall(peer.take(b""))
        while wire := sock.recv(65536):
            sock.sendall(peer.take(wire))

    server = ScriptedServer(serve, tls)
    server.peers = peers
    return server


def server_of_both(tls, **options):
    """Return a server of WebSockets over either version, as a client chooses (ALPN).

    Args:
        tls: a context for servers, which is changed.
        options: see `WebSocketPeer`.

    Its attributes: ``peers`` of HTTP/2, and ``others``, how many connections spoke HTTP/1.1.

    """
    tls.set_alpn_protocols(["h2", "http/1.1"])
    server = websocket_h2_server(tls, **options)
    server.others = 0
    over_http_2 = server._handler

    def serve(sock):
        if sock.selected_alpn_protocol() == "h2":
            over_http_2(sock)
        else:
            server.others += 1
            echo(sock)

    server._handler = serve
    return server
