"""The part of trustme that the tests use, done by another Python.

trustme needs cryptography, and that cffi, which free-threaded CPython 3.13 cannot have.
"""

import atexit
import json
import os
import ssl
import subprocess
from pathlib import Path
from typing import Any

HELPER = """
import datetime, json, sys, trustme
from datetime import datetime

for line in sys.stdin:
    question = json.loads(line)
    if question["authority"] is None:
        made = trustme.CA()
        answer = [made.private_key_pem, made.cert_pem]
    else:
        key, certificate = (text.encode() for text in question["authority"])
        options = question["options"]
        for name in options.keys() & {"not_before", "not_after"}:
            options[name] = datetime.fromisoformat(options[name])
        authority = trustme.CA.from_pem(certificate, key)
        made = authority.issue_cert(*question["names"], **options)
        answer = [made.private_key_pem, *made.cert_chain_pems]
    print(json.dumps([blob.bytes().decode() for blob in answer]), flush=True)
"""


class Helper:
    """A process of the other Python, started when it is first asked."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, **question: Any) -> list["Blob"]:
        """Return the key and the certificates that *question* asks for."""
        if self._process is None:
            python = os.environ["DUGONG_LIKE_SERVER_PYTHON"]
            environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
            self._process = subprocess.Popen(
                [python, "-c", HELPER],
                env=environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            atexit.register(self._end, self._process)
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        return [Blob(text.encode()) for text in json.loads(process.stdout.readline())]

    def _end(self, process: "subprocess.Popen[str]") -> None:
        process.communicate()


class Blob:
    """Something in PEM."""

    def __init__(self, pem: bytes) -> None:
        self._pem = pem

    def bytes(self) -> bytes:
        """Return it."""
        return self._pem

    def write_to_path(self, path: Path, append: bool = False) -> None:
        """Write it to a file."""
        with path.open("ab" if append else "wb") as file:
            file.write(self._pem)


class CA:
    """An authority."""

    def __init__(self) -> None:
        self._own = helper.ask(authority=None)
        self.cert_pem = self._own[1]

    def configure_trust(self, context: ssl.SSLContext) -> None:
        """Have *context* trust it."""
        context.load_verify_locations(cadata=self.cert_pem.bytes().decode())

    def issue_cert(self, *names: str, **options: Any) -> "Issued":
        """Issue a certificate for *names*."""
        times = {k: v.isoformat() for k, v in options.items() if k.startswith("not_")}
        authority = [blob.bytes().decode() for blob in self._own]
        return Issued(*helper.ask(authority=authority, names=names, options=options | times))


class Issued:
    """A certificate that was issued."""

    def __init__(self, key: Blob, *chain: Blob) -> None:
        self.private_key_pem = key
        self.cert_chain_pems = list(chain)


helper = Helper()
