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


def echo(sock):
    """Accept, say hello behind the head at once, ping, and echo until the client closes."""
    ws = WSConnection(ConnectionType.SERVER)
    while data := sock.recv(65536):
        ws.receive_data(data)
        for event in ws.events():
            if isinstance(event, Request):
                if event.target == "/no":
                    sock.sendall(ws.send(RejectConnection(status_code=403)))
                    return
                out = ws.send(AcceptConnection())
                if event.target == "/greet":
                    out += ws.send(TextMessage("welcome"))
                sock.sendall(out + ws.send(Ping(b"?")))
            elif isinstance(event, TextMessage | BytesMessage):
                answer = type(event)(event.data, message_finished=event.message_finished)
                sock.sendall(ws.send(answer))
            elif isinstance(event, CloseConnection):
                sock.sendall(ws.send(event.response()))
                return
