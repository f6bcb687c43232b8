"""A server that speaks WebSocket and sends everything back."""

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate


def echo(sock, fields=None, target="/"):
    """Accept, say hello behind the head at once, ping, and echo until the client closes.

    Messages are compressed if that is offered.

    Args:
        sock: the connection.
        fields: of the request, pairs of bytes, if its head has been received already.
        target: of that request.

    """
    ws = WSConnection(ConnectionType.SERVER)
    if fields is not None:
        ws.initiate_upgrade_connection(fields, target)
    while True:
        for event in ws.events():
            if isinstance(event, Request):
                if event.target == "/no":
                    sock.sendall(ws.send(RejectConnection(status_code=403)))
                    return
                out = ws.send(AcceptConnection(extensions=[PerMessageDeflate()]))
                if event.target == "/greet":
                    out += ws.send(TextMessage("welcome"))
                sock.sendall(out + ws.send(Ping(b"?")))
            elif isinstance(event, TextMessage | BytesMessage):
                answer = type(event)(event.data, message_finished=event.message_finished)
                sock.sendall(ws.send(answer))
            elif isinstance(event, Ping):
                sock.sendall(ws.send(event.response()))
            elif isinstance(event, CloseConnection):
                sock.sendall(ws.send(event.response()))
                return
        data = sock.recv(65536)
        if not data:
            return
        ws.receive_data(data)
