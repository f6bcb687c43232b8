"""Digests that S3 names; see also test_s3.py."""

import base64
import hashlib

import pytest

from dugong_like import Response
from dugong_like.client.request import ClientRequest
from dugong_like.client.sync.local import SourceFile
from dugong_like.client.sync.s3_checksums import co_is_same
from dugong_like.polling.contract import run

PART = 30_000
SMALL = bytes(range(256)) * 4
LARGE = SMALL * 100


def digest(name, data):
    return hashlib.new(name, data).digest()


def joined(name, data, part):
    return digest(
        name, b"".join(digest(name, data[at : at + part]) for at in range(0, len(data), part))
    )


def etag(data, part=None):
    if part is None:
        return f'"{digest("md5", data).hex()}"'
    return f'"{joined("md5", data, part).hex()}-{-(-len(data) // part)}"'


def checksum(data, part=None):
    if part is None:
        return base64.b64encode(digest("sha256", data)).decode()
    return f"{base64.b64encode(joined('sha256', data, part)).decode()}-{-(-len(data) // part)}"


class Object:
    """An object; `looks` are the queries of all HEAD."""

    def __init__(self, fields=(), part=None):
        self.fields, self.part = dict(fields), part
        self.looks = []

    def request(self, method, path, query=None):
        self.looks.append(query)
        return ClientRequest(method, "http://example.org/")

    def co_send(self, request):
        assert request.headers["x-amz-checksum-mode"] == "ENABLED"
        fields = self.fields if self.looks[-1] is None else {"Content-Length": str(self.part)}
        return Response(200, list(fields.items()))
        yield


def compared(tmp_path, data, tag, remote):
    path = tmp_path / "file"
    path.write_bytes(data)
    with path.open("rb", buffering=0) as stream:
        file = SourceFile(stream, "file", "file")
        return run(co_is_same(remote, remote.co_send, file, tag, PART))


@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_an_entity_tag_that_is_the_md5_needs_no_request(tmp_path, data):
    remote = Object()

    assert compared(tmp_path, data, etag(data), remote) is True
    assert remote.looks == []


@pytest.mark.parametrize("data", [SMALL, LARGE])
@pytest.mark.parametrize("tag", [etag(b"encrypted"), '"other"', None])
def test_otherwise_the_checksum_counts(tmp_path, data, tag):
    other = data[:-1] + b"x"

    assert compared(tmp_path, data, tag, Object({"x-amz-checksum-sha256": checksum(data)})) is True
    assert (
        compared(tmp_path, other, tag, Object({"x-amz-checksum-sha256": checksum(data)})) is False
    )
    for fields in (
        {"x-amz-server-side-encryption": "aws:kms"},
        {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
        {"x-amz-checksum-sha256": "?", "x-amz-server-side-encryption": "aws:kms:dsse"},
    ):
        assert compared(tmp_path, data, tag, Object(fields)) is None


def test_an_entity_tag_that_is_that_of_other_bytes(tmp_path):
    tag = etag(b"other bytes")

    assert compared(tmp_path, SMALL, tag, Object()) is False
    plain = Object({"x-amz-server-side-encryption": "AES256"})
    assert compared(tmp_path, SMALL, tag, plain) is False
    assert compared(tmp_path, SMALL, '"no-md5"', Object()) is None
    assert compared(tmp_path, SMALL, None, Object()) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"x-amz-server-side-encryption": "aws:kms"},
        {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
    ],
)
@pytest.mark.parametrize("part", [PART, 40_000])
def test_of_encrypted_parts_only_a_checksum_counts(tmp_path, part, fields):
    tag = etag(LARGE[::-1], part)  # of the encrypted bytes

    assert compared(tmp_path, LARGE, tag, Object(fields, part)) is None
    fields = {**fields, "x-amz-checksum-sha256": checksum(LARGE, part)}
    assert compared(tmp_path, LARGE, tag, Object(fields, part)) is True
    assert compared(tmp_path, b"x" + LARGE[1:], tag, Object(fields, part)) is False


@pytest.mark.parametrize("part", [PART, 40_000])
@pytest.mark.parametrize("has_checksum", [True, False])
def test_digests_of_parts(tmp_path, part, has_checksum):
    other = b"x" + LARGE[1:]
    fields = {"x-amz-checksum-sha256": checksum(LARGE, part)} if has_checksum else {}
    tag = etag(LARGE, part)

    same = Object(fields, part)
    assert compared(tmp_path, LARGE, tag, same) is True
    assert same.looks == ([None] if part == PART else [None, {"partNumber": "1"}])
    assert compared(tmp_path, other, tag, Object(fields, part)) is False
    odd = Object({"x-amz-checksum-sha256": checksum(LARGE, 10_000)}, part)
    assert compared(tmp_path, LARGE, tag, odd) is None, "its parts have several sizes"
