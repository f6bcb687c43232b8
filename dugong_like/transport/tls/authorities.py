"""Certificate authorities of a TLS context: of an argument, of the environment, of the system.

OpenSSL ignores files and directories of the environment that it cannot use. Here they are errors:
otherwise other authorities would be trusted in their place.

Not here: everything else about contexts (contexts.py).
"""

from __future__ import annotations

import os
import re
import ssl
from typing import Any, Final

from ...errors import InvalidOption
from ...http.extras import missing_extra
from ...http.redaction import PEM, quoted

FilePath = str | os.PathLike[str]
Source = FilePath | bytes  # a file, or its contents
FILE: Final = "SSL_CERT_FILE"
FOLDERS: Final = "SSL_CERT_DIR"  # several, separated by `os.pathsep`
KEY_LOG: Final = "SSLKEYLOGFILE"
EMPTY: Final = "it is empty"
NO_CERTIFICATE: Final = "there is no certificate in it"
_hashed = re.compile(r"[0-9a-f]{8}\.[0-9]+").fullmatch  # names that OpenSSL searches
_place = re.compile(r" *\(_ssl\.c:[0-9]+\)$")  # added by Python to messages of OpenSSL


def trusting(ca: FilePath | bytes | None) -> ssl.SSLContext:
    """Return a context that trusts *ca*, and logs keys if the environment demands it.

    Args:
        ca: see `tls_context`. None means the authorities that the environment names, besides
            which OpenSSL may trust some of the system; without any, those of the system; and if
            there are none, those of certifi.

    Raises:
        InvalidOption: they cannot be used, or the file for keys cannot be written to. The message
            names the argument, or the variable with its value, and the reason.
        TypeError: *ca* has the wrong type.

    """
    if ca is not None:
        return _context(name_of(ca), _arguments(ca))
    named = _check_environment()
    context = _context("the system", {})
    if named or context.cert_store_stats()["x509"]:
        return context
    folder = ssl.get_default_verify_paths().openssl_capath  # read when needed
    if _problem_of_folder(folder) is None:
        return context
    import certifi  # noqa: PLC0415 - 4 ms, for systems without authorities

    return _context("certifi", {"cafile": certifi.where()})


def verified_by_system() -> ssl.SSLContext:
    """Return a context whose certificates the operating system verifies, by truststore.

    Raises:
        ModuleNotFoundError: that is not installed.

    """
    try:
        import truststore  # noqa: PLC0415 - an extra
    except ImportError:
        raise missing_extra("tls_context(system=True)", "truststore", "truststore") from None
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    log = os.environ.get(KEY_LOG)
    if log:
        try:
            context.keylog_filename = log
        except OSError as exc:
            raise InvalidOption(f"{KEY_LOG}: cannot write keys to {log}: {reason_of(exc)}") from exc
    return context


def reason_of(exc: Exception) -> str:
    """Return the reason that OpenSSL or the system reports."""
    if isinstance(exc, ssl.SSLError):
        text = _place.sub("", getattr(exc, "reason", None) or str(exc))
        return text.lower().replace("_", " ")
    return getattr(exc, "strerror", None) or str(exc)


def name_of(source: Source) -> str:
    """Return the name of a source of certificates or keys, for messages.

    Raises:
        InvalidOption: it is not a path but the contents of a file, perhaps a key.

    """
    name = os.fsdecode(source) if isinstance(source, str | os.PathLike) else "bytes"
    if PEM in name:
        raise InvalidOption("certificates and keys themselves are given as bytes, not as a string")
    return name


def _context(name: str, where: dict[str, Any]) -> ssl.SSLContext:
    """Return a context that trusts *where*, and logs keys if the environment demands it."""
    try:
        context = ssl.create_default_context(**where)
    except (OSError, ValueError) as exc:
        if (log := getattr(exc, "filename", None)) is not None:  # only of the key log
            raise InvalidOption(f"{KEY_LOG}: cannot write keys to {log}: {reason_of(exc)}") from exc
        raise _unusable(name, reason_of(exc)) from exc
    if where and "capath" not in where and not context.cert_store_stats()["x509"]:
        raise _unusable(name, NO_CERTIFICATE)
    return context


def _unusable(name: str, reason: str) -> InvalidOption:
    return InvalidOption(f"cannot load authorities from {name}: {reason}")


# ---- the argument


def _arguments(ca: FilePath | bytes) -> dict[str, Any]:
    """Return the argument of `ssl.create_default_context` for *ca*.

    Raises:
        InvalidOption: it is empty, or a directory that cannot be used.

    """
    if isinstance(ca, bytes | bytearray | memoryview):
        data = bytes(ca)
        if not data:
            raise _unusable("bytes", "there are none")
        # Comments between the certificates may be in any encoding.
        return {"cadata": data.decode("ascii", "ignore") if b"-----BEGIN" in data else data}
    if not isinstance(ca, str | os.PathLike):
        raise TypeError(f"ca is a path, or certificates as bytes, not {quoted(ca)}")
    path = os.fspath(ca)
    if not path:
        raise _unusable("a file", "its path is empty")
    if not os.path.isdir(path):  # noqa: PTH112 - importing pathlib takes 3 ms
        return {"cafile": path}
    if (problem := _problem_of_folder(path)) is not None:
        raise _unusable(path, problem)
    return {"capath": path}


def _problem_of_folder(path: str) -> str | None:
    """Return why OpenSSL would silently find no certificate in a directory, or None."""
    try:
        with os.scandir(path) as entries:
            usable = any(_hashed(entry.name) and entry.is_file() for entry in entries)
    except OSError as exc:
        return reason_of(exc)
    return None if usable else "none of its files has a name as 'openssl rehash' gives it"


# ---- the environment


def _check_environment() -> bool:
    """Return True if the environment names authorities.

    Raises:
        InvalidOption: a variable leads to none. One of several directories is enough.

    """
    file, folders = os.environ.get(FILE), os.environ.get(FOLDERS)
    if file is not None and (problem := _problem_of_file(file)) is not None:
        raise _leads_nowhere(FILE, file, problem)
    if folders is not None:
        problems = {path: _problem_of_folder(path) for path in folders.split(os.pathsep) if path}
        if None not in problems.values():
            told = [f"{path}: {problem}" for path, problem in problems.items()]
            raise _leads_nowhere(FOLDERS, folders, "; ".join(told) or EMPTY)
    return file is not None or folders is not None


def _problem_of_file(path: str) -> str | None:
    """Return why OpenSSL would silently find no certificate in a file, or None."""
    if not path:
        return EMPTY
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cafile=path)
    except (OSError, ValueError) as exc:
        return reason_of(exc)
    return None if context.cert_store_stats()["x509"] else NO_CERTIFICATE


def _leads_nowhere(variable: str, value: str, reason: str) -> InvalidOption:
    return InvalidOption(
        f"{variable}={value}: no authority can be loaded from there: {reason} "
        "(unset it to trust those of the system)"
    )
