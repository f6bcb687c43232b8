"""pycurl: libcurl, written in C. One handle, set up once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

import pycurl

from .base import BlockingClient, Target

BUFFER = 512 << 10  # bytes of its buffers: the most that libcurl takes for receiving


def handle(target: Target) -> pycurl.Curl:
    """Return a handle for requests to *target*."""
    curl = pycurl.Curl()
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.BUFFERSIZE, BUFFER)
    curl.setopt(pycurl.UPLOAD_BUFFERSIZE, BUFFER)
    if target.ca is not None:
        curl.setopt(pycurl.CAINFO, target.ca)
    if target.http2:
        plain, tls = pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE, pycurl.CURL_HTTP_VERSION_2TLS
        curl.setopt(pycurl.HTTP_VERSION, plain if target.ca is None else tls)
        curl.setopt(pycurl.PIPEWAIT, 1)  # for the connection that there is
    return curl


class Pycurl(BlockingClient):
    """Easy handles."""

    def open(self) -> None:
        self._curl = handle(self.target)
        self._url = self.target.url
        self._parts: list[bytes] = []
        self._curl.setopt(pycurl.WRITEFUNCTION, self._parts.append)

    def close(self) -> None:
        self._curl.close()

    def get(self, path: str) -> bytes:
        self._parts.clear()
        self._curl.setopt(pycurl.URL, self._url + path)
        self._curl.perform()
        return b"".join(self._parts)

    def field(self, path: str) -> tuple[str, bytes]:
        lines: list[bytes] = []
        self._curl.setopt(pycurl.HEADERFUNCTION, lines.append)
        body = self.get(path)
        for line in lines:
            if line.lower().startswith(b"x-field-21:"):
                return line[11:].strip().decode(), body
        raise KeyError("X-Field-21")

    def get_with(self, call: tuple[str, dict[str, str]]) -> bytes:
        path, fields = call
        lines = [f"{name}: {value}" for name, value in fields.items()]
        self._curl.setopt(pycurl.HTTPHEADER, lines)
        return self.get(path)

    def get_anew(self, path: str) -> bytes:
        self._curl.setopt(pycurl.FORBID_REUSE, 1)
        return self.get(path)

    def idle(self, path: str, count: int) -> Any:
        handles = [handle(self.target) for _ in range(count)]
        for curl in handles:
            curl.setopt(pycurl.WRITEFUNCTION, len)
            curl.setopt(pycurl.URL, self._url + path)
            curl.perform()
        return handles

    def download(self, path: str, take: Callable[[Any], None]) -> None:
        self._curl.setopt(pycurl.WRITEFUNCTION, take)
        self._curl.setopt(pycurl.URL, self._url + path)
        self._curl.perform()

    def save(self, path: str, file: BinaryIO) -> None:
        self._curl.setopt(pycurl.WRITEDATA, file)
        self._curl.setopt(pycurl.URL, self._url + path)
        self._curl.perform()

    def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        fields = ["Expect:"]  # libcurl would ask before it sends
        if size is None:
            fields.append("Transfer-Encoding: chunked")
        curl = self._curl
        curl.setopt(pycurl.UPLOAD, 1)
        curl.setopt(pycurl.READDATA, file)
        curl.setopt(pycurl.INFILESIZE_LARGE, -1 if size is None else size)
        curl.setopt(pycurl.HTTPHEADER, fields)
        return self.get(path)
