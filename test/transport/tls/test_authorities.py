"""Whom a context trusts: nobody but those that are named, whatever is wrong with the names."""

import os
import re
import ssl
import subprocess

import certifi
import pytest
from kit.support import ScriptedServer, answering, open_descriptors, program

from dugong_like import (
    CertificateInvalid,
    HTTPConnection,
    InvalidOption,
    Proxy,
    default_ssl_context,
    tls_context,
)
from dugong_like.transport.tls import authorities, contexts

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")
pytestmark = pytest.mark.usefixtures("nothing_is_left_open")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No variable is set, and the default context is made anew."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    default_ssl_context.cache_clear()
    yield monkeypatch
    default_ssl_context.cache_clear()


@pytest.fixture(scope="module")
def place(ca_file, tmp_path_factory):
    """A folder with all that a variable may lead to."""
    root = tmp_path_factory.mktemp("places")
    (root / "good.pem").write_bytes(ca_file.read_bytes())
    (root / "empty.pem").touch()
    (root / "text.pem").write_text("This is no certificate.\n")
    (root / "half.pem").write_bytes(ca_file.read_bytes()[:200])
    (root / "revoked.pem").write_bytes(revocations(root))
    for name in ("hashed", "dangling", "plain", "nothing"):
        (root / name).mkdir()
    command = [program("openssl"), "x509", "-hash", "-noout", "-in", str(ca_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    name = f"{done.stdout.strip()}.0"
    (root / "hashed" / name).write_bytes(ca_file.read_bytes())
    (root / "dangling" / name).symlink_to(root / "gone")
    (root / "plain" / "ca.pem").write_bytes(ca_file.read_bytes())
    return root


def revocations(root):
    """Return a list of revoked certificates, in PEM: OpenSSL takes it, and it trusts nobody."""
    config = root / "ca.cnf"
    config.write_text(
        f"[ca]\ndefault_ca = ours\n[ours]\ndatabase = {root}/index\ndefault_md = sha256\n"
        "default_crl_days = 1\n"
    )
    (root / "index").touch()
    openssl = program("openssl")
    for command in (
        f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -days 1 "
        f"-keyout {root}/key -out {root}/certificate",
        f"ca -gencrl -config {config} -keyfile {root}/key -cert {root}/certificate -out {root}/crl",
    ):
        subprocess.run([openssl, *command.split()], capture_output=True, check=True)
    return (root / "crl").read_bytes()


NOWHERE = [
    ("SSL_CERT_FILE", "missing.pem", "No such file"),
    ("SSL_CERT_FILE", "empty.pem", "no certificate"),
    ("SSL_CERT_FILE", "text.pem", "no certificate"),
    ("SSL_CERT_FILE", "half.pem", "bad end line|no certificate|pem lib"),
    ("SSL_CERT_FILE", "revoked.pem", "there is no certificate in it"),
    ("SSL_CERT_FILE", "hashed", "[Ii]s a directory"),
    ("SSL_CERT_FILE", "", "it is empty"),
    ("SSL_CERT_DIR", "missing", "No such file"),
    ("SSL_CERT_DIR", "good.pem", "Not a directory"),
    ("SSL_CERT_DIR", "nothing", "openssl rehash"),
    ("SSL_CERT_DIR", "plain", "openssl rehash"),
    ("SSL_CERT_DIR", "dangling", "openssl rehash"),
    ("SSL_CERT_DIR", "", "it is empty"),
    ("SSL_CERT_DIR", ":", "it is empty"),
    ("SSL_CERT_DIR", "missing:plain", "missing: No such file.*; .*plain: none of its files"),
]


def value_of(place, names):
    """Return the value of a variable for names in *place*."""
    return os.pathsep.join(str(place / name) if name else "" for name in names.split(":"))


@pytest.mark.reliability(35)
@pytest.mark.parametrize(("variable", "names", "reason"), NOWHERE)
@pytest.mark.parametrize(
    "make",
    [
        default_ssl_context,
        tls_context,
        lambda: tls_context(verify=False),  # may be made to verify later
        lambda: Proxy("https://proxy.test"),
        lambda: HTTPConnection.to("https://server.test"),
        lambda: HTTPConnection("server.test", proxy="https://proxy.test"),
    ],
    ids=["default", "tls_context", "unverified", "Proxy", "to", "URL of a proxy"],
)
def test_variable_that_leads_nowhere_is_an_error(place, environment, variable, names, reason, make):
    value = value_of(place, names)
    environment.setenv(variable, value)
    before = open_descriptors()
    for _ in range(2):  # it is not remembered as done
        with pytest.raises(InvalidOption, match=reason) as failure:
            make()
        assert str(failure.value).startswith(f"{variable}={value}: ")
    assert open_descriptors() <= before


@pytest.mark.reliability(35)
@pytest.mark.parametrize(("variable", "names", "reason"), NOWHERE)
def test_variable_that_leads_nowhere_is_an_error_beside_one_that_leads_somewhere(
    place, environment, variable, names, reason
):
    environment.setenv("SSL_CERT_FILE", str(place / "good.pem"))
    environment.setenv("SSL_CERT_DIR", str(place / "hashed"))
    tls_context()
    environment.setenv(variable, value_of(place, names))
    with pytest.raises(InvalidOption, match=f"^{variable}="):
        tls_context()


@pytest.mark.reliability(35)
def test_what_cannot_be_read_is_an_error(place, environment):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    environment.setenv("SSL_CERT_DIR", str(place / "hashed"))
    with environment.context() as patch:
        patch.setattr(authorities.os, "scandir", refuse)
        with pytest.raises(InvalidOption, match=r"^SSL_CERT_DIR=.*hashed: Permission denied"):
            tls_context()
    environment.setenv("SSL_CERT_FILE", str(place / "good.pem"))
    environment.setattr(ssl.SSLContext, "load_verify_locations", refuse)
    with pytest.raises(InvalidOption, match=r"^SSL_CERT_FILE=.*good\.pem: .*Permission denied"):
        tls_context()


def trusts(certificate, context):
    """Return whether *context* accepts *certificate*."""
    with ScriptedServer(answering(OK), certificate.server_context()) as server:
        try:
            with HTTPConnection("localhost", server.port, context, timeout=20) as conn:
                conn.send_request("GET", "/")
                return conn.read_response().status == 200
        except CertificateInvalid:
            return False


@pytest.mark.feature("B51")
@pytest.mark.parametrize(
    ("variable", "names"),
    [
        ("SSL_CERT_FILE", "good.pem"),
        ("SSL_CERT_DIR", "hashed"),
        ("SSL_CERT_DIR", "missing:hashed"),
        ("SSL_CERT_DIR", ":hashed:"),
    ],
)
def test_variable_that_leads_somewhere(place, environment, certificate, variable, names):
    assert not trusts(certificate, tls_context())
    environment.setenv(variable, value_of(place, names))
    assert trusts(certificate, tls_context())
    assert trusts(certificate, default_ssl_context())


@pytest.mark.feature("E10")
@pytest.mark.reliability(35)
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certifi_is_not_trusted_if_a_variable_is_set(place, environment, certificate, variable):
    """Not even if the system has nothing, and the variable leads to somebody else."""
    environment.setattr(ssl.SSLContext, "load_default_certs", lambda *args: None)
    environment.setattr(certifi, "where", lambda: str(place / "good.pem"))
    assert trusts(certificate, nothing_of_the_system(environment, place))

    environment.setenv(variable, str(place / {"SSL_CERT_FILE": "good.pem"}.get(variable, "hashed")))
    context = tls_context()  # OpenSSL is kept from looking there, so nobody is trusted
    assert not trusts(certificate, context)


def nothing_of_the_system(environment, place):
    """Return the context of a system without any authorities."""
    paths = ssl.get_default_verify_paths()._replace(openssl_capath=str(place / "plain"))
    environment.setattr(ssl, "get_default_verify_paths", lambda: paths)
    return tls_context()


def test_certifi_without_its_file_is_an_error(place, environment):
    environment.setattr(ssl.SSLContext, "load_default_certs", lambda *args: None)
    environment.setattr(certifi, "where", lambda: str(place / "missing.pem"))
    with pytest.raises(InvalidOption, match="authorities from certifi: No such file"):
        nothing_of_the_system(environment, place)


def test_environment_does_not_count_where_authorities_are_given(place, environment, certificate):
    environment.setenv("SSL_CERT_FILE", "/no")
    environment.setenv("SSL_CERT_DIR", "/no")
    for form in (place / "good.pem", place / "hashed", (place / "good.pem").read_bytes()):
        assert trusts(certificate, tls_context(ca=form))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "its path is empty"),
        ("revoked.pem", r"revoked\.pem: there is no certificate in it"),
        ("dangling", "openssl rehash"),
        ("half.pem", "bad end line|no certificate|pem lib"),
    ],
)
def test_authorities_that_are_given_and_trust_nobody(place, given, reason):
    with pytest.raises(InvalidOption, match=f"cannot load authorities from .*({reason})"):
        tls_context(ca=place / given if given else "")


@pytest.mark.parametrize("value", ["missing/keys", "nothing"])
def test_file_for_keys_that_cannot_be_written_names_the_variable(place, environment, value):
    environment.setenv("SSLKEYLOGFILE", str(place / value))
    path = re.escape(str(place / value))
    for make in (default_ssl_context, tls_context, lambda: tls_context(ca=place / "good.pem")):
        with pytest.raises(InvalidOption, match=f"^SSLKEYLOGFILE: cannot write keys to {path}: "):
            make()


def test_reasons_are_those_of_openssl_and_the_system():
    assert authorities.reason_of(FileNotFoundError(2, "No such file")) == "No such file"
    assert authorities.reason_of(ValueError("odd")) == "odd"
    assert authorities.reason_of(ssl.SSLError(1, "some thing (_ssl.c:4154)")) == "some thing"
    assert contexts.name_of(b"x") == "bytes"
