"""Servers of HTTP/2: a well-behaved one on the h2 library, and one that sends any bytes.

`Peer` is the well-behaved one without a socket; `h2_server` puts it on a thread. `RawConnection` is
for scripts of a `ScriptedServer` that break the rules; see h2_frames.py for what it may send.
"""

from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from kit import h2_frames
from kit.h2_frames import PREFACE, split_frames
from kit.support import ScriptedServer, pattern, read_exactly


@dataclass
class Request:
    """A request that a `Peer` has received; `fields` are pairs of str, with pseudo-fields."""

    stream: int
    fields: list
    body: bytes = b""
    trailers: list = field(default_factory=list)

    def __getitem__(self, name):
        """Return the value of the first field called *name*, None without one."""
        return next((value for key, value in self.fields if key == name), None)


@dataclass
class Answer:
    """A response; `informational` are lists of fields, each with its ``:status``."""

    status: int = 200  # 0: there is no head, only a reset
    fields: list = field(default_factory=list)
    body: bytes = b""
    trailers: list = field(default_factory=list)
    informational: list = field(default_factory=list)
    reset: int | None = None  # an error code: the stream ends with it, in place of an end


def plain_app(request):
    """Answer by the path: ``/bytes/N``, ``/echo``, ``/status/N``, ``/reset/CODE``; else "hello"."""
    _, first, *rest = (request[":path"] or "/").split("/")
    if first == "bytes":
        body = pattern(int(rest[0]))
        return Answer(fields=[("content-length", str(len(body)))], body=body)
    if first == "echo":
        kept = [(name, value) for name, value in request.fields if name.startswith("x-")]
        return Answer(fields=kept, body=request.body, trailers=request.trailers)
    if first == "status":
        return Answer(status=int(rest[0]))
    if first == "reset":
        return Answer(body=b"part", reset=int(rest[0]))
    return Answer(fields=[("content-length", "5")], body=b"hello")


class Peer:
    """A well-behaved server without I/O.

    Args:
        app: called with a `Request` when it is complete; returns an `Answer`, or None for no
            answer at all.
        settings: by the names of `h2.settings.SettingCodes`, such as ``initial_window_size=1``.
        frame: bytes of body in a DATA frame.

    Attributes:
        connection: the `h2.connection.H2Connection`.
        requests: all that were complete.
        events: all events.

    """

    def __init__(self, app=plain_app, *, frame=16384, **settings):
        config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
        self.connection = h2.connection.H2Connection(config)
        codes = {h2.settings.SettingCodes[key.upper()]: value for key, value in settings.items()}
        # h2 believes its first settings in force at once, so a client that has not got them yet
        # would break them.
        later = {key: codes.pop(key) for key in (1, 4) if key in codes}
        defaults = dict(self.connection.local_settings)
        self.connection.local_settings = h2.settings.Settings(
            client=False, initial_values={**defaults, **codes}
        )
        self.connection.initiate_connection()
        self._changes = [later] if later else []  # of settings
        self._settings_sent = 1
        self.app = app
        self.frame = frame
        self.requests = []
        self.events = []
        self._gone = set()  # streams that the client has reset
        self._left = False  # the client has said GOAWAY: h2 sends nothing any more
        self._coming = {}  # requests that are not complete
        self._leaving = {}  # answers that are not complete: [data, trailers, reset]

    def take(self, wire):
        """Take bytes of the client, and return those for it."""
        events = self.connection.receive_data(wire) if wire else []
        self.events += events
        for event in events:
            if isinstance(event, h2.events.StreamReset):  # before it is answered
                self._coming.pop(event.stream_id, None)
                self._leaving.pop(event.stream_id, None)
                self._gone.add(event.stream_id)
            elif isinstance(event, h2.events.ConnectionTerminated):
                self._left = True
        for event in events:
            self._follow(event)
        if self._left:
            return self.connection.data_to_send()
        if self._changes and not self._settings_sent:
            # One after the other: h2 does not see which of several is acknowledged.
            self.connection.update_settings(self._changes.pop(0))
            self._settings_sent += 1
        self._send_bodies()
        return self.connection.data_to_send()

    def _follow(self, event):
        stream = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.SettingsAcknowledged):
            self._settings_sent -= 1
        if isinstance(event, h2.events.RequestReceived):
            if stream not in self._gone:
                self._coming[stream] = Request(stream, event.headers)
        elif isinstance(event, h2.events.DataReceived):
            # Not `acknowledge_received_data`, which waits for ever once a window became negative.
            if (size := event.flow_controlled_length) and not self._left:
                self.connection.increment_flow_control_window(size)
                if stream not in self._gone and event.stream_ended is None:
                    self.connection.increment_flow_control_window(size, stream)
            if stream in self._coming:
                self._coming[stream].body += event.data
        elif isinstance(event, h2.events.TrailersReceived) and stream in self._coming:
            self._coming[stream].trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded) and stream in self._coming:
            self.answer(self._coming.pop(stream))

    def change(self, codes):
        """Announce other settings, by their codes, when those before are acknowledged."""
        self._changes.append(codes)

    def answer(self, request):
        """Answer *request*, as the app says."""
        self.requests.append(request)
        if (answer := self.app(request)) is None or self._left:
            return
        send = self.connection.send_headers
        for fields in answer.informational:
            send(request.stream, fields)
        body = b"" if request[":method"] == "HEAD" else answer.body
        more = bool(body or answer.trailers or answer.reset is not None)
        if answer.status:
            send(request.stream, [(":status", str(answer.status)), *answer.fields], not more)
        if more:
            self._leaving[request.stream] = [body, answer.trailers, answer.reset]

    def _send_bodies(self):
        """Send what the windows allow, of each answer in turn."""
        sent = True
        while sent:
            sent = False
            for stream in [*self._leaving]:
                body, trailers, reset = self._leaving[stream]
                room = self.connection.local_flow_control_window(stream)
                size = min(room, self.frame, self.connection.max_outbound_frame_size, len(body))
                if body and not size:
                    continue
                sent = True
                end = size == len(body)
                if body:
                    plain_end = end and not trailers and reset is None
                    self.connection.send_data(stream, body[:size], end_stream=plain_end)
                self._leaving[stream][0] = body[size:]
                if end:
                    del self._leaving[stream]
                    if reset is not None:
                        self.connection.reset_stream(stream, reset)
                    elif trailers:
                        self.connection.send_headers(stream, trailers, end_stream=True)


def h2_server(app=plain_app, tls=None, **settings):
    """Return a `ScriptedServer` of which each connection is a `Peer`, in its attribute `peers`."""
    peers = []

    def serve(sock):
        peer = Peer(app, **settings)
        peers.append(peer)
        sock.sendall(peer.take(b""))
        while wire := sock.recv(65536):
            try:
                back = peer.take(wire)
            except h2.exceptions.ProtocolError:
                sock.sendall(peer.connection.data_to_send())
                raise
            sock.sendall(back)

    server = ScriptedServer(serve, tls)
    server.peers = peers
    return server


class RawConnection:
    """The server's end of a connection, for scripts that send any bytes.

    It takes the preface of the client, and sends SETTINGS.

    Args:
        sock: as a script of a `ScriptedServer` gets it.
        pairs: for `h2_frames.settings`; None to send nothing.

    Attributes:
        frames: all frames of the client so far, in order.

    """

    def __init__(self, sock, *pairs):
        self._sock = sock
        self._wire = b""
        self.frames = []
        assert read_exactly(sock, len(PREFACE)) == PREFACE
        if pairs != (None,):
            self.send(h2_frames.settings(*pairs))

    def send(self, *frames):
        """Send bytes."""
        self._sock.sendall(b"".join(frames))

    def read_until(self, kind, stream=None):
        """Return the next frame of this type, of *stream* if that is given; keep all on the way."""
        while True:
            new, self._wire = split_frames(self._wire)
            for number, frame in enumerate(new):
                self.frames.append(frame)
                if frame.kind == kind and stream in {None, frame.stream}:
                    rest = (
                        h2_frames.frame(each.kind, each.flags, each.stream, each.payload)
                        for each in new[number + 1 :]
                    )
                    self._wire = b"".join(rest) + self._wire
                    return frame
            piece = self._sock.recv(65536)
            if not piece:
                raise ConnectionError("the client has gone away")
            self._wire += piece

    def read_to_end(self):
        """Keep all frames that come until the client closes the connection."""
        while piece := self._sock.recv(65536):
            self._wire += piece
        new, self._wire = split_frames(self._wire)
        self.frames += new
