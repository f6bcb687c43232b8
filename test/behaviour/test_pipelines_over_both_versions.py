"""Pipelines, and maps, over HTTP/1.1 and HTTP/2, with TLS and without: also if connections end.

Each way has the same results, and no answer is that of another request.
"""

import ssl
import threading
from collections import Counter

import pytest
from kit.h2_server import Answer
from kit.h2_site import Site as Peer
from kit.support import ScriptedServer, pattern, read_head

from dugong_like import (
    Client,
    HTTPConnection,
    Limits,
    Pipeline,
    Request,
    SharedPipeline,
    both,
    run,
)

PATIENCE = 60  # seconds
COUNT = 60


def body_of(target):
    return target.encode() + pattern(300 * int(target[1:]))


class Server:
    """A server of one version, that ends each connection after so many requests.

    Attributes:
        seen: how often each target has come.

    """

    def __init__(self, most):
        self.most = most
        self.seen = Counter()
        self._lock = threading.Lock()

    def note(self, target):
        with self._lock:
            self.seen[target] += 1

    def over_1(self, sock):
        for _ in range(self.most):
            if not (head := read_head(sock)):
                return
            target = head.split(b" ")[1].decode()
            self.note(target)
            body = body_of(target)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def over_2(self, sock):
        def app(request):
            target = request[":path"]
            self.note(target)
            return Answer(body=body_of(target))

        peer = Peer(app)
        sock.sendall(peer.take(b""))
        while len(peer.requests) < self.most and (wire := sock.recv(65536)):
            sock.sendall(peer.take(wire))


@pytest.fixture(
    params=[pytest.param("1.1", marks=pytest.mark.slow), "1.1 tls", "2", "2 tls"],
)
def way(request):
    version, _, tls = request.param.partition(" ")
    return version, bool(tls)


@pytest.fixture(params=[10**9, 13], ids=["whole", "ending"])
def server(request, way, certificate):
    version, tls = way
    server = Server(request.param)
    context = None
    if tls:
        context = certificate.server_context()
        context.set_alpn_protocols(["h2" if version == "2" else "http/1.1"])
    serve = server.over_2 if version == "2" else server.over_1
    with ScriptedServer(serve, context) as listening:
        server.port = listening.port
        yield server


@pytest.fixture
def options(way, ca):
    version, tls = way
    options = {"versions": ("h2" if version == "2" else "http/1.1",), "timeout": PATIENCE}
    if tls:
        options["ssl_context"] = ssl.create_default_context()
        ca.configure_trust(options["ssl_context"])
    return options


@pytest.fixture
def conn(server, options):
    with HTTPConnection("localhost", server.port, **options) as conn:
        yield conn


def requests():
    return [Request("GET", f"/{number}") for number in range(COUNT)]


def whole_answers(conn):
    return [
        (each.request.target, each.body)
        for each in Pipeline(conn, requests(), attempts=30, backoff=0)
    ]


def in_pieces(conn):
    pipeline, answers = Pipeline(conn, requests(), attempts=30, backoff=0), []
    while (stream := pipeline.next_stream()) is not None:
        try:
            body = b"".join(iter(lambda: stream.read(5000), b""))
        except ConnectionError:
            stream.repeat()
        else:
            answers.append((stream.request.target, body))
    return answers


def into_files(conn, folder):
    pipeline, answers = Pipeline(conn, requests(), attempts=30, backoff=0), []
    while (stream := pipeline.next_stream()) is not None:
        path = folder / stream.request.target[1:]
        with path.open("w+b") as file:
            try:
                stream.recv_to_file(file)
            except ConnectionError:
                stream.repeat()
                continue
        answers.append((stream.request.target, path.read_bytes()))
    return answers


def writer_and_reader(conn):
    with SharedPipeline(conn, attempts=30, backoff=0) as pipeline:

        def write():
            try:
                for request in requests():
                    pipeline.submit(request)
            finally:
                pipeline.finish()

        writer = threading.Thread(target=write)
        writer.start()
        answers = [(each.request.target, each.body) for each in pipeline]
        writer.join(PATIENCE)
    return answers


def two_operations(conn):
    with SharedPipeline(conn, attempts=30, backoff=0) as pipeline:
        answers = []

        def co_write():
            for request in requests():
                yield from pipeline.co_submit(request)
            pipeline.finish()

        def co_read():
            while (answer := (yield from pipeline.co_next())) is not None:
                answers.append((answer.request.target, answer.body))

        run(both(co_write(), co_read()), PATIENCE)
    return answers


@pytest.mark.feature("N21")
@pytest.mark.parametrize(
    "send", [whole_answers, in_pieces, into_files, writer_and_reader, two_operations]
)
def test_each_answer_is_that_of_its_request(conn, server, send, tmp_path):
    answers = send(conn, tmp_path) if send is into_files else send(conn)

    targets = [f"/{number}" for number in range(COUNT)]
    assert [target for target, _ in answers] == targets
    assert all(body == body_of(target) for target, body in answers)
    assert set(server.seen) == set(targets)
    if server.most > COUNT:
        assert set(server.seen.values()) == {1}


@pytest.mark.parametrize("ordered", [True, False])
def test_map(server, options, way, ordered):
    scheme = "https" if way[1] else "http"
    urls = [f"{scheme}://localhost:{server.port}/{number}" for number in range(COUNT)]
    with Client(**options, trust_env=False, limits=Limits(max_per_origin=2)) as client:
        items = list(client.map(urls, concurrency=2, depth=8, ordered=ordered))

    assert sorted(item.index for item in items) == list(range(COUNT))
    assert all(item.response.content == body_of(f"/{item.index}") for item in items)
    if server.most > COUNT:
        assert set(server.seen.values()) == {1}
