"""A site of files in memory, for the file systems for fsspec: folders as pages with links, WebDAV.

It has the oddities of real servers that listing, sizes and ranges depend on: see `FolderSite`.
"""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

ETAG = '"1"'
PROPERTIES = (
    "<response><href>{href}</href><propstat><prop><resourcetype>{kind}</resourcetype>{more}"
    "<getlastmodified>Sun, 06 Nov 1994 08:49:37 GMT</getlastmodified>"
    "<creationdate>1994-11-06T08:49:37Z</creationdate></prop>"
    "<status>HTTP/1.1 200 OK</status></propstat></response>"
)


class FolderSite:
    """A context manager: the site runs within it.

    Args:
        files: bytes by paths, such as ``"/folder/file"``. The folders are those of the files.
        oddities: names of what the server does differently: ``"no HEAD"`` (405), ``"HEAD is
            forbidden"``, ``"no length"``, ``"length by HEAD only"``, ``"no ranges"``, ``"says no
            ranges"``, ``"gzip"`` (always), ``"gzip if asked"``, ``"PUT needs a folder"`` (409),
            ``"no slash behind files"`` (400 to PROPFIND).

    Attributes:
        url: of the site, without a slash at its end.
        seen: method, path and fields of each request.
        statuses: status by path, of a response without the file.
        redirects: target by path.
        folders: paths of folders, for WebDAV: those of files are not needed.

    """

    def __init__(self, files, *oddities):
        self.files = dict(files)
        self.oddities = set(oddities)
        self.seen = []
        self.statuses = {}
        self.redirects = {}
        self.folders = set()
        self.lock = threading.Lock()

    def __enter__(self):
        site = self

        class SiteHandler(Handler):
            pass

        SiteHandler.site = site
        self._server = Server(("127.0.0.1", 0), SiteHandler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def asked(self, *methods):
        """Return method, path and Range of the requests, of these methods if there are any."""
        return [
            (method, path, fields.get("Range"))
            for method, path, fields in self.seen
            if not methods or method in methods
        ]

    def is_folder(self, path):
        path = path.rstrip("/")
        return (
            not path
            or path in self.folders
            or any(name.startswith(f"{path}/") for name in (*self.files, *self.folders))
        )

    def members(self, path):
        """Return the names in a folder, those of folders with a slash."""
        begin = f"{path.rstrip('/')}/"
        found = {}
        for name in (*self.files, *(f"{each}/" for each in self.folders)):
            if name.startswith(begin) and name != begin:
                first, slash, _ = name[len(begin) :].partition("/")
                found[first + slash] = None
        return list(found)


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # of five, a connection more may wait a second for its place


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    site: FolderSite

    def log_message(self, *arguments):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def note(self):
        self.site.seen.append((self.command, self.path, dict(self.headers)))
        return unquote(self.path.partition("?")[0])

    def answer(self, status, body=b"", **fields):
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        if "Content-Length" not in fields and status != 204:
            if "Connection" in fields:
                self.close_connection = True
            else:
                self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def found(self, path):
        """Return the bytes of a file or of the page of a folder; None if there is neither."""
        site = self.site
        if path in site.files:
            return site.files[path]
        if not site.is_folder(path):
            return None
        links = (f'<a class="x" href="{quote(name)}">{name}</a>' for name in site.members(path))
        sorting = '<a href="?C=N;O=D">Name</a> <a href="../">up</a>'
        return f"<html><body>{sorting}<br>{'<br>'.join(links)}</body></html>".encode()

    def do_HEAD(self):
        path = self.note()
        odd = self.site.oddities
        if "no HEAD" in odd:
            self.answer(405)
        elif "HEAD is forbidden" in odd:
            self.answer(403, Content_Length="123")
        else:
            self.send_file(path)

    def do_GET(self):
        self.send_file(self.note())

    def send_file(self, path):
        site = self.site
        odd = site.oddities
        if path in site.redirects:
            return self.answer(301, Location=site.redirects[path])
        data = self.found(path)
        if "folders have no page" in odd and path not in site.files:
            data = None
        if path in site.statuses or data is None:
            return self.answer(site.statuses.get(path, 404), b"no\n")
        fields = {"ETag": ETAG}
        if path not in site.files:
            fields["Content-Type"] = "text/html; charset=utf-8"
        accepted = self.headers.get("Accept-Encoding", "")
        if "gzip" in odd or ("gzip if asked" in odd and "gzip" in accepted):
            data = gzip.compress(data, mtime=0)
            fields["Content-Encoding"] = "gzip"
        if "says no ranges" in odd:
            fields["Accept-Ranges"] = "none"
        status, wanted = 200, self.headers.get("Range")
        if wanted and self.command == "GET" and not {"no ranges", "says no ranges"} & odd:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            size = len(data)
            begin = int(first) if first else max(size - int(last), 0)
            end = min(int(last) + 1, size) if first and last else size
            if begin >= size:
                return self.answer(416, Content_Range=f"bytes */{size}")
            status, data = 206, data[begin:end]
            fields["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
        elif "no length" in odd or ("length by HEAD only" in odd and self.command == "GET"):
            fields["Connection"] = "close"
        return self.answer(status, data, **fields)

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_PUT(self):
        path, site = self.note(), self.site
        data = self.body()
        if self.headers.get("If-None-Match") == "*" and path in site.files:
            return self.answer(412)
        if path in site.statuses:
            return self.answer(site.statuses[path])
        if "PUT needs a folder" in site.oddities and not site.is_folder(path.rpartition("/")[0]):
            return self.answer(409)
        if "folders have no page" in site.oddities and site.is_folder(path):
            return self.answer(405)
        site.files[path] = data
        return self.answer(201)

    do_POST = do_PUT

    def do_DELETE(self):
        path, site = self.note(), self.site
        if path.endswith("/") and site.is_folder(path):
            self.remove(path.rstrip("/"))
        elif site.files.pop(path, None) is None:
            return self.answer(404)
        return self.answer(204)

    def remove(self, folder):
        site = self.site
        for name in list(site.files):
            if name.startswith(f"{folder}/"):
                del site.files[name]
        site.folders = {
            each for each in site.folders if each != folder and not each.startswith(f"{folder}/")
        }

    # ---- WebDAV (RFC 4918)

    def do_PROPFIND(self):
        path, site = self.note(), self.site
        self.body()
        if path in site.statuses:
            return self.answer(site.statuses[path])
        if path.rstrip("/") not in site.files and not site.is_folder(path):
            return self.answer(404)
        if (
            "no slash behind files" in site.oddities
            and path[-1:] == "/"
            and path[:-1] in site.files
        ):
            return self.answer(400)
        told = [path.rstrip("/")]
        if self.headers["Depth"] == "1" and site.is_folder(path):
            told += [f"{told[0]}/{name.rstrip('/')}" for name in site.members(path)]
        text = "".join(map(self.properties, told))
        xml = f'<?xml version="1.0"?><multistatus xmlns="DAV:">{text}</multistatus>'
        return self.answer(207, xml.encode(), Content_Type="application/xml")

    def properties(self, path):
        if path in self.site.files:
            size = len(self.site.files[path])
            more = f"<getcontentlength>{size}</getcontentlength><getetag>{ETAG}</getetag>"
            return PROPERTIES.format(href=escape(quote(path, safe="/~()")), kind="", more=more)
        href = f"{quote(path)}/"
        return PROPERTIES.format(href=escape(href), kind="<collection/>", more="")

    def do_MKCOL(self):
        path, site = self.note().rstrip("/"), self.site
        if path in site.files or site.is_folder(path):
            return self.answer(405)
        if not site.is_folder(path.rpartition("/")[0]):
            return self.answer(409)
        site.folders.add(path)
        return self.answer(201)

    def do_COPY(self):
        path, site = self.note().rstrip("/"), self.site
        target = unquote(self.headers["Destination"].partition("://")[2].partition("/")[2])
        target = f"/{target.rstrip('/')}"
        if path not in site.files and not site.is_folder(path):
            return self.answer(404)
        if not site.is_folder(target.rpartition("/")[0]):
            return self.answer(409)
        if self.headers["Overwrite"] == "F" and target in site.files:
            return self.answer(412)
        for name in [path, *site.files]:
            if name in site.files and (name == path or name.startswith(f"{path}/")):
                site.files[target + name[len(path) :]] = site.files[name]
        for name in list(site.folders):
            if name == path or name.startswith(f"{path}/"):
                site.folders.add(target + name[len(path) :])
        if self.command == "MOVE":
            site.files.pop(path, None)
            self.remove(path)
        return self.answer(201)

    do_MOVE = do_COPY


def cat_elsewhere(fs, url, answers):
    """Put the bytes of a file into a queue: in a process that can import this module."""
    answers.put(fs.cat_file(url))
    fs.client.close()
