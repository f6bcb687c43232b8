"""TLS contexts: authorities, client certificate, versions, ciphers, ALPN.

Other settings can be made in the returned `ssl.SSLContext` before it is used, and any other
context is accepted as well.

Not here: the authorities (authorities.py), handshakes (over_socket.py), and settings of single
connections: the name of the server (transport/connect/socket_options.py) and the fingerprint of
its certificate (fingerprints.py).
"""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, NoReturn

from ...errors import InvalidOption
from ...http.redaction import quoted
from ...polling.numbers import check_flag
from .alpn import set_offer
from .authorities import FilePath, Source, name_of, reason_of, trusting, verified_by_system

Password = str | bytes
ClientCertificate = (
    Source | tuple[Source, Source | None] | tuple[Source, Source | None, Password | None]
)

VERSIONS: Final = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
MAX_PROTOCOL: Final = 255  # bytes of the name of a protocol (RFC 7301 section 3.1)


@functools.cache
def default_ssl_context() -> ssl.SSLContext:
    """Return the context for https that verifies certificate and host name.

    It trusts the certificate authorities of the system; if there are none, those of certifi. It
    respects the variables ``SSL_CERT_FILE``, ``SSL_CERT_DIR`` and ``SSLKEYLOGFILE``. TLS 1.2 is the
    minimum. The context is made at the first call, once for the process.

    Raises:
        InvalidOption: one of these variables leads nowhere: no certificate can be read there, or
            the file for keys cannot be written to. The message names variable, value and reason.

    """
    return tls_context()


def tls_context(  # noqa: PLR0913 - each is one setting
    *,
    verify: bool = True,
    ca: FilePath | bytes | None = None,
    system: bool = False,
    client_cert: ClientCertificate | None = None,
    min_version: str | ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    max_version: str | ssl.TLSVersion | None = None,
    ciphers: str | None = None,
    alpn: Sequence[str] | None = ("http/1.1",),
    keylog: FilePath | None = None,
) -> ssl.SSLContext:
    """Return a new TLS context for https. Make it once: it takes some 15 milliseconds.

    Args:
        verify: False to accept any certificate, for any name. Then anyone in between can
            read and change everything, unless the connection has a *fingerprint*.
        ca: the authorities to trust instead of those of the system (if there are none, those
            of certifi): a file in PEM, a directory made by ``openssl rehash``, or the
            certificates as bytes, in PEM or DER. With None ``SSL_CERT_FILE`` and
            ``SSL_CERT_DIR`` are respected, as by `default_ssl_context`.
        system: True to have the operating system verify certificates, by its own rules and with
            all that its administrator has installed: on macOS and Windows, too, and wherever Linux
            has its authorities. It needs truststore (the extra of that name).
        client_cert: the certificate for a server that asks for one: a file in PEM with key
            and certificates, or such bytes, or ``(certificates, key)`` or
            ``(certificates, key, password)``, each a file or bytes; a key of None is in
            the same file as the certificates. Bytes are never written to a disk if the system
            has files in memory (Linux).
        min_version: ``"TLSv1.2"``, ``"TLSv1.3"``, or a member of `ssl.TLSVersion`. Older
            versions are not allowed (RFC 8996).
        max_version: as *min_version*; None sets no limit.
        ciphers: those of TLS 1.2, in OpenSSL's list format; None for the default of Python.
        alpn: the protocols to offer (RFC 7301); None offers none. The connection refuses a
            server that selects another one than HTTP/1.1.
        keylog: a file to which the keys of each connection are appended, for decrypting
            recorded packets; None for the one that ``SSLKEYLOGFILE`` names, if it is set.

    Returns:
        The context. Host names are compared with the subject alternative names of the
        certificate only (RFC 9110 section 4.3.4), and truncation of a stream is an error.

    Raises:
        InvalidOption: a file cannot be used, also one that the environment names, or an
            argument is invalid; the message names it, and the reason.
        TypeError: an argument has the wrong type.
        ModuleNotFoundError: *system* needs truststore.

    """
    check_flag("verify", verify)
    check_flag("system", system)
    if system and (ca is not None or not verify):
        other = "ca" if verify else "verify=False"
        raise InvalidOption(f"system=True leaves it to the system what is trusted: not {other}")
    context = verified_by_system() if system else trusting(ca)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _limit_versions(context, min_version, max_version)
    # Some builds of Python set it (3.11.2 of Debian); a truncated stream would look complete.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    context.hostname_checks_common_name = False  # RFC 9110 section 4.3.4
    if client_cert is not None:
        _load_client(context, client_cert)
    if ciphers is not None:
        _set_ciphers(context, ciphers)
    _offer(context, alpn)
    if keylog is not None:
        _log_keys(context, keylog)
    return context


# ---- what to show


def _load_client(context: ssl.SSLContext, client: ClientCertificate) -> None:
    certificates, key, password = _client_parts(client)
    names = name_of(certificates) if key is None else f"{name_of(certificates)} and {name_of(key)}"
    what = f"cannot load the client certificate from {names}"

    def no_password() -> NoReturn:  # or OpenSSL would ask on the terminal
        raise InvalidOption(f"{what}: the key is encrypted, and no password was given")

    with ExitStack() as stack:
        try:
            cert_path = stack.enter_context(_as_file(certificates))
            key_path = None if key is None else stack.enter_context(_as_file(key))
            context.load_cert_chain(cert_path, key_path, password or no_password)
        except InvalidOption:
            raise
        except (OSError, ValueError) as exc:
            reason = reason_of(exc)
            if reason.endswith("pem lib"):  # the whole text of OpenSSL
                reason = "no certificate and key in PEM" if password is None else "wrong password"
            raise InvalidOption(f"{what}: {reason}") from exc
    # With TLS 1.3 a server may ask later, for some paths only (RFC 8446 section 4.6.2).
    context.post_handshake_auth = True


def _client_parts(client: ClientCertificate) -> tuple[Source, Source | None, Password | None]:
    if not isinstance(client, tuple | list):
        client = (client, None)
    if len(client) not in {2, 3}:
        raise TypeError("client_cert is (certificates, key) or (…, …, password)")
    certificates, key, password = (*client, None)[:3]
    for part in (certificates, key):
        if part is not None and not isinstance(part, str | bytes | os.PathLike):
            raise TypeError(f"client_cert is in a file, or bytes, not {quoted(part)}")
    if certificates is None:
        raise TypeError("client_cert is in a file, or bytes, not None")
    return certificates, key, password


@contextmanager
def _as_file(source: Source) -> Iterator[str]:
    """Yield the path of a file with the contents of *source*, which may be a path itself.

    Python passes keys to OpenSSL as files only. If the system has files in memory, nothing is
    written to a disk.
    """
    if not isinstance(source, bytes):
        yield os.fspath(source)
        return
    if b"-----BEGIN" not in source:
        raise InvalidOption("a client certificate given as bytes is in PEM: -----BEGIN …")
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("dugong_like")
        path = f"/proc/self/fd/{fd}"
    else:
        import tempfile  # noqa: PLC0415 - 5 ms, for systems without files in memory

        fd, path = tempfile.mkstemp()  # for this user only
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 - it is a number
            file.write(source)
            file.flush()
            yield path
    finally:
        if not hasattr(os, "memfd_create"):
            os.unlink(path)  # noqa: PTH108 - as it was made


# ---- what to speak


def _limit_versions(
    context: ssl.SSLContext, low: str | ssl.TLSVersion, high: str | ssl.TLSVersion | None
) -> None:
    context.minimum_version = minimum = _version("min_version", low)
    if high is None:
        return
    context.maximum_version = maximum = _version("max_version", high)
    if maximum < minimum:
        raise InvalidOption("max_version is TLS 1.2 and min_version TLS 1.3: nothing is left")


def _version(option: str, version: str | ssl.TLSVersion) -> ssl.TLSVersion:
    known = VERSIONS.get(version) if isinstance(version, str) else version
    if known is None or known not in VERSIONS.values():
        raise InvalidOption(
            f"{option} is one of {', '.join(VERSIONS)} (RFC 8996), not {quoted(version)}"
        )
    return known


def _set_ciphers(context: ssl.SSLContext, ciphers: str) -> None:
    if not isinstance(ciphers, str):
        raise TypeError(f"ciphers is a string as OpenSSL has it, not {quoted(ciphers)}")
    try:
        context.set_ciphers(ciphers)
    except ssl.SSLError as exc:
        raise InvalidOption(f"OpenSSL has no cipher in {quoted(ciphers)}") from exc


def _offer(context: ssl.SSLContext, protocols: Sequence[str] | None) -> None:
    if protocols is None:
        return
    if isinstance(protocols, str | bytes) or not isinstance(protocols, Iterable):
        shown = quoted(protocols)
        raise TypeError(f"alpn is a sequence of names, such as ('http/1.1',), not {shown}")
    for name in protocols:
        if not isinstance(name, str):
            raise TypeError(f"alpn: the name of a protocol is a string, not {quoted(name)}")
        if not name.isascii() or not 0 < len(name) <= MAX_PROTOCOL:
            raise InvalidOption(f"not the name of a protocol (RFC 7301): {quoted(name)}")
    if protocols:
        set_offer(context, list(protocols))


def _log_keys(context: ssl.SSLContext, path: FilePath) -> None:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"keylog is the path of a file, not {quoted(path)}")
    try:
        context.keylog_filename = os.fspath(path)
    except OSError as exc:
        raise InvalidOption(f"cannot write keys to {name_of(path)}: {reason_of(exc)}") from exc
