"""Authentication at real servers: Apache httpd, and Squid in front of one."""

import io
import json
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from kit import servers
from kit.digest_server import take_apart
from kit.flows import co_authenticate, co_sender
from kit.support import pattern
from kit.ways import WAYS

from dugong_like import BasicAuth, DigestAuth, HTTPConnection, Request


@pytest.fixture(params=WAYS)
def drive(request):
    return request.param


@pytest.fixture(scope="module")
def begin():
    """A function that starts each server once; its folder can be read by other users."""
    started = {}
    with ExitStack() as stack:

        def begin(kind, **options):
            key = (kind.__name__, *options.items())
            if key not in started:
                folder = Path(tempfile.mkdtemp(prefix="dugong-auth-"))
                stack.callback(shutil.rmtree, folder)
                folder.chmod(0o755)
                started[key] = stack.enter_context(kind(folder, **options))
            return started[key]

        yield begin


def fetch(drive, server, auth, count, path="/file", make_body=None):
    """Return the responses to so many requests, and how many were sent for them."""
    sent = []

    def co_all():
        with HTTPConnection("127.0.0.1", server.port, timeout=20) as conn:
            co_send = co_sender(conn)

            def co_counted(request):
                sent.append(request.headers.get("authorization"))
                return (yield from co_send(request))

            responses = []
            for _ in range(count):
                method = "GET" if make_body is None else "PUT"
                url = f"http://127.0.0.1:{server.port}{path}"
                request = Request(method, url, body=make_body and make_body())
                responses.append((yield from co_authenticate(auth, request, co_counted)))
            yield from conn.co_close()
            return responses

    return drive(co_all()), sent


@pytest.mark.feature("D9", "E11")
@pytest.mark.real("httpd-digest")
@pytest.mark.parametrize("lifetime", [300, 0])
@pytest.mark.parametrize("mutual", [False, True])
def test_digest_at_apache_httpd(drive, begin, lifetime, mutual):
    server = begin(servers.apache, lifetime=lifetime)
    responses, sent = fetch(drive, server, DigestAuth("me", "päss", mutual=mutual), 5)

    assert [response.status_code for response in responses] == [200] * 5
    assert {response.content for response in responses} == {pattern(70_000)}
    assert [value is None for value in sent] == [True] + [False] * 5  # asked once


@pytest.mark.real("httpd-digest")
@pytest.mark.parametrize("login", [("me", "wrong"), ("nobody", "päss")])
def test_wrong_passwords_at_apache_httpd(drive, begin, login):
    responses, sent = fetch(drive, begin(servers.apache, lifetime=300), DigestAuth(*login), 2)

    assert [response.status_code for response in responses] == [401] * 2
    assert len(sent) == 4


@pytest.mark.feature("D9")
@pytest.mark.real("squid-digest")
def test_digest_at_squid(drive, begin, start):
    server = begin(servers.squid, scheme="digest", server=start("uvicorn-h11").port)
    auth = DigestAuth("me", "päss")
    responses, sent = fetch(drive, server, auth, 8, path="/bytes/1024")

    assert [response.status_code for response in responses] == [200] * 8
    assert {response.content for response in responses} == {pattern(1024)}
    assert sent[0] is None
    nonces = {take_apart(value)[0]["nonce"] for value in sent[1:]}
    assert len(nonces) > 2  # one after the other, announced or as the last one was stale
    assert sent[1:].count(None) == 0
    for make_body in (lambda: b"x" * 1000, lambda: io.BytesIO(b"x" * 1000)):
        responses, _ = fetch(drive, server, auth, 2, path="/upload", make_body=make_body)
        assert [response.status_code for response in responses] == [200] * 2
        assert [json.loads(response.content)["length"] for response in responses] == [1000] * 2


@pytest.mark.feature("D8", "E11")
@pytest.mark.real("squid-digest")
def test_basic_at_squid(drive, begin, start):
    server = begin(servers.squid, scheme="basic", server=start("uvicorn-h11").port)

    for password, status in (("päss", 200), ("wrong", 401)):
        responses, sent = fetch(drive, server, BasicAuth("me", password), 2, path="/bytes/1024")
        assert [response.status_code for response in responses] == [status] * 2
        assert len(sent) == 2
