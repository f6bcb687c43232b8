"""Servers and proxies of all kinds in a process of their own: what is open here is the client's.

``python peers.py CHAIN KEY FOLDER`` prints the ports, and ends when its standard input does.

Not here: proxies that misbehave (test_proxied.py), and real ones (servers.py).
"""

import asyncio
import json
import ssl
import subprocess
import sys
from contextlib import contextmanager, suppress

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHALLENGE = (
    b'HTTP/1.1 407 No\r\nProxy-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n'
    b"Connection: close\r\nContent-Length: 3\r\n\r\nwhy"
)


@contextmanager
def peers(certificate, folder):
    """Run them; yield a dict of their ports: ``http``, ``https``, ``proxy``, ``proxy_tls``.

    ``unix`` is a path. A proxy speaks HTTP and SOCKS; it asks for Digest if that is wanted.
    """
    command = [sys.executable, __file__, certificate.chain, certificate.key, folder]
    with subprocess.Popen(
        [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield json.loads(process.stdout.readline())
        process.stdin.close()


async def serve(reader, writer):
    """Answer requests without a body."""
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)


async def lead(reader, writer):
    """Be a proxy, for whatever it is asked."""
    first = await reader.readexactly(1)
    if first == b"\5":
        await reader.readexactly((await reader.readexactly(1))[0])
        writer.write(b"\5\0")
        _, _, _, kind = await reader.readexactly(4)
        size = 4 if kind == 1 else (await reader.readexactly(1))[0]
        host = await reader.readexactly(size)
        name = ".".join(map(str, host)) if kind == 1 else host.decode()
        port = int.from_bytes(await reader.readexactly(2), "big")
        await tunnel(reader, writer, name, port, b"\5\0\0\1" + bytes(6))
    elif first == b"\4":
        asked = await reader.readexactly(7)
        port, host = int.from_bytes(asked[1:3], "big"), asked[3:]
        await reader.readuntil(b"\0")
        name = ".".join(map(str, host))
        if not any(host[:3]):  # a name follows
            name = (await reader.readuntil(b"\0"))[:-1].decode()
        await tunnel(reader, writer, name, port, b"\0\x5a" + bytes(6))
    else:
        head = first + await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"CONNECT"):
            writer.write(OK)
            await serve(reader, writer)
        if b"wanted: digest" in head.lower() and b"Digest" not in head:
            writer.write(CHALLENGE)
            return
        name, _, port = head.split(b" ")[1].decode().rpartition(":")
        await tunnel(reader, writer, name, int(port), b"HTTP/1.1 200 Go\r\n\r\n")


async def tunnel(reader, writer, name, port, answer):
    """Say *answer*, and pass bytes on."""
    onward = await asyncio.open_connection(name, port)
    writer.write(answer)
    back = asyncio.create_task(copy(onward[0], writer))
    await copy(reader, onward[1])
    await back


async def copy(reader, writer):
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def handler(talk):
    async def handle(reader, writer):
        with suppress(OSError, EOFError, asyncio.LimitOverrunError):
            await talk(reader, writer)
        writer.close()

    return handle


async def main(chain, key, folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    asyncio.get_running_loop().set_exception_handler(lambda loop, what: None)  # clients may go away
    found = {"unix": f"{folder}/socket"}
    servers = [await asyncio.start_unix_server(handler(serve), found["unix"])]
    for name, talk, tls in (
        ("http", serve, None),
        ("https", serve, context),
        ("proxy", lead, None),
        ("proxy_tls", lead, context),
    ):
        server = await asyncio.start_server(handler(talk), "127.0.0.1", 0, ssl=tls, backlog=1000)
        found[name] = server.sockets[0].getsockname()[1]
        servers.append(server)
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
