"""A small proxy for the examples: HTTP, TLS and SOCKS5 on one port, told by the first byte."""

import socket
import socketserver
import threading

from kit.support import read_exactly, read_head


class Relay(socketserver.ThreadingTCPServer):
    """Leads to one server: *ports* says which port of this machine is which one of *name*.

    Anybody may use it, whatever they say of themselves. TLS to it needs *context*.
    """

    daemon_threads = True

    def __init__(self, name, ports, context):
        super().__init__(("127.0.0.1", 0), Handler)
        self.name = name
        self.ports = ports
        self.context = context

    def handle_error(self, request, client_address):
        pass  # a client may go away


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        sock = self.request
        if sock.recv(1, socket.MSG_PEEK) == b"\x16":
            sock = self.server.context.wrap_socket(sock, server_side=True)
        with sock:
            first = sock.recv(1)
            if first == b"\5":
                self._socks5(sock)
            elif first:
                self._http(sock, first + read_head(sock))

    def _http(self, sock, head):
        method, target, _ = head.split(b"\r\n")[0].split(b" ")
        if method != b"CONNECT":
            self._relay(sock, 80, head)
            return
        name, _, port = target.decode().partition(":")
        if name != self.server.name:
            sock.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n")
            return
        sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        self._relay(sock, int(port))

    def _socks5(self, sock):
        read_exactly(sock, read_exactly(sock, 1)[0])
        sock.sendall(b"\5\2")
        read_exactly(sock, 1)
        for _ in ("user", "password"):
            read_exactly(sock, read_exactly(sock, 1)[0])
        sock.sendall(b"\1\0")
        size = read_exactly(sock, 5)[4]
        assert read_exactly(sock, size).decode() == self.server.name
        port = int.from_bytes(read_exactly(sock, 2), "big")
        sock.sendall(b"\5\0\0\1" + bytes(6))
        self._relay(sock, port)

    def _relay(self, sock, port, first=b""):
        address = ("127.0.0.1", self.server.ports[port])
        with socket.create_connection(address) as server:
            server.sendall(first)
            threading.Thread(target=copy, args=(server, sock), daemon=True).start()
            copy(sock, server)


def copy(source, target):
    """Send to *target* what comes from *source*, to the end of it."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other direction has ended both
