"""A server of resumable uploads (draft-ietf-httpbis-resumable-upload, interop version 8).

A dispatcher, so nothing is sent: ``Client(dispatcher=UploadServer())``. It keeps to what the draft
demands of servers, and checks what it demands of clients.
"""

from dugong_like import ConnectionClosed, Response

VERSION = {"Upload-Draft-Interop-Version": "8"}


class Upload:
    """An upload resource."""

    def __init__(self, length):
        self.length = length
        self.data = b""
        self.complete = False


class UploadServer:
    """See above.

    Args:
        limit: value of Upload-Limit; None for none.

    Attributes:
        cuts: bytes that are taken of each of the next PATCH contents before the connection is
            lost; None for all. A pair loses it after so many bytes, with the answer.
        by: functions of the request that answer the next ones of a method: by method.
        supported: False for a server that knows nothing of it.
        uploads: those that were created, by path.
        files: complete ones, by path.
        seen: method and path of each request.
        place: what Location begins with.

    """

    def __init__(self, limit=None):
        self.limit = limit
        self.cuts = []
        self.by = {}
        self.supported = True
        self.uploads = {}
        self.files = {}
        self.seen = []
        self.requests = []
        self.place = ""

    def co_dispatch(self, request):
        request.attempts += 1
        self.requests.append(request)
        self.seen.append((request.method, request.url.path))
        if self.by.get(request.method) and (by := self.by[request.method].pop(0)) is not None:
            answer = by(request)
            if isinstance(answer, Exception):
                raise answer
            return answer
        upload = self.uploads.get(request.url.path)
        if request.method == "OPTIONS":
            fields = (
                {"Accept-Patch": "text/x, application/partial-upload"} if self.supported else {}
            )
            return self.answer(request, 204, fields)
        if request.method == "HEAD":
            return self.answer(request, 204, self.state(upload)) if upload else self.gone(request)
        if request.method == "DELETE":
            self.uploads.pop(request.url.path, None)
            return self.answer(request, 204)
        if request.method == "PATCH":
            return (yield from self.co_append(request, upload))
        data, _ = yield from self.co_content(request, None)
        if "upload-complete" not in request.headers:
            self.files[request.url.path] = data
            return self.answer(request, 201)
        return self.create(request, data)

    def co_close(self):
        return
        yield

    def create(self, request, data):
        assert request.headers["upload-draft-interop-version"] == "8"
        assert request.headers["upload-complete"] == "?0"
        assert data == b""
        path = f"/uploads/{len(self.uploads)}"
        self.uploads[path] = Upload(int(request.headers["upload-length"]))
        self.uploads[path].target = request.url.path
        return self.answer(request, 201, {"Location": f"{self.place}{path}"})

    def co_append(self, request, upload):
        headers = request.headers
        assert headers["content-type"] == "application/partial-upload"
        assert headers["upload-draft-interop-version"] == "8"
        if upload is None:
            return self.gone(request)
        if int(headers["upload-offset"]) != len(upload.data) or upload.complete:
            return self.answer(request, 409, self.state(upload))
        cut = self.cuts.pop(0) if self.cuts else None
        loses_answer = isinstance(cut, str)
        data, whole = yield from self.co_content(request, None if loses_answer else cut)
        upload.data += data
        assert len(upload.data) <= upload.length
        if not whole:
            raise ConnectionClosed("lost", request_sent="maybe")
        if headers["upload-complete"] == "?1":
            assert len(upload.data) == upload.length
            upload.complete = True
            self.files[upload.target] = upload.data
        if loses_answer:
            raise ConnectionClosed("lost", request_sent="maybe")
        status = 201 if upload.complete else 204
        return self.answer(request, status, {"Upload-Complete": f"?{upload.complete:d}"})

    def co_content(self, request, most):
        """Return the first bytes of the content, and whether these are all."""
        if request.body is None or isinstance(request.body, bytes):
            return request.body or b"", True
        source = request.source()
        source.begin()
        data = b""
        while piece := (yield from source.co_next()):
            data += piece
            if most is not None and len(data) >= most:
                return data[:most], False
        return data, True

    def state(self, upload):
        return {
            "Upload-Offset": str(len(upload.data)),
            "Upload-Complete": f"?{upload.complete:d}",
            "Upload-Length": str(upload.length),
            "Cache-Control": "no-store",
        }

    def gone(self, request):
        return self.answer(request, 404)

    def answer(self, request, status, fields=None):
        limit = {} if self.limit is None else {"Upload-Limit": self.limit}
        return Response(status, {**(fields or {}), **limit, **VERSION}, request=request)
