"""A server that keeps files in memory, for synchronising: without WebDAV, or with it.

``Store().client()`` is a client whose requests it answers, over connections without sockets.
"""

import hashlib
import re
import zlib
from urllib.parse import quote, unquote_to_bytes

from kit.memory_site import MemorySite
from kit.sites import answer_of

BASE = "http://example.org/files/"
PREFIX = "/files/"
OC = "http://owncloud.org/ns"


def _digests(data):
    sha1, md5 = hashlib.sha1(data).hexdigest(), hashlib.md5(data).hexdigest()
    return f"SHA1:{sha1} MD5:{md5} ADLER32:{zlib.adler32(data):08x}"


class Store:
    """See above.

    Args:
        webdav: True for WebDAV.
        etags: False to send no ETag, but Last-Modified.
        digests: those that it names in PROPFIND: "owncloud" computes SHA-1, MD5 and Adler-32 of
            what it stores, and refuses a file with OC-Checksum of other bytes; "nextcloud" keeps
            the field as it came; None for none.

    Attributes:
        files: bytes by path, which is bytes as well.
        versions: numbers of these.
        folders: those that MKCOL has made.
        seen: methods and paths, in the order of the requests.
        by: functions of method and path that answer instead, or return None.

    """

    def __init__(self, webdav=False, etags=True, digests=None):
        self.webdav, self.etags, self.digests = webdav, etags, digests
        self.files = {}
        self.named = {}
        self.versions = {}
        self.folders = {b""}
        self.seen = []
        self.by = []
        self._last = 0
        self.site = MemorySite(self._answer)

    def client(self, **options):
        return self.site.client(**options)

    def put(self, path, data):
        self._last += 1
        self.files[path] = data
        self.versions[path] = self._last

    def asked(self, method):
        """Return the paths of all requests with a method."""
        return [path for name, path in self.seen if name == method]

    def texts(self):
        """Return the files, with their paths as text, without the manifest."""
        return {
            path.decode("utf-8", "surrogateescape"): data
            for path, data in self.files.items()
            if path != b"dugong-manifest.jsonl"
        }

    def _answer(self, seen):
        if not seen.target.startswith(PREFIX):
            return answer_of(404)
        path = unquote_to_bytes(seen.target.removeprefix(PREFIX))
        self.seen.append((seen.method, path))
        for function in self.by:
            if (answer := function(seen, path)) is not None:
                return answer
        return getattr(self, f"_{seen.method.lower()}", self._unknown)(seen, path)

    def _unknown(self, seen, path):
        return answer_of(405)

    def _fields(self, path):
        if self.etags:
            return [f'ETag: "{self.versions[path]}"']
        number = self.versions[path]
        return [f"Last-Modified: Sat, 01 Jan 2022 00:{number // 60:02}:{number % 60:02} GMT"]

    def _options(self, seen, path):
        return answer_of(200, "DAV: 1, 2") if self.webdav else answer_of(405)

    def _get(self, seen, path):
        if path not in self.files:
            return answer_of(404, body=b"no such file")
        data, fields = self.files[path], self._fields(path)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", seen.headers.get("range", ""))
        if wanted:
            begin = int(wanted[1])
            if begin >= len(data):
                return answer_of(416, f"Content-Range: bytes */{len(data)}")
            end = min(int(wanted[2]) + 1 if wanted[2] else len(data), len(data))
            fields.append(f"Content-Range: bytes {begin}-{end - 1}/{len(data)}")
            return answer_of(206, *fields, body=data[begin:end])
        return answer_of(200, *fields, body=data)

    def _head(self, seen, path):
        if path not in self.files:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n"
        fields = "".join(f"{field}\r\n" for field in self._fields(path))
        size = len(self.files[path])
        return f"HTTP/1.1 200 OK\r\n{fields}Content-Length: {size}\r\n\r\n".encode()

    def _put(self, seen, path):
        if self.webdav and path.rpartition(b"/")[0] not in self.folders:
            return answer_of(409)
        known = path in self.files
        match, none = seen.headers.get("if-match"), seen.headers.get("if-none-match")
        if (none and known) or (match and match != f'"{self.versions.get(path)}"'):
            return answer_of(412)
        came = seen.headers.get("oc-checksum", "")
        if self.digests == "owncloud" and came and came not in _digests(seen.body):
            return answer_of(400, body=b"The computed checksum does not match")
        self.put(path, seen.body)
        self.named[path] = came if self.digests == "nextcloud" else ""
        return answer_of(204 if known else 201, *self._fields(path))

    def _delete(self, seen, path):
        if path.endswith(b"/"):
            self.folders.discard(path[:-1])
            for each in [each for each in self.files if each.startswith(path)]:
                del self.files[each]
            return answer_of(204)
        return answer_of(404) if self.files.pop(path, None) is None else answer_of(204)

    def _mkcol(self, seen, path):
        path = path.removesuffix(b"/")
        if not self.webdav or path in self.folders:
            return answer_of(405)
        if path.rpartition(b"/")[0] not in self.folders:
            return answer_of(409)
        self.folders.add(path)
        return answer_of(201)

    def _propfind(self, seen, path):
        if not self.webdav:
            return answer_of(405)
        wants_digests = self.digests is not None and b"owncloud.org" in seen.body
        if seen.headers.get("depth") == "0" and path in self.files:
            parts = [self._resource(path, self.files[path], wants_digests)]
            return self._multistatus(parts)
        folder = path.removesuffix(b"/")
        if folder not in self.folders:
            return answer_of(404)
        parts = [self._resource(folder, None)]
        start = folder + b"/" if folder else b""
        for each in sorted(self.folders - {b""}):
            if each.startswith(start) and b"/" not in each[len(start) :] and each != folder:
                parts.append(self._resource(each, None))
        for each, data in sorted(self.files.items()):
            if each.startswith(start) and b"/" not in each[len(start) :]:
                parts.append(self._resource(each, data, wants_digests))
        return self._multistatus(parts)

    def _multistatus(self, parts):
        body = f'<D:multistatus xmlns:D="DAV:">{"".join(parts)}</D:multistatus>'.encode()
        return answer_of(207, body=body)

    def _resource(self, path, data, wants_digests=False):
        href = PREFIX + quote(path)
        if data is None:
            href += "/" if path else ""
            found = "<D:resourcetype><D:collection/></D:resourcetype>"
        else:
            name, _, value = self._fields(path)[0].partition(": ")
            tag = "getetag" if name == "ETag" else "getlastmodified"
            found = f"<D:resourcetype/><D:getcontentlength>{len(data)}</D:getcontentlength>"
            found += f"<D:{tag}>{value}</D:{tag}>"
            named = _digests(data) if self.digests == "owncloud" else self.named.get(path)
            if wants_digests and named:
                found += (
                    f"<o:checksums xmlns:o='{OC}'><o:checksum>{named}</o:checksum></o:checksums>"
                )
        return (
            f"<D:response><D:href>{href}</D:href><D:propstat><D:prop>{found}</D:prop>"
            "<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
        )
