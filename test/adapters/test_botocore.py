"""The session for botocore beside its own: the same calls of boto3, the same outcome.

Each row of `CALLS` is a call on a client, made once with each session, against the same S3 service
(that of moto), with and without TLS: what is returned, or the exception, is compared. `FAULTS` are
servers that misbehave, with the same comparison.
"""

import hashlib
import io
import re
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib import import_module

import pytest
from kit.cases import rest_slow
from kit.s3_site import LOGIN, new_client, new_session, s3_site
from kit.server_scripts import Recording, mute
from kit.servers import refusing_port
from kit.support import (
    ROOT,
    ScriptedServer,
    black_hole,
    installed,
    pattern,
    read_exactly,
    read_head,
)

from dugong_like import Client, InvalidOption

MIB = 1024 * 1024
KEYS = [
    "plain", "a//b", "/leading", "trailing/", "../up", "a/./b/../c", "%41", "a+b c", "ключ",
    "a?b#c", "a&b=c", "~!*'()", "a\\b", 'quo"te', "semi;colon,comma", "emoji \U0001f40b", "x" * 900,
]  # fmt: skip
VARYING = re.compile(
    r"Date|RequestId|HostId|Last-?Modified|UploadId|Expires|requestid|ContinuationToken", re.I
)


@pytest.fixture(scope="session")
def site(certificate):
    with s3_site(certificate) as urls:
        yield urls


@pytest.fixture(scope="session")
def adapter():
    installed("boto3", "sdk")
    return import_module("dugong_like.adapters.botocore")


@pytest.fixture(scope="session")
def sessions(adapter):
    """Two sessions of boto3: unchanged, and on this library."""
    return {"theirs": new_session(), "ours": adapter.install(new_session())}


class Side:
    """A client of one of the two sessions, and a bucket of its own."""

    def __init__(self, client, name):
        self.s3, self.bucket = client, name
        if self.bucket:
            client.create_bucket(Bucket=name)

    def put(self, key, body=b"", **more):
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **more)

    def get(self, key, **more):
        return self.s3.get_object(Bucket=self.bucket, Key=key, **more)

    def body(self, key, **more):
        return self.get(key, **more)["Body"]

    def call(self, name, **more):
        return getattr(self.s3, name)(Bucket=self.bucket, **more)

    def keys(self, **more):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **more)
        return [one["Key"] for page in pages for one in page.get("Contents", ())]


@pytest.fixture(scope="session", params=rest_slow(1, ["http", "https"]))
def sides(request, site, sessions, ca_file):
    verify = str(ca_file) if request.param == "https" else None
    return {
        name: Side(
            new_client(session, site[request.param], verify=verify), f"{request.param}-{name}"
        )
        for name, session in sessions.items()
    }


def outcome(call, side):
    """Return what *call* returns, or its exception, without what varies each time."""
    try:
        return plain(call(side), side)
    except Exception as exc:
        cause = type(getattr(exc, "kwargs", {}).get("error")).__name__
        shown = f"{type(exc).__module__}.{type(exc).__name__}"
        text = str(exc).replace(side.bucket, "BUCKET") if cause == "NoneType" else ""
        return "raised", shown, text


def plain(value, side):
    if isinstance(value, dict):
        if value.get("content-type") == "application/xml":
            value = {**value, "content-length": "that of the times in it"}
        return {name: plain(each, side) for name, each in value.items() if not VARYING.search(name)}
    if isinstance(value, list | tuple):
        return [plain(each, side) for each in value]
    if hasattr(value, "read"):
        return "body", value.read()
    return value.replace(side.bucket, "BUCKET") if isinstance(value, str) else value


# ---- the exercise


class Unsized(io.RawIOBase):
    """A body whose length nobody knows, and which cannot be sent twice."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, memory):
        return self._file.readinto(memory)


def each_key(side):
    for key in KEYS:
        side.put(f"keys/{key}", key.encode())
    found = {key: side.body(f"keys/{key}").read() for key in KEYS}
    return found, side.keys(Prefix="keys/"), [
        side.call("delete_object", Key=f"keys/{key}") for key in KEYS
    ], side.keys(Prefix="keys/")  # fmt: skip


def from_file(side):
    with tempfile.TemporaryFile() as file:
        file.write(b"skipped" + pattern(300_000))
        file.seek(7)
        side.put("file", file)
    return hashlib.md5(side.body("file").read()).hexdigest()


def ranges(side):
    side.put("ranges", pattern(1000))
    wanted = ["bytes=0-0", "bytes=10-19", "bytes=990-", "bytes=-7", "bytes=0-5000", "bytes=2000-"]
    return [outcome(lambda side, r=r: side.get("ranges", Range=r), side) for r in wanted]


def conditions(side):
    tag = side.put("conditions", b"1")["ETag"]
    return [
        outcome(lambda side, more=more: side.get("conditions", **more), side)
        for more in ({"IfMatch": tag}, {"IfMatch": '"x"'}, {"IfNoneMatch": tag})
    ]


def read_in_ways(side):
    side.put("ways", b"one\ntwo\r\nthree" + pattern(200_000))
    room = bytearray(100)
    body = side.body("ways")
    first = body.read(3), body.tell(), body.readable(), body.readinto(room), bytes(room)
    rest = hashlib.md5(body.read()).hexdigest(), body.read(), body.read(5), body.tell()
    lines = list(side.body("ways").iter_lines())
    chunks = [len(chunk) for chunk in side.body("ways").iter_chunks(70_000)]
    with side.body("ways") as raw:
        through = raw.read(10), raw.readline()[:5], raw.closed
    whole = io.BufferedReader(side.body("ways")._raw_stream).read()
    tail = side.body("ways").readlines()[-1][-9:]
    limited = side.body("ways")
    limited.set_socket_timeout(30)
    limited.close()
    return first, rest, lines[:3], chunks, through, raw.closed, len(whole), tail, limited.closed


def upload_and_download(side):
    config = import_module("boto3.s3.transfer").TransferConfig(
        multipart_threshold=6 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4
    )
    data = pattern(11 * MIB + 17)
    seen = []
    side.s3.upload_fileobj(
        io.BytesIO(data), side.bucket, "large", Config=config, Callback=seen.append
    )
    head = side.call("head_object", Key="large")
    back = io.BytesIO()
    side.s3.download_fileobj(side.bucket, "large", back, Config=config)
    return sum(seen), head, back.getvalue() == data


def multipart_by_hand(side):
    upload = side.call("create_multipart_upload", Key="parts", ChecksumAlgorithm="CRC32")[
        "UploadId"
    ]
    parts = []
    for number, data in ((1, pattern(5 * MIB)), (2, b"end")):
        sent = side.call(
            "upload_part", Key="parts", UploadId=upload, PartNumber=number, Body=data,
            ChecksumAlgorithm="CRC32",
        )  # fmt: skip
        parts.append(
            {"PartNumber": number, "ETag": sent["ETag"], "ChecksumCRC32": sent["ChecksumCRC32"]}
        )
    listed = side.call("list_parts", Key="parts", UploadId=upload)
    done = side.call(
        "complete_multipart_upload", Key="parts", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    other = side.call("create_multipart_upload", Key="given up")["UploadId"]
    side.call("abort_multipart_upload", Key="given up", UploadId=other)
    return parts, listed, done, side.call("head_object", Key="parts")["ContentLength"]


def in_threads(side):
    def one(number):
        side.put(f"threads/{number}", b"%d" % number * 100)
        return side.body(f"threads/{number}").read() == b"%d" % number * 100

    with ThreadPoolExecutor(8) as executor:
        right = list(executor.map(one, range(40)))
    return right, len(side.keys(Prefix="threads/"))


def pages(side):
    for number in range(7):
        side.put(f"pages/{number}/x")
    flat = side.keys(Prefix="pages/", PaginationConfig={"PageSize": 2})
    found = side.call("list_objects_v2", Prefix="pages/", Delimiter="/", MaxKeys=3)
    versions = side.call("list_objects", Prefix="pages/", MaxKeys=2)
    gone = side.call("delete_objects", Delete={"Objects": [{"Key": key} for key in flat]})
    return flat, found, versions, sorted(one["Key"] for one in gone["Deleted"])


def presigned(side):
    """Use URLs that the client has signed, with a client of ours."""
    with Client(verify=False) as client:
        url = side.s3.generate_presigned_url(
            "put_object", Params={"Bucket": side.bucket, "Key": "signed"}
        )
        put = client.put(url, content=b"signed").status_code
        url = side.s3.generate_presigned_url(
            "get_object", Params={"Bucket": side.bucket, "Key": "signed"}
        )
        return put, client.get(url).content


def checksums(side):
    sent = {
        name: side.put(f"sums/{name}", b"sum" * 50_000, ChecksumAlgorithm=name)
        for name in ("CRC32", "SHA1", "SHA256")
    }
    read = [side.get(f"sums/{name}", ChecksumMode="ENABLED") for name in sent]
    wrong = outcome(
        lambda side: side.put("wrong", b"1", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA=="), side
    )
    return sent, read, wrong


def select(side):
    side.put("table.csv", b"a,b\n1,2\n3,4\n")
    events = side.call(
        "select_object_content", Key="table.csv", ExpressionType="SQL",
        Expression="SELECT * FROM s3object s",
        InputSerialization={"CSV": {"FileHeaderInfo": "USE"}}, OutputSerialization={"CSV": {}},
    )["Payload"]  # fmt: skip
    return [event.get("Records") for event in events if "Records" in event]


CALLS = {
    "bytes": lambda side: (side.put("bytes", b"hello"), side.get("bytes")),
    "bytearray": lambda side: (side.put("bytes", bytearray(b"hello")), side.get("bytes")),
    "empty": lambda side: (side.put("empty"), side.get("empty")),
    "empty file": lambda side: (side.put("empty", io.BytesIO()), side.get("empty")),
    "file object": lambda side: (side.put("file", io.BytesIO(pattern(200_000))), side.get("file")),
    "from a position": from_file,
    "a part of one": lambda side: side.put("part", io.BytesIO(b"0123"), ContentLength=3),
    "unsized": lambda side: side.put("unsized", Unsized(b"data")),
    "metadata": lambda side: (
        side.put("meta", b"1", Metadata={"a": "b c", "d-e": "1,2"}, CacheControl="no-store"),
        side.call("head_object", Key="meta"),
    ),
    "keys": each_key,
    "ranges": ranges,
    "conditions": conditions,
    "ways": read_in_ways,
    "copy": lambda side: (
        side.put("from", b"copied"),
        side.call("copy_object", Key="to", CopySource={"Bucket": side.bucket, "Key": "from"}),
        side.get("to"),
    ),
    "transfer": upload_and_download,
    "multipart": multipart_by_hand,
    "threads": in_threads,
    "pages": pages,
    "presigned": presigned,
    "checksums": checksums,
    "events": select,
    "missing": lambda side: side.get("missing"),
    "missing head": lambda side: side.call("head_object", Key="missing"),
    "missing bucket": lambda side: side.s3.list_objects_v2(Bucket="there-is-no-such"),
    "bucket again": lambda side: side.s3.create_bucket(
        Bucket=side.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    ),
    "location": lambda side: side.call("get_bucket_location"),
    "tags": lambda side: (
        side.put("tags", b"1", Tagging="a=b&c=d"), side.call("get_object_tagging", Key="tags")
    ),
    "acl": lambda side: side.call("get_bucket_acl"),
    "exists": lambda side: (
        side.put("exists"),
        side.s3.get_waiter("object_exists").wait(Bucket=side.bucket, Key="exists"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_a_call_has_the_outcome_that_it_has_with_botocore_alone(sides, name):
    theirs, ours = (outcome(CALLS[name], sides[side]) for side in ("theirs", "ours"))

    assert ours == theirs


# ---- servers that misbehave


OK = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "1"\r\n\r\n'
XML = (
    b'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<IsTruncated>false</IsTruncated></ListBucketResult>"
)
BUSY = (
    b"HTTP/1.1 503 Slow Down\r\nRetry-After: 1\r\nContent-Type: application/xml\r\n"
    b"Content-Length: 45\r\n\r\n<Error><Code>SlowDown</Code><Message/></Error>"[:-1]
)
RESET = struct.pack("ii", 1, 0)  # for SO_LINGER


def sending(*parts, reset=False):
    """Return a handler that answers the first request with *parts*, and ends the connection."""

    def handler(sock):
        if read_head(sock):
            for part in parts:
                sock.sendall(part)
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    return handler


def silent(*parts):
    """Return a handler that answers with *parts*, and then no more until the client is gone."""

    def handler(sock):
        if read_head(sock):
            for part in parts:
                sock.sendall(part)
            mute(sock)

    return handler


def listing(s3):
    return s3.list_objects_v2(Bucket="b")["KeyCount"]


def reading(s3):
    return s3.get_object(Bucket="b", Key="k")["Body"].read()


def reading_into(s3):
    return s3.get_object(Bucket="b", Key="k")["Body"].readinto(bytearray(100))


def sized(length, body):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length, body


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FAULTS = {  # handler, call, what the client has besides
    "no answer": (sending(), listing, {}),
    "reset": (sending(reset=True), listing, {}),
    "junk": (sending(b"junk\r\n\r\n"), listing, {}),
    "half a head": (sending(b"HTTP/1.1 200 OK\r\nContent-"), listing, {}),
    "half a list": (sending(*sized(len(XML), XML[:50])), listing, {}),
    "half a list in chunks": (sending(CHUNKED, b"5\r\n<?xml\r\n"), listing, {}),
    "half an object": (sending(*sized(100, b"x" * 50)), reading, {}),
    "half an object into memory": (sending(*sized(100, b"x" * 50)), reading_into, {}),
    "half an object in chunks": (sending(CHUNKED, b"5\r\nhello\r\n"), reading, {}),
    "bad chunks": (sending(CHUNKED, b"zz\r\nhello\r\n"), reading, {}),
    "half an object, reset": (sending(*sized(10**8, b"x" * 50), reset=True), reading, {}),
    "half an error of an object": (
        sending(b"HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\n", b"<Err"), reading, {},
    ),
    "silence": (silent(), listing, {"read_timeout": 0.2}),
    "silence in a list": (silent(*sized(100, b"<")), listing, {"read_timeout": 0.2}),
    "silence in an object": (silent(*sized(100, b"<")), reading, {"read_timeout": 0.2}),
    "silence in an object into memory": (
        silent(*sized(100, b"<")), reading_into, {"read_timeout": 0.2},
    ),
    "busy": (sending(BUSY), listing, {}),
    "busy, for an object": (sending(BUSY), reading, {}),
    "through no proxy": (
        sending(), listing, {"proxies": {"http": "http://me:secret@127.0.0.1:REFUSING"}},
    ),
    "to the end of the connection": (sending(b"HTTP/1.1 200 OK\r\n\r\n", XML), listing, {}),
    "an object of HTTP/1.0": (sending(b"HTTP/1.0 200 OK\r\n\r\nall"), reading, {}),
}  # fmt: skip


CLOSED = ("raised", "botocore.exceptions.ConnectionClosedError", "")
STRICTER = {  # where botocore alone takes what has arrived for all of it
    "half a head": CLOSED,
    "half a list": CLOSED,
    "half an error of an object": CLOSED,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_the_outcome_that_it_has_with_botocore_alone(sessions, name):
    handler, call, options = FAULTS[name]
    found = {}
    for side, session in sessions.items():
        with ScriptedServer(handler) as server, refusing_port() as refused:
            given = {
                key: {"http": value["http"].replace("REFUSING", str(refused))}
                if key == "proxies" else value
                for key, value in options.items()
            }  # fmt: skip
            client = new_client(session, f"http://127.0.0.1:{server.port}", **given)
            found[side] = outcome(call, named(client))
            client.close()

    assert found["ours"] == STRICTER.get(name, found["theirs"])


def named(client):
    """Return *client* as `outcome` wants it."""
    client.bucket = "there is no such text"
    return client


def no_names(*arguments, **options):
    raise socket.gaierror(socket.EAI_NONAME, "no such name")


@pytest.mark.parametrize("name", ["refused", "no name", "black hole", "untrusted", "no TLS"])
def test_a_connection_that_fails_is_the_exception_of_botocore_alone(
    sessions, site, certificate, monkeypatch, name
):
    with ExitStack() as stack:
        options = {}
        if name == "refused":
            url = f"http://127.0.0.1:{stack.enter_context(refusing_port())}"
        elif name == "no name":
            monkeypatch.setattr(socket, "getaddrinfo", no_names)
            url = "http://bucket.invalid"
        elif name == "black hole":
            url = "http://{}:{}".format(*stack.enter_context(black_hole()))
            options = {"connect_timeout": 0.2}
        elif name == "untrusted":
            url = site["https"]
        else:
            url = site["http"].replace("http:", "https:")
        found = [
            outcome(listing, named(new_client(session, url, **options)))
            for session in sessions.values()
        ]

    assert found[0] == found[1]
    assert found[0][0] == "raised"


@contextmanager
def own(session, handler, *, tls=None, verify=None, **options):
    """Yield a client of *session*, and the server that it talks to."""
    scheme = "https" if tls else "http"
    with ScriptedServer(handler, tls=tls) as server:
        client = new_client(
            session, f"{scheme}://127.0.0.1:{server.port}", verify=verify, **options
        )
        try:
            yield client, server
        finally:
            client.close()


def put(client, body, **more):
    return client.put_object(Bucket="b", Key="k", Body=body, **more)


# ---- what is sent


def fields_of(head):
    """Return the lines of a request head that do not vary from request to request."""
    lines = head.decode("latin-1").split("\r\n")
    varying = ("x-amz-date", "authorization", "amz-sdk", "host", "connection: keep-alive")
    return lines[0], sorted(
        line.lower() for line in lines[1:] if not line.lower().startswith(varying)
    )


SENT = {
    "bytes": lambda s3: put(s3, b"hello"),
    "nothing": lambda s3: put(s3, b""),
    "file": lambda s3: put(s3, io.BytesIO(b"hello")),
    "empty file": lambda s3: put(s3, io.BytesIO()),
    "get": reading,
    "head": lambda s3: s3.head_object(Bucket="b", Key="k"),
    "delete": lambda s3: s3.delete_object(Bucket="b", Key="a b/ü?"),
    "several": lambda s3: s3.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "k"}]}),
    "begin": lambda s3: s3.create_multipart_upload(Bucket="b", Key="k"),
}


@pytest.mark.parametrize("tls", [False, True])
def test_the_same_fields_and_bodies_are_sent(sessions, certificate, ca_file, tls):
    seen = {}
    for side, session in sessions.items():
        recording = Taking()
        context, verify = (certificate.server_context(), str(ca_file)) if tls else (None, None)
        with own(session, recording, tls=context, verify=verify) as (s3, _):
            for call in SENT.values():
                outcome(call, named(s3))
        seen[side] = [(*fields_of(head), body) for head, body in recording.requests]

    assert len(seen["ours"]) == len(SENT)
    for name, ours, theirs in zip(SENT, seen["ours"], seen["theirs"], strict=True):
        # 100 (Continue) is not asked for where nothing follows.
        expected = [line for line in theirs[1] if theirs[2] or "expect" not in line]
        assert ours == (theirs[0], expected, theirs[2]), name


class Taking(Recording):
    """Keeps requests as `Recording` does; says 100 (Continue), and reads chunks by their sizes."""

    def __call__(self, sock):
        while head := read_head(sock):
            if b"100-continue" in head.lower():
                sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
            body = read_exactly(sock, int(length[1])) if length else b""
            if b"transfer-encoding: chunked" in head.lower():
                while size := int(read_line(sock), 16):
                    body += read_exactly(sock, size)
                    assert read_line(sock) == b""
                assert read_line(sock) == b""
            self.requests.append((head, body))
            sock.sendall(OK)


def read_line(sock):
    line = b""
    while not line.endswith(b"\r\n"):
        line += read_exactly(sock, 1)
    return line[:-2]


def test_a_trailer_with_the_checksum_follows_the_last_chunk(sessions, certificate, ca_file):
    recording = Taking()
    context = certificate.server_context()
    with own(sessions["ours"], recording, tls=context, verify=str(ca_file)) as (s3, _):
        put(s3, io.BytesIO(pattern(2 * MIB + 5)), ChecksumAlgorithm="CRC32")

    ((head, chunks),) = recording.requests
    assert b"content-encoding: aws-chunked" in head.lower()
    data = b""
    while size := int(chunks[: (at := chunks.index(b"\r\n"))], 16):
        data += chunks[at + 2 : at + 2 + size]
        chunks = chunks[at + 4 + size :]
    assert data == pattern(2 * MIB + 5)
    assert re.fullmatch(rb"0\r\nx-amz-checksum-crc32:[\w+/]{6}==\r\n\r\n", chunks)


# ---- 100 (Continue)


@pytest.fixture
def patient(adapter, monkeypatch):
    """Wait for 100 (Continue), or for what comes in its place, on a busy machine, too."""
    monkeypatch.setattr(adapter, "CONTINUE_TIMEOUT", 60)


@pytest.fixture
def hasty(adapter, monkeypatch):
    """Hardly wait for it: the server does not send it."""
    monkeypatch.setattr(adapter, "CONTINUE_TIMEOUT", 0.05)


def test_a_refused_body_is_not_sent(sessions, patient):
    rest = []

    def handler(sock):
        head = read_head(sock)
        sock.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        rest.append((b"\r\nexpect: 100-continue\r\n" in head.lower(), sock.recv(1000)))

    with own(sessions["ours"], handler) as (s3, _):
        assert outcome(lambda s3: put(s3, io.BytesIO(b"x" * 100)), named(s3))[1].endswith(
            "ClientError"
        )

    assert rest == [(True, b"")]


def test_a_body_is_sent_when_the_server_says_so(sessions, patient):
    bodies = []

    def handler(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        bodies.append(read_exactly(sock, 100))
        sock.sendall(OK)

    with own(sessions["ours"], handler) as (s3, _):
        assert put(s3, io.BytesIO(b"x" * 100))["ETag"] == '"1"'
    assert bodies == [b"x" * 100]


def test_a_body_is_sent_if_the_server_says_nothing(sessions, hasty):
    def handler(sock):
        read_head(sock)
        assert read_exactly(sock, 100) == b"x" * 100
        # Late: it must not be taken for a response.
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
        read_head(sock)
        sock.sendall(OK)

    with own(sessions["ours"], handler) as (s3, server):
        assert put(s3, io.BytesIO(b"x" * 100))["ETag"] == '"1"'
        assert s3.head_object(Bucket="b", Key="k")["ETag"] == '"1"'
        assert server.connections == 1


def test_an_expectation_that_failed_is_left_out(sessions, patient):
    heads = []

    def handler(sock):
        heads.append(read_head(sock))
        if b"100-continue" in heads[-1]:
            sock.sendall(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        else:
            read_exactly(sock, 100)
            sock.sendall(OK)

    with own(sessions["ours"], handler) as (s3, _):
        assert put(s3, io.BytesIO(b"x" * 100))["ETag"] == '"1"'
    assert [b"100-continue" in head for head in heads] == [True, False]


# ---- answers before the end of a body


def test_a_refusal_in_the_middle_of_a_body_is_seen(sessions, hasty):
    def handler(sock):
        read_head(sock)
        sock.recv(10)
        sock.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        while sock.recv(65536):
            pass

    with own(sessions["ours"], handler) as (s3, _):
        found = outcome(lambda s3: put(s3, b"x" * 30 * MIB), named(s3))
    assert found[1] == "botocore.exceptions.ClientError"


def test_a_success_before_the_end_of_a_body_is_none(sessions, patient):
    def handler(sock):
        read_head(sock)
        sock.sendall(OK)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass

    with own(sessions["ours"], handler) as (s3, _):
        found = outcome(lambda s3: put(s3, io.BytesIO(b"x" * 100)), named(s3))
    assert found[1] == "botocore.exceptions.ConnectionClosedError"


# ---- retries, which are up to botocore


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
@pytest.mark.parametrize("fault", ["busy", "no answer", "half a list"])
def test_botocore_repeats_as_often_as_it_is_told(sessions, monkeypatch, mode, fault):
    handler = FAULTS[fault][0]
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)

    def third_time(sock):
        if server.connections < 3:
            handler(sock)
        else:
            sending(*sized(len(XML), XML))(sock)

    retries = {"total_max_attempts": 3, "mode": mode}
    with own(sessions["ours"], third_time, retries=retries) as (s3, server):
        found = s3.list_objects_v2(Bucket="b")
    assert found["ResponseMetadata"]["RetryAttempts"] == 2
    assert server.connections == 3


def test_nothing_is_repeated_unless_botocore_says_so(sessions):
    for name in ("no answer", "reset", "busy", "half a list"):
        with own(sessions["ours"], FAULTS[name][0]) as (s3, server):
            assert outcome(listing, named(s3))[0] == "raised"
            assert server.connections == 1, name


def test_a_body_is_rewound_by_botocore(sessions, hasty, monkeypatch):
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    bodies = []

    def second_time(sock):
        read_head(sock)
        if server.connections == 2:
            bodies.append(read_exactly(sock, 100))
            sock.sendall(OK)
        else:
            read_exactly(sock, 50)

    with own(sessions["ours"], second_time, retries={"total_max_attempts": 2}) as (s3, server):
        put(s3, io.BytesIO(b"x" * 100))
    assert bodies == [b"x" * 100]


# ---- connections


class Objects:
    """Answers any number of requests with an object, and closes after *most* of a connection."""

    def __init__(self, most=None, status=b"200 OK"):
        self.most, self.status = most, status
        self.closed = threading.Semaphore(0)

    def __call__(self, sock):
        count = 0
        while count != self.most and (head := read_head(sock)):
            length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
            if length:
                read_exactly(sock, int(length[1]))
            body = b"" if head.startswith((b"PUT", b"HEAD")) else b"object"
            sock.sendall(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (self.status, len(body)))
            sock.sendall(body)
            count += 1
        sock.close()
        self.closed.release()


def test_connections_are_kept(sessions, hasty):
    with own(sessions["ours"], Objects()) as (s3, server):
        for _ in range(3):
            put(s3, b"hello")
            body = s3.get_object(Bucket="b", Key="k")["Body"]
            assert body.read(6) == b"object"  # all of it, though not yet its end
            assert s3.get_object(Bucket="b", Key="k")["Body"].read() == b"object"
            assert b"".join(s3.get_object(Bucket="b", Key="k")["Body"].iter_chunks(4)) == b"object"
            memory = bytearray(6)
            assert s3.get_object(Bucket="b", Key="k")["Body"].readinto(memory) == 6
            s3.head_object(Bucket="b", Key="k")
        assert server.connections == 1


def test_a_connection_is_closed_with_a_body_that_nobody_reads(sessions, nothing_is_left_open):
    with own(sessions["ours"], silent(*sized(10**9, b"x" * 50))) as (s3, server):
        s3.get_object(Bucket="b", Key="k")["Body"].close()
        body = s3.get_object(Bucket="b", Key="k")["Body"]
        assert body.read(50) == b"x" * 50
        del body
        with s3.get_object(Bucket="b", Key="k")["Body"] as raw:
            raw.read(1)
        assert raw.closed
        assert server.connections == 3


def test_a_kept_connection_that_the_server_closed_is_no_error(sessions, hasty):
    objects = Objects(most=1)
    with own(sessions["ours"], objects) as (s3, server):
        for _ in range(3):
            assert reading(s3) == b"object"
            assert objects.closed.acquire(timeout=60)
            put(s3, b"hello")
            assert objects.closed.acquire(timeout=60)
        assert server.connections == 6


def test_only_so_many_idle_connections_are_kept(sessions):
    together = threading.Barrier(3)

    def handler(sock):
        while read_head(sock):
            together.wait(60)
            sock.sendall(OK)

    with own(sessions["ours"], handler, max_pool_connections=2) as (s3, server):
        with ThreadPoolExecutor(3) as executor:
            list(executor.map(lambda _: s3.head_object(Bucket="b", Key="k"), range(3)))
        assert server.connections == 3
        stats = s3._endpoint.http_session._client.stats()
        assert [origin.idle for origin in stats.values()] == [2]


def test_a_closed_client_holds_no_connection_and_can_be_used_again(sessions, nothing_is_left_open):
    with own(sessions["ours"], Objects()) as (s3, server):
        for number in range(1, 3):
            assert reading(s3) == b"object"
            s3.close()
            assert server.connections == number


def test_a_body_may_have_another_time_limit(sessions):
    with own(sessions["ours"], silent(*sized(100, b"x")), read_timeout=60) as (s3, _):
        body = s3.get_object(Bucket="b", Key="k")["Body"]
        body.set_socket_timeout(0.05)
        found = outcome(lambda body: body.read(), named(body))
    assert found[1] == "botocore.exceptions.ReadTimeoutError"


def tls_proxy(**config):
    return {"proxies": {"https": "https://proxy.test"}, "proxies_config": config}


def test_arguments_are_called_as_botocore_does(adapter):
    """Time limits as in `botocore.config.Config`, from where they come."""
    connect, read = adapter.time_limits((3, 4.5))
    assert (connect.given, read.given) == ("connect_timeout=3", "read_timeout=4.5")
    assert [limit.seconds for limit in adapter.time_limits(None)] == [60, 60]
    assert adapter.time_limits((None, 1))[0] is None
    for options, error, message in [
        ({"timeout": "5"}, TypeError, "timeout is a number of seconds, or a pair"),
        ({"timeout": (1, 2, 3)}, TypeError, "timeout is a number of seconds, or a pair"),
        ({"timeout": (1, -2)}, InvalidOption, "a time limit of -2 seconds for read_timeout"),
        ({"timeout": (1, "2")}, TypeError, "read_timeout is a number of seconds"),
        ({"max_pool_connections": "a"}, TypeError, "max_pool_connections is an int"),
        ({"source_address": 7}, TypeError, "source_address is a pair of host and port, not 7"),
        ({"source_address": ("a", 0)}, InvalidOption, "source_address is an IP address of this"),
        ({"source_address": ("127.0.0.1", -1)}, InvalidOption, "the port of source_address"),
        ({"client_cert": 7}, TypeError, "client_cert is a path, or a tuple of certificate"),
        ({"verify": 7}, TypeError, "verify is True, False, or the path"),
        ({"socket_options": 7}, TypeError, "socket_options is a list of .level, option, value."),
        ({"socket_options": [1]}, TypeError, "one of socket_options is .level, option"),
        ({"proxies": ["http://a"]}, TypeError, "proxies is a mapping of schemes to URLs, not"),
        ({"proxies": {"https": 7}}, TypeError, "the proxy for https is a URL, not 7"),
        ({"proxies_config": 7}, TypeError, "proxies_config is a mapping, not 7"),
        (tls_proxy(proxy_client_cert=7), TypeError, "proxy_client_cert is in a file, or bytes"),
        (tls_proxy(proxy_ca_bundle=7), TypeError, "proxy_ca_bundle is a path, or certificates"),
    ]:
        with pytest.raises(error, match=f"^{message}"):
            adapter.HTTPSession(**options)


def test_the_cause_of_a_time_out_shows_the_limit_as_it_was_given(sessions):
    from botocore.exceptions import ReadTimeoutError

    with own(sessions["ours"], silent(), read_timeout=0.05) as (s3, _):
        with pytest.raises(ReadTimeoutError) as caught:
            reading(s3)
        assert str(caught.value.kwargs["error"]).endswith(" for 0.05 s (read_timeout=0.05)")


def test_credentials_in_the_url_of_an_endpoint_are_not_sent(adapter):
    """As with the session of botocore."""
    from botocore.awsrequest import AWSRequest

    request = AWSRequest("GET", "http://me:sesame@a.test/x", stream_output=True).prepare()
    sent = adapter.prepared(request)
    assert str(sent.url) == "http://a.test/x"
    assert "authorization" not in sent.headers


# ---- settings


def test_a_client_keeps_its_settings(adapter, ca_file, certificate):
    from botocore.httpsession import URLLib3Session

    given = {
        "verify": str(ca_file), "proxies": {"https": "http://p.example:8080"}, "timeout": (3, 4),
        "max_pool_connections": 7, "socket_options": [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)],
        "client_cert": (str(certificate.chain), str(certificate.key)),
        "proxies_config": {"proxy_ca_bundle": str(ca_file)},
    }  # fmt: skip

    assert adapter.settings_of(URLLib3Session(**given)) == given | {"source_address": None}
    found = adapter.settings_of(URLLib3Session(False, timeout=9, client_cert="one.pem"))
    assert (found["verify"], found["timeout"], found["client_cert"]) == (False, 9, "one.pem")


def test_a_session_of_another_kind_is_refused(adapter):
    class Other:
        pass

    with pytest.raises(InvalidOption, match="_proxy_config"):
        adapter.settings_of(Other())


@pytest.mark.parametrize("kind", ["boto3", "botocore", "client", "resource"])
def test_it_is_installed_into_sessions_and_clients(adapter, site, kind):
    session = new_session()
    if kind == "botocore":
        assert adapter.install(session._session) is session._session
    elif kind == "boto3":
        assert adapter.install(adapter.install(session)) is session
    client = new_client(session, site["http"])
    if kind == "client":
        assert adapter.install(client) is client
    elif kind == "resource":
        resource = session.resource("s3", endpoint_url=site["http"])
        client = adapter.install(resource).meta.client

    assert type(client._endpoint.http_session) is adapter.HTTPSession
    assert client.list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert type(new_client(new_session(), site["http"])._endpoint.http_session) is not (
        adapter.HTTPSession
    )
    client.close()


def test_it_is_not_installed_elsewhere(adapter):
    with pytest.raises(TypeError, match="session or a client"):
        adapter.install("s3")


def test_an_endpoint_may_be_made_with_it(adapter, sessions):
    """That is what botocore calls *http_session_cls*."""
    from botocore.endpoint import EndpointCreator
    from botocore.hooks import HierarchicalEmitter

    model = new_client(sessions["theirs"], "http://127.0.0.1").meta.service_model
    with ScriptedServer(Objects()) as server:
        endpoint = EndpointCreator(HierarchicalEmitter()).create_endpoint(
            model, "us-east-1", f"http://127.0.0.1:{server.port}",
            http_session_cls=adapter.HTTPSession,
        )  # fmt: skip
        request = {
            "method": "GET", "url": f"http://127.0.0.1:{server.port}/k", "body": b"",
            "headers": {}, "context": {}, "url_path": "/k", "query_string": {},
        }  # fmt: skip
        _, parsed = endpoint.make_request(model.operation_model("GetObject"), request)
        assert parsed["Body"].read() == b"object"
        endpoint.close()


def test_the_certificate_of_the_client_is_shown(sessions, issue, ca, ca_file):
    import ssl

    mine = issue("me.example")
    context = mine.server_context()
    context = issue("127.0.0.1").server_context()
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    chain_and_key = str(mine.chain), str(mine.key)
    with own(
        sessions["ours"], Objects(), tls=context, verify=str(ca_file), client_cert=chain_and_key
    ) as (s3, _):
        assert reading(s3) == b"object"


def test_verification_can_be_left_out(sessions, other_certificate):
    with own(sessions["ours"], Objects(), tls=other_certificate.server_context(), verify=False) as (
        s3,
        _,
    ):
        assert reading(s3) == b"object"


def test_authorities_and_proxies_come_from_the_environment_as_botocore_reads_it(
    sessions, proxy, site, ca_file, monkeypatch
):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(ca_file))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as stack:
        s3 = new_client(new_session_like(sessions["ours"]), site["https"])
        stack.callback(s3.close)
        assert s3.list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200
        stats = s3._endpoint.http_session._client.stats()
        assert len(stats) == 1
        (connector,) = [s3._endpoint.http_session._proxies]
        assert connector["https"].port == proxy.port


def new_session_like(session):
    """Return a new session with this library: an old one has read its settings already."""
    return import_module("dugong_like.adapters.botocore").install(new_session())


def test_plain_requests_go_through_a_proxy(sessions, proxy, site):
    proxies = {"http": f"127.0.0.1:{proxy.port}"}
    s3 = new_client(sessions["ours"], site["http"], proxies=proxies)
    assert s3.list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200
    s3.close()


def test_a_proxy_that_refuses_a_tunnel_is_named_without_its_password(sessions):
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with ScriptedServer(sending(refusal)) as server:
        proxies = {"https": f"http://me:secret@127.0.0.1:{server.port}"}
        s3 = new_client(sessions["ours"], "https://127.0.0.1:1", proxies=proxies)
        with pytest.raises(Exception, match=f"http://127.0.0.1:{server.port}") as caught:
            listing(s3)
    assert type(caught.value).__name__ == "ProxyConnectionError"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("proxy", "config"),
    [
        ("http://", {}),
        ("gopher://p.example", {}),
        ("https://p.example", {"proxy_ca_bundle": "/there/is/none"}),
        ("https://p.example", {"proxy_use_forwarding_for_https": True}),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused(adapter, proxy, config):
    from botocore.exceptions import InvalidProxiesConfigError

    with pytest.raises(InvalidProxiesConfigError):
        adapter.HTTPSession(proxies={"https": proxy}, proxies_config=config)


@pytest.mark.parametrize("body", [b"0123", io.BytesIO(b"0123")], ids=["bytes", "file"])
def test_a_body_that_is_shorter_than_announced_is_an_error(sessions, body):
    """With botocore alone the server waits for the rest of it."""
    with own(sessions["ours"], Taking()) as (s3, _):
        found = outcome(lambda s3: put(s3, body, ContentLength=9), named(s3))
    assert found[1] == "botocore.exceptions.HTTPClientError"


def test_a_body_that_fails_is_the_exception_of_botocore(sessions):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            raise OSError("the disk is gone")

    with own(sessions["ours"], mute) as (s3, server):
        with pytest.raises(Exception, match="the disk is gone") as caught:
            put(s3, Failing(b"x" * 10), ContentMD5="AAAA", ChecksumCRC32="AAAAAA==")
        assert type(caught.value).__name__ in {"HTTPClientError", "OSError"}


def test_the_example_of_the_documentation_runs(adapter, site, tmp_path, monkeypatch):
    text = (ROOT / "doc" / "adapters.rst").read_text()
    block = re.search(r"^\.\. code-block:: py\n\n((?:(?: +.*)?\n)+)", text, re.MULTILINE)[1]
    for name, value in LOGIN.items():
        monkeypatch.setenv(name.upper().replace("REGION_NAME", "AWS_DEFAULT_REGION"), value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", site["http"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"photo")
    client = new_client(new_session(), site["http"])
    client.create_bucket(Bucket="bucket")

    exec(textwrap.dedent(block), {})

    assert client.get_object(Bucket="bucket", Key="photo.jpg")["Body"].read() == b"photo"


def test_an_exception_without_the_package_names_the_extra():
    code = (
        "import sys; sys.modules['botocore'] = None\n"
        "try:\n    import dugong_like.adapters.botocore\n"
        "except ModuleNotFoundError as exc:\n    print(exc)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "install 'dugong-like[botocore]'" in done.stdout
