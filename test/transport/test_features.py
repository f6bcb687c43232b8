"""What `features` says, each key against what can really be done; no servers but the ones here."""

import os
import re
import select
import socket
import ssl
import subprocess
import sys
from contextlib import nullcontext

import pytest
from kit.support import ROOT, ScriptedServer, answering

from dugong_like import (
    HTTPConnection,
    InvalidOption,
    SocketOptions,
    Wake,
    cipher_supported,
    features,
    tls_context,
)
from dugong_like.drivers.loop import Loop

PAGE = ROOT / "doc" / "supported.rst"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def succeeds(function, *errors):
    """Say whether *function* works, which otherwise raises one of *errors*."""
    try:
        function()
    except errors:
        return False
    return True


def get(port, **options):
    """Make a request, and return the connection, still open."""
    conn = HTTPConnection("127.0.0.1", port, **options)
    conn.send_request("GET", "/")
    assert conn.read_response().status == 200
    conn.discard()
    return conn


@pytest.mark.feature("A49")
def test_table_has_each_key_with_its_type():
    text = PAGE.read_text().partition(".. _abilities:")[2].partition("Known limitations")[0]
    table = {}
    for keys, kind in re.findall(r"^   \* - (``.*)\n     - (\w+)$", text, re.MULTILINE):
        table |= dict.fromkeys(re.findall(r"``([\w.]+)``", keys), kind)

    assert {key: type(value).__name__ for key, value in features().items()} == table
    assert type(features()) is dict


def test_dict_is_the_callers():
    features()["alpn"] = "changed"

    assert features()["alpn"] is True


def test_python_and_its_lock():
    code = "import sys; print(*sys.version_info[:3], sep='.')"
    version = subprocess.check_output([sys.executable, "-c", code], text=True).strip()

    assert features()["python"].startswith(version)
    assert features()["platform"] == sys.platform
    if sys.version_info < (3, 13):
        assert features()["free_threading"] is False
    else:
        assert features()["free_threading"] is not sys._is_gil_enabled()


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"])
def test_tls_versions(version, certificate, ca_file):
    """Each one that is said to be there, and no other, makes a connection."""
    name = ssl.TLSVersion[version.replace(".", "_")]
    server = certificate.server_context()
    client = ssl.create_default_context(cafile=ca_file)

    def connect():
        with (
            pytest.warns(DeprecationWarning, match="TLS")
            if name < ssl.TLSVersion.TLSv1_2
            else nullcontext()
        ):
            for context in (server, client):
                context.set_ciphers("DEFAULT:@SECLEVEL=0")
                context.minimum_version = context.maximum_version = name
        with ScriptedServer(answering(OK), tls=server) as scripted:
            with HTTPConnection("localhost", scripted.port, client) as conn:
                conn.connect()
                assert conn.tls_version == version

    assert succeeds(connect, ssl.SSLError, ValueError) is (version in features()["tls_versions"])
    assert features()["tls1.3"] is ("TLSv1.3" in features()["tls_versions"])


def test_openssl_is_the_one_that_is_used():
    name = features()["openssl"].split()[0]

    assert name in {"OpenSSL", "LibreSSL", "AWS-LC", "BoringSSL"}
    assert features()["openssl"] == ssl.OPENSSL_VERSION


def test_alpn_sni_sessions(certificate, ca_file):
    names = []
    server = certificate.server_context()
    server.set_alpn_protocols(["http/1.1"])
    server.sni_callback = lambda sock, name, context: names.append(name)
    client = tls_context(ca=ca_file)
    with ScriptedServer(answering(OK, OK), tls=server) as scripted:
        with HTTPConnection("localhost", scripted.port, client) as conn:
            for _ in range(2):
                conn.send_request("GET", "/")
                conn.read_response()
                conn.discard()
                alpn, resumed = conn.alpn, conn.session_reused
                conn.disconnect()

    assert features()["alpn"] is (alpn == "http/1.1")
    assert features()["sni"] is (names[:1] == ["localhost"])
    assert features()["sessions"] is resumed


def test_keys_can_be_logged(tmp_path, certificate, ca_file):
    context = tls_context(ca=ca_file, keylog=tmp_path / "keys")
    with ScriptedServer(answering(OK), tls=certificate.server_context()) as server:
        with HTTPConnection("localhost", server.port, context) as conn:
            conn.connect()

    assert features()["keylog"] is ("CLIENT_" in (tmp_path / "keys").read_text())


@pytest.mark.feature("A49")
@pytest.mark.parametrize(
    "name", ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305", "RC4-MD5", "NO-CIPHER"]
)
def test_ciphers_of_tls_1_2(name, certificate, ca_file):
    """What is said to be there makes a connection."""

    def connect():
        context = tls_context(ca=ca_file, ciphers=name, max_version="TLSv1.2")
        with ScriptedServer(answering(OK), tls=certificate.server_context()) as server:
            with HTTPConnection("localhost", server.port, context) as conn:
                conn.connect()
                assert conn.cipher[0] == name

    if "BEGIN EC" in certificate.key.read_text():
        name = name.replace("RSA", "ECDSA")
    assert succeeds(connect, InvalidOption) is cipher_supported(name)
    assert cipher_supported(name) is (name in features()["ciphers"])


def test_ciphers_of_tls_1_3(certificate, trusting):
    with ScriptedServer(answering(OK), tls=certificate.server_context()) as server:
        with HTTPConnection("localhost", server.port, trusting) as conn:
            conn.connect()
            name, version, _ = conn.cipher

    assert version == "TLSv1.3"
    assert cipher_supported(name)


@pytest.mark.parametrize("name", ["", "HIGH", "ALL", "ecdhe-rsa-aes128-gcm-sha256", "A:B"])
def test_names_of_no_cipher(name):
    assert not cipher_supported(name)


def test_names_of_ciphers_are_strings():
    with pytest.raises(TypeError, match="is a string, not None"):
        cipher_supported(None)


def test_ways_to_poll():
    for name in ("poll", "epoll", "kqueue"):
        assert features()[name] is hasattr(select, name)
    for backend in ("poll", "epoll"):
        assert (
            succeeds(lambda backend=backend: Loop(backend).close(), AttributeError)
            is (features()[backend])
        )


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_eventfd_is_one_descriptor():
    before = len(os.listdir("/proc/self/fd"))
    with Wake():
        used = len(os.listdir("/proc/self/fd")) - before

    assert used == (1 if features()["eventfd"] else 2)


@pytest.mark.skipif(sys.platform == "win32", reason="no os.pipe for sockets")
def test_sendfile_and_splice_move_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"payload")
    here, there = socket.socketpair()
    with here, there, (tmp_path / "file").open("rb") as file:
        if features()["sendfile"]:
            assert os.sendfile(here.fileno(), file.fileno(), 0, 7) == 7
            assert there.recv(10) == b"payload"
        if features()["splice"]:
            reader, writer = os.pipe()
            here.sendall(b"again")
            assert os.splice(there.fileno(), writer, 10) == 5
            assert os.read(reader, 10) == b"again"
            os.close(reader)
            os.close(writer)
    assert features()["sendfile"] is hasattr(os, "sendfile")
    assert features()["splice"] is (sys.platform == "linux" and hasattr(os, "splice"))


def test_ipv6():
    def listen():
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()

    assert features()["ipv6"] is succeeds(listen, OSError)


def test_no_ipv6(monkeypatch):
    monkeypatch.setattr(socket, "has_ipv6", False)
    assert features()["ipv6"] is False

    monkeypatch.setattr(socket, "has_ipv6", True)
    monkeypatch.setattr("dugong_like.transport.features.socket.AF_INET6", 12345)  # no such family
    assert features()["ipv6"] is False


def test_unix_sockets(tmp_path):
    for key, path in (
        ("unix_sockets", os.fspath(tmp_path / "s")),
        ("abstract_unix_sockets", f"\0dugong-like-test-{os.getpid()}"),
    ):

        def request(path=path):
            with ScriptedServer(answering(OK), path=path):
                get(80, uds=path).close()

        assert features()[key] is succeeds(request, AttributeError, OSError, InvalidOption)


def test_keepalive_times():
    def request():
        options = SocketOptions(
            keepalive=True, keepalive_idle=5, keepalive_interval=1, keepalive_probes=2
        )
        with ScriptedServer(answering(OK)) as server:
            get(server.port, socket_options=options).close()

    assert features()["keepalive_times"] is succeeds(request, InvalidOption)


@pytest.mark.parametrize("name", ["gevent", "idna", "trio", "uvloop"])
def test_packages_are_found_but_not_imported(name):
    code = (
        f"import sys, dugong_like\nfound = dugong_like.features()[{name!r}]\n"
        f"assert {name!r} not in sys.modules\n"
        f"try:\n    import {name}\n    there = True\nexcept ImportError:\n    there = False\n"
        "assert found is there"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
