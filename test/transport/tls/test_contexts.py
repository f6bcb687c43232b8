"""TLS contexts: what each setting does in a handshake, and what is said of bad ones."""

import datetime
import os
import ssl
import subprocess
import sys
import tempfile

import pytest
from cryptography.hazmat.primitives import serialization
from kit.every_driver import DRIVERS
from kit.support import ScriptedServer, answering, open_descriptors, program

from dugong_like import CertificateInvalid, DugongError, HandshakeFailed, HTTPConnection
from dugong_like.errors import InvalidOption
from dugong_like.transport.tls import authorities
from dugong_like.transport.tls.contexts import default_ssl_context, tls_context

NEXT_YEAR = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365)


@pytest.fixture
def serve(certificate):
    """A function that starts a server, and connects to it with a context; returns facts."""

    def serve(context, **settings):
        server = certificate.server_context()
        for name, value in settings.items():
            setattr(server, name, value)
        facts = []

        def handler(sock):
            facts.append((sock.version(), sock.cipher()[0], sock.selected_alpn_protocol()))
            facts.append(sock.getpeercert(binary_form=True))
            sock.recv(1)

        with ScriptedServer(handler, server) as running:
            with HTTPConnection("localhost", running.port, context, timeout=30) as conn:
                conn.connect()
        return facts

    return serve


# ---- whom to trust


@pytest.fixture
def hashed_folder(ca_file, tmp_path):
    folder = tmp_path / "authorities"
    folder.mkdir()
    command = [program("openssl"), "x509", "-hash", "-noout", "-in", str(ca_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (folder / f"{done.stdout.strip()}.0").write_bytes(ca_file.read_bytes())
    return folder


@pytest.mark.feature("A47")
@pytest.mark.parametrize("form", ["path", "string", "directory", "PEM", "PEM and comment", "DER"])
def test_authorities_from_anywhere(serve, ca, ca_file, hashed_folder, form):
    pem = ca.cert_pem.bytes()
    authorities = {
        "path": ca_file,
        "string": str(ca_file),
        "directory": hashed_folder,
        "PEM": pem,
        "PEM and comment": "# Zertifizierungsstelle für Tests\n".encode("latin-1") + pem,
        "DER": ssl.PEM_cert_to_DER_cert(pem.decode()),
    }

    assert serve(tls_context(ca=authorities[form]))


@pytest.mark.feature("A47")
def test_authorities_are_trusted_instead_of_those_of_the_system(ca_file):
    [authority] = tls_context(ca=ca_file).get_ca_certs()

    assert "trustme" in str(authority["subject"])


def test_nobody_is_trusted_who_is_not_named(serve):
    with pytest.raises(CertificateInvalid):
        serve(tls_context())


@pytest.mark.feature("A45")
def test_without_verification_anybody_is_trusted(serve, ca_file):
    for context in (tls_context(verify=False), tls_context(verify=False, ca=ca_file)):
        assert serve(context)
        assert context.verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path / "missing.pem", r"missing\.pem: No such file"),
        (lambda path: path / "empty.pem", r"empty\.pem: no certificate"),
        (lambda path: path / "garbage.pem", r"garbage\.pem: "),
        (lambda path: path / "nothing", r"nothing: none of its files"),
        (lambda path: b"", "bytes: there are none"),
        (lambda path: b"-----BEGIN garbage", "bytes: no start line|bytes: not enough data"),
        (lambda path: b"garbage", "bytes: "),
    ],
)
def test_authorities_that_cannot_be_used(tmp_path, make, reason):
    (tmp_path / "empty.pem").touch()
    (tmp_path / "garbage.pem").write_text("-----BEGIN CERTIFICATE-----\n????\n")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "ca.pem").touch()
    before = open_descriptors()
    for verify in (True, False):
        with pytest.raises(InvalidOption, match=f"cannot load authorities from .*{reason}"):
            tls_context(ca=make(tmp_path), verify=verify)
    assert open_descriptors() <= before


def test_directory_that_cannot_be_read(tmp_path, monkeypatch):
    def fail(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(authorities.os, "scandir", fail)
    with pytest.raises(InvalidOption, match=r"authorities from .*: Permission denied"):
        tls_context(ca=tmp_path)


# ---- what to show


@pytest.fixture
def client(ca, tmp_path):
    """A certificate of a client: its PEM, its key, and the DER that the server sees."""
    issued = ca.issue_cert("someone@example.org")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    return chain, issued.private_key_pem.bytes(), ssl.PEM_cert_to_DER_cert(chain.decode())


def encrypted(key, password):
    loaded = serialization.load_pem_private_key(key, None)
    return loaded.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )


@pytest.fixture
def asking(serve, ca_file):
    """A function: connect to a server that asks for a certificate; return what it gets."""

    def asking(**settings):
        context = tls_context(ca=ca_file, **settings)
        return serve(context, verify_mode=ssl.CERT_OPTIONAL)[1]

    return asking


@pytest.fixture
def trusting_server(certificate, ca, monkeypatch):
    """Have servers trust the authority, so that they can check a client."""
    make = certificate.server_context
    context = make()
    ca.configure_trust(context)
    monkeypatch.setattr(type(certificate), "server_context", lambda self: context)


@pytest.mark.feature("A46")
@pytest.mark.usefixtures("trusting_server")
def test_client_certificate_from_files_and_bytes(asking, client, tmp_path):
    chain, key, der = client
    for name, data in (("chain", chain), ("key", key), ("both", key + chain)):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "locked").write_bytes(encrypted(key, b"secret"))
    locked = encrypted(key, b"secret")
    before = open_descriptors()

    for one in (
        tmp_path / "both",
        str(tmp_path / "both"),
        key + chain,
        (tmp_path / "both", None),
        (tmp_path / "chain", tmp_path / "key"),
        (tmp_path / "chain", key),
        (chain, str(tmp_path / "key")),
        (chain, key),
        (chain, key, None),
        (tmp_path / "chain", tmp_path / "locked", "secret"),
        (chain, locked, b"secret"),
        (locked + chain, None, "secret"),
    ):
        assert asking(client_cert=one) == der
    assert asking() is None
    assert open_descriptors() <= before


@pytest.mark.usefixtures("trusting_server")
def test_bytes_where_there_are_no_files_in_memory(asking, client, monkeypatch):
    chain, key, der = client
    made = []
    make = tempfile.mkstemp

    def note():
        made.append(make()[1])
        return os.open(made[-1], os.O_WRONLY), made[-1]

    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(tempfile, "mkstemp", note)

    assert asking(client_cert=(chain, key)) == der
    assert len(made) == 2
    assert not any(map(os.path.exists, made))
    with pytest.raises(InvalidOption):
        tls_context(client_cert=b"-----BEGIN garbage")
    assert not any(map(os.path.exists, made))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path, chain, key, locked: path / "missing", "missing: No such file"),
        (lambda path, chain, key, locked: (chain, path / "missing"), "missing: No such"),
        (lambda path, chain, key, locked: chain, "from bytes: no certificate and key in PEM"),
        (lambda path, chain, key, locked: (chain, chain), "from bytes and bytes: no cert"),
        (lambda path, chain, key, locked: (chain, locked), "is encrypted, and no password"),
        (lambda path, chain, key, locked: (chain, locked, "wrong"), "wrong password|bad decrypt"),
        (lambda path, chain, key, locked: b"\x30\x82", "given as bytes is in PEM"),
        (lambda path, chain, key, locked: (chain, key, "x" * 2000), "password cannot be longer"),
    ],
)  # fmt: skip
def test_client_certificate_that_cannot_be_used(client, tmp_path, make, reason):
    chain, key, _ = client
    before = open_descriptors()
    locked = encrypted(key, b"secret")
    if "longer" in reason:
        key = locked
    with pytest.raises(InvalidOption, match=reason) as failure:
        tls_context(client_cert=make(tmp_path, chain, key, locked))
    assert "PRIVATE" not in str(failure.value)
    assert "x" * 100 not in str(failure.value)
    assert isinstance(failure.value, DugongError)
    assert isinstance(failure.value, ValueError)
    assert not failure.value.retryable
    assert open_descriptors() <= before


def test_key_of_another_certificate(client, ca):
    other = ca.issue_cert("another@example.org").private_key_pem.bytes()
    with pytest.raises(InvalidOption, match="from bytes and bytes: key values mismatch"):
        tls_context(client_cert=(client[0], other))


@pytest.mark.parametrize("wrong", [(), ("a",), ("a", "b", "c", "d"), 5, (None, "key"), ("a", 5)])
def test_client_certificate_of_a_wrong_type(wrong):
    with pytest.raises(TypeError, match="client_cert is"):
        tls_context(client_cert=wrong)


@pytest.mark.usefixtures("trusting_server")
def test_no_password_is_asked_for_at_the_terminal(client, tmp_path):
    chain, key, _ = client
    (tmp_path / "both").write_bytes(encrypted(key, b"secret") + chain)
    code = "import sys; from dugong_like import tls_context; tls_context(client_cert=sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "both")],
        capture_output=True, text=True, timeout=20, check=False, input="secret\n",
        start_new_session=True,
    )  # fmt: skip

    assert "pass phrase" not in done.stdout + done.stderr
    assert "InvalidOption" in done.stderr


# ---- what to speak


@pytest.mark.feature("A45")
def test_versions(serve, ca_file):
    versions = [
        ({}, "TLSv1.3"),
        ({"max_version": "TLSv1.2"}, "TLSv1.2"),
        ({"min_version": "TLSv1.3"}, "TLSv1.3"),
        ({"max_version": ssl.TLSVersion.TLSv1_2}, "TLSv1.2"),
        ({"min_version": "TLSv1.3", "max_version": "TLSv1.3"}, "TLSv1.3"),
    ]
    for settings, expected in versions:
        assert serve(tls_context(ca=ca_file, **settings))[0][0] == expected
    with pytest.raises(HandshakeFailed):
        serve(
            tls_context(ca=ca_file, min_version="TLSv1.3"),
            maximum_version=ssl.TLSVersion.TLSv1_2,
        )


@pytest.mark.parametrize("option", ["min_version", "max_version"])
@pytest.mark.parametrize(
    "version", ["1.2", "TLSv1.1", "SSLv3", "", 1, 2.5, [], ssl.TLSVersion.TLSv1_1]
)
def test_versions_that_are_none_or_too_old(option, version):
    with pytest.raises(InvalidOption, match=rf"{option} is one of TLSv1\.2, TLSv1\.3 .*RFC 8996"):
        tls_context(**{option: version})


def test_versions_that_leave_nothing():
    with pytest.raises(InvalidOption, match="nothing is left"):
        tls_context(min_version="TLSv1.3", max_version="TLSv1.2")


@pytest.mark.feature("A45")
def test_ciphers(serve, ca_file):
    context = tls_context(
        ca=ca_file, max_version="TLSv1.2", ciphers="ECDHE+AESGCM:!AES256"
    )  # fmt: skip

    assert "AES128-GCM" in serve(context)[0][1]
    with pytest.raises(InvalidOption, match="no cipher in 'NONSENSE'"):
        tls_context(ciphers="NONSENSE")
    with pytest.raises(TypeError, match="ciphers is a string"):
        tls_context(ciphers=["ECDHE"])


@pytest.mark.feature("A5", "A45")
def test_protocols_that_are_offered(serve, ca_file, certificate, monkeypatch):
    context = certificate.server_context()
    context.set_alpn_protocols(["h2", "http/1.1", "http/1.0"])
    monkeypatch.setattr(type(certificate), "server_context", lambda self: context)

    for alpn, chosen in ((("http/1.1",), "http/1.1"), (["http/1.0"], "http/1.0"), ((), None)):
        assert serve(tls_context(ca=ca_file, alpn=alpn))[0][2] == chosen
    assert serve(tls_context(ca=ca_file, alpn=None))[0][2] is None
    assert serve(tls_context(ca=ca_file))[0][2] == "http/1.1"
    with pytest.raises(HandshakeFailed, match="the protocol h2, not"):
        serve(tls_context(ca=ca_file, alpn=("h2", "http/1.1")))


@pytest.mark.parametrize(
    ("alpn", "error", "reason"),
    [
        ("http/1.1", TypeError, "a sequence of names, such as"),
        ([b"h2"], TypeError, "is a string, not b'h2'"),
        ([""], InvalidOption, "not the name of a protocol"),
        (["ü"], InvalidOption, "not the name of a protocol"),
        (["x" * 256], InvalidOption, "not the name of a protocol"),
    ],
)
def test_protocols_that_are_none(alpn, error, reason):
    with pytest.raises(error, match=reason):
        tls_context(alpn=alpn)


@pytest.mark.feature("C41")
def test_keys_are_logged(serve, ca_file, tmp_path, monkeypatch):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "environment"))
    serve(tls_context(ca=ca_file))
    serve(tls_context(ca=ca_file, keylog=tmp_path / "argument"))

    for name in ("environment", "argument"):
        assert (tmp_path / name).read_text().count("CLIENT_TRAFFIC_SECRET") == 1


@pytest.mark.parametrize("verify", [True, False])
def test_file_that_keys_cannot_be_written_to(tmp_path, monkeypatch, verify):
    missing = tmp_path / "no" / "keys"
    with pytest.raises(InvalidOption, match=r"cannot write keys to .*no/keys: No such file"):
        tls_context(keylog=missing, verify=verify)
    monkeypatch.setenv("SSLKEYLOGFILE", str(missing))
    with pytest.raises(InvalidOption, match=r"cannot write keys to .*no/keys: No such file"):
        tls_context(verify=verify)


# ---- the default


def test_default_context_is_made_once_and_sees_that_a_stream_was_cut_off():
    context = default_ssl_context()

    assert context is default_ssl_context()
    assert not context.options & ssl.OP_IGNORE_UNEXPECTED_EOF
    assert not context.hostname_checks_common_name
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert tls_context() is not tls_context()


# ---- verified by the system


@pytest.mark.feature("E39")
def test_system_verifies(serve, ca_file, monkeypatch):
    """On Linux its authorities are those of OpenSSL, which the environment may name."""
    pytest.importorskip("truststore")
    with pytest.raises(CertificateInvalid):
        serve(tls_context(system=True))
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    (version, _, alpn), _ = serve(
        tls_context(system=True, max_version="TLSv1.2", alpn=["http/1.1"])
    )
    assert (version, alpn) == ("TLSv1.2", None)


@pytest.mark.feature("E39")
def test_context_of_the_system_under_every_driver(certificate, ca_file, monkeypatch):
    pytest.importorskip("truststore")
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    context = tls_context(system=True)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with ScriptedServer(answering(*[answer] * 20), certificate.server_context()) as server:
        for driver in DRIVERS:
            with HTTPConnection("localhost", server.port, context, timeout=20) as conn:
                assert driver(conn.co_exchange("GET", "/")).body == b"ok"


def test_system_shows_a_client_certificate_and_logs_keys(serve, certificate, ca_file, tmp_path):
    pytest.importorskip("truststore")
    log = tmp_path / "keys"
    client = (certificate.chain, certificate.key)
    context = tls_context(system=True, client_cert=client, keylog=log)
    context.load_verify_locations(ca_file)
    serve(context)
    assert b"CLIENT" in log.read_bytes()


def test_system_and_what_it_does_not_go_with(monkeypatch, tmp_path):
    for more in ({"ca": "file"}, {"verify": False}):
        with pytest.raises(InvalidOption, match="system=True"):
            tls_context(system=True, **more)
    with pytest.raises(TypeError, match="system"):
        tls_context(system="yes")
    pytest.importorskip("truststore")
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "none" / "keys"))
    with pytest.raises(InvalidOption, match="SSLKEYLOGFILE"):
        tls_context(system=True)
    monkeypatch.setitem(sys.modules, "truststore", None)
    with pytest.raises(ModuleNotFoundError, match=r"dugong-like\[truststore\]"):
        tls_context(system=True)
