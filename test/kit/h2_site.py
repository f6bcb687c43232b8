"""A site over HTTP/2 for whole conversations: what app.py is over HTTP/1.1."""

import hashlib
import json

import h2.events

from kit.h2_server import Answer, Peer, plain_app
from kit.support import ScriptedServer, pattern


def site(request):
    """Answer by the path: ``/chunked/N`` (without a length), ``/upload``; else as `plain_app`."""
    path = request[":path"]
    if path.startswith("/chunked/"):
        return Answer(body=pattern(int(path.rpartition("/")[2])))
    if path == "/upload":
        said = {"length": len(request.body), "sha256": hashlib.sha256(request.body).hexdigest()}
        return Answer(body=json.dumps(said).encode())
    return plain_app(request)


class Site(Peer):
    """A `Peer` that says 100 (Continue) where that is expected."""

    def _follow(self, event):
        super()._follow(event)
        if (
            isinstance(event, h2.events.RequestReceived)
            and ("expect", "100-continue") in [*event.headers]
            and event.stream_id not in self._gone
            and not self._left
        ):
            self.connection.send_headers(event.stream_id, [(":status", "100")])


def h2_site(app=site, tls=None, **settings):
    """Return a `ScriptedServer` of which each connection is a `Site`, in its attribute `peers`."""
    peers = []

    def serve(sock):
        peer = Site(app, **settings)
        peers.append(peer)
        sock.sendall(peer.take(b""))
        while wire := sock.recv(65536):
            sock.sendall(peer.take(wire))

    server = ScriptedServer(serve, tls)
    server.peers = peers
    return server
