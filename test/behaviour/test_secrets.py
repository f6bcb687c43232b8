"""No secret of wrong input gets into a message, a log, a trace or standard error."""

import logging
import os
import subprocess
import sys
import traceback

import pytest
from kit.cases import each_case
from kit.support import ROOT

from dugong_like import (
    URL,
    DugongError,
    Headers,
    HTTPConnection,
    Origin,
    Proxy,
    Request,
    ScriptedStream,
    ScriptedTransport,
    Target,
    tls_context,
)

SECRET = "sesame"
PAIR = f"me:{SECRET}"
KEY = f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n"
QUERIES = [
    f"/a?token={SECRET}",
    f"/a?b=c&%74oken={SECRET}&d",
    f"/a?X-Amz-Credential={SECRET}",
    f"/a;jsessionid={SECRET}",
    f"/a?next=https%3A%2F%2Fme%3A{SECRET}%40h%2F",
    f"/a?next=/b%3Fcode%3D{SECRET}",
    f"/a?user[password]={SECRET}",
]
# None of these is a path, a URL, a host or the URL of a proxy.
WRONG = [
    *(f"{query} x" for query in QUERIES),
    f"/a b?token={SECRET}",
    f"/a b?token=x {SECRET}",
    f"/a b?token=x;{SECRET}",
    f"/a b?password=x#{SECRET}",
    f"/a b?password=x?{SECRET}",
    f"/a b?token=x@{SECRET}",
    f"/a b#access_token={SECRET}",
    f"token={SECRET}",
    f"http://me:x/{SECRET}@h/ ",
    f"http://me:x@{SECRET}@h/",
    f"http://me:{SECRET}%40h/ ",
    f"http://h/ ?sig={SECRET}",
    f"{PAIR}@h/",
    f"{PAIR}%40h/",
    f"{PAIR}@h:80/",
    f"//{PAIR}@h/ ",
    f"me:x://{PAIR}@h/",
    f"Authorization: Basic {SECRET}",
    f"caf\u00e9 ?key={SECRET}",
    KEY,
]
REQUESTS = [
    *(("GET", target) for target in WRONG),
    *(("GET", target.encode()) for target in WRONG),
    ("GET", f"/a?password=x#{SECRET}"),
    ("GET", f"http://{PAIR}@h/"),
    ("GET", f"http://h/?sig={SECRET}"),
    ("CONNECT", f"http://{PAIR}@h"),
    ("CONNECT", f"{PAIR}@h:80"),
    (f"GET /?token={SECRET}", "/"),
    (f"GET http://{PAIR}@h/", "/"),
    (f"GET\r\nCookie: {SECRET}", "/"),
    (f"GET /?token={SECRET}".encode(), "/"),
]
FIELDS = [
    {"X-Anything": f"{SECRET}\n"},
    {"Authorization": f"Basic {SECRET}\0"},
    {"Referer": f"http://{PAIR}@h/\r"},
    {f"Authorization: Basic {SECRET}\r\nX": "y"},
    {f"Authorization Basic {SECRET}": "y"},
    {f"Cookie={SECRET}": "y"},
    {f"X http://{PAIR}@h/": "y"},
    {b"Cookie " + SECRET.encode(): "y"},
    {"Authorization": [SECRET]},
    {f"Cookie {SECRET}": 5},
    [("Authorization", f"Basic {SECRET}"), ("authorization", f"Basic {SECRET}")],
    [("Referer", f"/?token={SECRET}"), ("referer", f"http://{PAIR}@h")],
    [("Referer", f"/?token=x {SECRET}"), ("referer", "/")],
    f"Authorization: Basic {SECRET}",
    [f"Authorization: Basic {SECRET}"],
    [("Authorization", "Basic", SECRET)],
    {("Authorization", SECRET): "x"},
    {"Host": f"{PAIR}@h"},
    {"Host": f"{PAIR}%40h"},
    {"Host": f"h?token={SECRET}"},
    {"Content-Length": f"{SECRET}\n"},
]
LINES = [
    f"Set-Cookie {SECRET}",
    f"Set-Cookie={SECRET}",
    f"Set-Cookie;{SECRET}",
    f"Set-Cookie : {SECRET}",
    f"X Set-Cookie: {SECRET}",
    f"set-cookie: {SECRET}\0",
    f"Location: http://{PAIR}@h/\0",
    f"Location: http://{PAIR}\0@h/",
    f"Location: /?code={SECRET}\0",
    f"Location: /?code=x {SECRET}\0",
    f"Set-Cookie: a=b\r\n {SECRET}\0",
    f"Set-Cookie: a=b\r\n\t{SECRET}\0",
    f"Content-Length: /?token={SECRET}",
]
HEAD = "HTTP/1.1 200 OK\r\n"
RESPONSES = [
    *(f"{HEAD}{line}\r\n\r\n" for line in LINES),
    *(f"{HEAD}X: y\r\n{line}\r\n\r\n" for line in LINES),
    *(f"{HEAD}{line}" for line in LINES[:10]),  # the end of the line has not arrived
    *(f"{line}\r\n\r\n" for line in LINES),  # as a status line
    f"{HEAD}Transfer-Encoding: chunked\r\n\r\ntoken={SECRET}\r\n",
    f"{HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\nSet-Cookie {SECRET}\r\n\r\n",
]


def told(exc):
    """Return all that *exc* says of itself, and all that has led to it."""
    texts = ["".join(traceback.format_exception(exc))]
    while exc is not None:
        texts += [str(exc), repr(exc)]
        texts += [exc.url, exc.method, exc.msg] if isinstance(exc, DugongError) else []
        exc = exc.__cause__ or exc.__context__
    return "\n".join(texts)


def refused(call):
    """Return what is told when *call* raises, which it has to."""
    with pytest.raises(Exception) as caught:
        call()
    assert not isinstance(caught.value, AttributeError | AssertionError)
    return told(caught.value)


def scripted(*incoming, trace=None):
    stream = ScriptedStream(incoming)
    return HTTPConnection("script.test", transport=ScriptedTransport(stream), trace=trace), stream


SENDING = {
    "send_request": lambda conn, *request: conn.send_request(*request),
    "send_requests": lambda conn, *request: conn.send_requests([("GET", "/"), request]),
    "send": lambda conn, *request: conn.send(Request(*request)),
    "stream": lambda conn, *request: conn.request(Request(*request)).run(),
}


@each_case("way", SENDING)
@each_case("request_", [*REQUESTS, *(("GET", "/", fields) for fields in FIELDS)])
@each_case("observed", ["log", "trace"])
def test_requests_that_cannot_be_sent(caplog, way, request_, observed):
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    events = []
    trace = None if observed == "log" else lambda *event: events.append(event)
    conn, stream = scripted(trace=trace)

    text = refused(lambda: SENDING[way](conn, *request_))

    assert SECRET not in text + caplog.text + repr(events) + repr(conn)
    assert stream.sent == b""


@pytest.mark.parametrize("query", QUERIES)
def test_requests_that_are_sent_and_get_no_answer(caplog, query):
    caplog.set_level(logging.DEBUG)
    events = []
    for trace in (None, lambda *event: events.append(event)):
        conn, stream = scripted(trace=trace)
        request = Request("GET", query)
        exchange = conn.send(request)
        assert SECRET.encode() in stream.sent
        text = refused(conn.read_response)
        assert SECRET not in text + repr(exchange) + repr(request)
    assert SECRET not in caplog.text + repr(events) + repr(URL(f"http://h{query}"))
    assert "http11" in caplog.text
    assert events


MAKING = {
    "URL": URL,
    "URL of an origin": Origin("http", "h").url,
    "host": HTTPConnection,
    "connection to": HTTPConnection.to,
    "scheme": lambda text: Origin(text, "h"),
    "host of an origin": lambda text: Origin("http", text),
    "proxy": lambda text: HTTPConnection("h", proxy=text),
    "host of a proxy": lambda text: HTTPConnection("h", proxy=(text, 80)),
    "port": lambda text: HTTPConnection("h", text),
    "target": Target,
    "authorities": lambda text: tls_context(ca=text),
    "certificate": lambda text: tls_context(client_cert=text),
    "key": lambda text: tls_context(client_cert=(__file__, text)),
    "ciphers": lambda text: tls_context(ciphers=text),
    "version of TLS": lambda text: tls_context(min_version=text),
    "fingerprint": lambda text: HTTPConnection("h", fingerprint=text),
    "version": lambda text: HTTPConnection("h", http_version=text),
    "name of a field": lambda text: Headers().remove_value("X", text),
    "length": lambda text: HTTPConnection("h").read(text),
}
FILES = {"authorities", "certificate", "key"}  # their paths are shown, whatever they are like


@each_case(
    ("making", "text"),
    [(making, text) for making in MAKING for text in WRONG if making not in FILES or text == KEY],
)
def test_objects_that_cannot_be_made(making, text):
    assert SECRET not in refused(lambda: MAKING[making](text))


@pytest.mark.parametrize("text", [f"http://{PAIR}@h/", f"https://h/?token={SECRET} "])
def test_urls_with_credentials(text):
    for make in (URL, HTTPConnection.to, Origin("http", "h").url):
        assert SECRET not in refused(lambda make=make: make(text))
    assert SECRET not in repr(Proxy(f"http://{PAIR}@h"))


@each_case("whole", [True, False])
@each_case("response", RESPONSES)
def test_responses_that_break_the_grammar(caplog, response, whole):
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    data = response.encode()
    events = []
    incoming = [data] if whole else [data[i : i + 1] for i in range(len(data))]
    for trace in (None, lambda *event: events.append(event)):
        conn, _ = scripted(*incoming, trace=trace)

        def ask(conn=conn):
            conn.send_request("GET", "/")
            conn.read_response()
            conn.readall()

        assert SECRET not in refused(ask)
    assert SECRET not in caplog.text + repr(events)


URL_HERE = "http://127.0.0.1:1/"
COMMANDS = [
    ["get", f"http://{PAIR}@127.0.0.1:1/"],
    *(["get", f"http://127.0.0.1:1{query}"] for query in QUERIES),
    *(["get", text] for text in WRONG if not text.startswith("http://h/")),
    ["get", f"http://127.0.0.1:1/\udcff?token={SECRET}"],
    ["get", URL_HERE, f"http://{PAIR}@h/"],
    ["get", URL_HERE, f"me:x {SECRET}@h/"],
    ["get", URL_HERE, "-H", f"Authorization Basic {SECRET}"],
    ["get", URL_HERE, "-H", f"Cookie={SECRET}"],
    ["get", URL_HERE, "-H", f"Authorization Basic: {SECRET}"],
    ["get", URL_HERE, "-H", f"X: {SECRET}\n"],
    ["get", URL_HERE, f"--timeout=http://{PAIR}@h/"],
    ["get", URL_HERE, "--timeout", f"token={SECRET}"],
    ["get", URL_HERE, f"--unknown=http://{PAIR}@h/"],
    ["get", URL_HERE, f"--prox http://{PAIR}@h/"],
    ["get", URL_HERE, "--proxy", f"{PAIR}@h"],
    ["get", URL_HERE, "--proxy", f"http://{PAIR}@127.0.0.1:1"],
    ["get", URL_HERE, "-o", f"http://{PAIR}@h/?token={SECRET}"],
    ["put", f"http://{PAIR}@h/", URL_HERE],
    ["put", f"https://h/x?token={SECRET}", URL_HERE],
    [f"http://{PAIR}@h/"],
    ["demo", "--files", f"http://{PAIR}@h/"],
    ["demo", "--seed", f"password={SECRET}"],
    ["demo", "--url", f"http://{PAIR}@h/"],
]


def test_arguments_of_the_command_line():
    """In one process, as starting one for each takes long; it prints what each has written."""
    program = """
import contextlib, io, sys
from dugong_like.__main__ import main
for number in range(len(COMMANDS)):
    sys.argv = ["dugong", *COMMANDS[number]]
    sys.stderr.write(f"#{number}\\n")
    sys.stderr.flush()
    try:
        status = main(COMMANDS[number])
    except SystemExit as exc:
        status = exc.code
    sys.stderr.write(f"={status}\\n")
    sys.stderr.flush()
"""
    done = subprocess.run(
        [sys.executable, "-c", f"COMMANDS = {COMMANDS!r}\n{program}"],
        capture_output=True, check=True, timeout=100, cwd="/", encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": ""},
    )  # fmt: skip
    told_of = done.stderr.split("#")
    assert done.stderr.count("\n=") == len(COMMANDS)
    assert "\n=0\n" not in done.stderr
    assert SECRET not in done.stderr, [text for text in told_of if SECRET in text]
    assert SECRET not in done.stdout
