"""The ASGI application behind the real servers: what the tests ask for.

GET  /bytes/N     N bytes of the pattern, with Content-Length
GET  /chunked/N   the same, chunked
GET  /status/N    that status code, no body
GET  /headers/N   N fields X-Field-0, X-Field-1, ...
GET  /close       Connection: close
PUT  /upload      JSON: length, sha256 and the fields of the request
GET  /slow/T      an answer after T seconds
GET  /events/N    N server-sent events, five with each request, then 204
PUT  /echo        the body of the request, piece by piece as it comes
PUT  /refuse      413 without reading the body
GET  /hints       103 (Early Hints) before the response, if the server can do that
GET  /trailers    "body" and a trailer field, if the server can do that

A WebSocket gets its messages back.
"""

import asyncio
import hashlib
import json

PATTERN = bytes(range(251)) * 4178  # about 1 MiB; 251 is prime, so a shift is seen


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if scope["type"] == "websocket":
        await echo_messages(receive, send)
        return
    kind, _, argument = scope["path"].strip("/").partition("/")
    await ROUTES[kind](scope, receive, send, argument)


async def lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def echo_messages(receive, send):
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        else:
            await send({**message, "type": "websocket.send"})


async def respond(send, status, body=b"", fields=()):
    fields = [*fields, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def stream(scope, send, size, fields):
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    if scope["method"] != "HEAD":
        for start in range(0, size, len(PATTERN)):
            piece = PATTERN[: size - start]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def get_bytes(scope, receive, send, argument):
    size = int(argument)
    await stream(scope, send, size, [(b"content-length", b"%d" % size)])


async def get_chunked(scope, receive, send, argument):
    await stream(scope, send, int(argument), [])


async def get_status(scope, receive, send, argument):
    status = int(argument)
    if status in {204, 304}:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})
    else:
        await respond(send, status)


async def get_headers(scope, receive, send, argument):
    fields = [(b"x-field-%d" % number, b"value %d" % number) for number in range(int(argument))]
    await respond(send, 200, b"fields", fields)


async def get_close(scope, receive, send, argument):
    await respond(send, 200, b"good bye", [(b"connection", b"close")])


async def get_slow(scope, receive, send, argument):
    await asyncio.sleep(float(argument))
    await respond(send, 200, b"at last")


async def get_events(scope, receive, send, argument):
    last = int(dict(scope["headers"]).get(b"last-event-id", b"0"))
    numbers = range(last + 1, min(last + 5, int(argument)) + 1)
    if not numbers:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    fields = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    for number in numbers:
        body = b"retry: 1\nid: %d\ndata: event %d\n\n" % (number, number)
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def echo(scope, receive, send, argument):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
        piece = message.get("body", b"")
        await send({"type": "http.response.body", "body": piece, "more_body": more})


async def upload(scope, receive, send, argument):
    digest = hashlib.sha256()
    length = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body = message.get("body", b"")
        length += len(body)
        digest.update(body)
        more = message.get("more_body", False)
    fields = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    answer = {"length": length, "sha256": digest.hexdigest(), "headers": fields}
    await respond(send, 200, json.dumps(answer).encode())


async def refuse(scope, receive, send, argument):
    await respond(send, 413, b"too large")


async def get_hints(scope, receive, send, argument):
    if "http.response.early_hint" in scope["extensions"]:
        links = [b"</style.css>; rel=preload"]
        await send({"type": "http.response.early_hint", "links": links})
    await respond(send, 200, b"hinted")


async def get_trailers(scope, receive, send, argument):
    trailers = "http.response.trailers" in scope["extensions"]
    start = {"type": "http.response.start", "status": 200, "headers": [], "trailers": trailers}
    await send(start)
    await send({"type": "http.response.body", "body": b"body"})
    if trailers:
        fields = [(b"x-trailer", b"yes")]
        await send({"type": "http.response.trailers", "headers": fields, "more_trailers": False})


ROUTES = {
    "hints": get_hints,
    "trailers": get_trailers,
    "bytes": get_bytes,
    "chunked": get_chunked,
    "status": get_status,
    "headers": get_headers,
    "close": get_close,
    "slow": get_slow,
    "events": get_events,
    "echo": echo,
    "upload": upload,
    "refuse": refuse,
}
