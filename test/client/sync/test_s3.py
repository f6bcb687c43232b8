"""Synchronisation with S3: the service of moto, and servers that say one thing."""

import base64
import hashlib
import hmac
import json
import os
import re
from urllib.parse import unquote

import pytest
from kit.s3_site import LOGIN, new_client, new_session, s3_site
from kit.support import ScriptedServer, installed, pattern, read_exactly, read_head
from kit.sync_pair import OLD, tree_of

from dugong_like import (
    Client,
    InvalidOption,
    MockDispatcher,
    Response,
    Retry,
    StatusError,
    TransferError,
    TransportError,
)
from dugong_like.__main__ import main
from dugong_like.client.sync import s3 as s3_module
from dugong_like.client.sync import s3_parts
from dugong_like.client.sync.s3 import S3Remote
from dugong_like.client.sync.s3_service import S3Service
from dugong_like.http.url import URL

BEFORE = 1_000_000_000_123_456_789  # for moto all uploads have begun in 2010
NAMES = {
    "plain.txt": b"1",
    "empty": b"",
    "a folder/with space + plus": b"2",
    "ключ/файл": b"3",
    "odd/%41 &=?#;,'()!*~": b"4",
    "deep/er/and/deeper": b"5" * 70_000,
}


@pytest.fixture(scope="session")
def site(certificate):
    with s3_site(certificate) as urls:
        yield urls["http"]


@pytest.fixture
def signed_in(monkeypatch):
    installed("botocore", "sdk")
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in LOGIN.items():
        monkeypatch.setenv(name.upper().replace("REGION_NAME", "AWS_DEFAULT_REGION"), value)


class Bucket:
    """A bucket, a local folder, and what was asked."""

    count = 0

    def __init__(self, site, folder):
        Bucket.count += 1
        self.name = f"sync-{os.getpid()}-{Bucket.count}"
        self.place = f"s3://{self.name}/some/folder"
        self.s3 = new_client(new_session(), site)
        self.s3.create_bucket(Bucket=self.name)
        self.site = site
        self.folder = folder
        self.root = folder / "root"
        self.root.mkdir()
        self.client = Client(hooks={"pre_request": self.note})
        self.seen = []

    def note(self, _response, request, **_):
        self.seen.append(f"{request.method} {request.url.target}")

    def write(self, path, data=b"data", mtime_ns=OLD):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        os.utime(file, ns=(mtime_ns, mtime_ns))

    def up(self, target=None, **options):
        self.seen.clear()
        options = {"s3_endpoint": self.site, "record": self.folder / "record", **options}
        return self.client.sync(self.root, target or self.place, **options)

    def down(self, **options):
        self.seen.clear()
        options = {"s3_endpoint": self.site, "record": self.folder / "record-back", **options}
        return self.client.sync(self.place, self.folder / "back", **options)

    def keys(self):
        found = self.s3.list_objects_v2(Bucket=self.name).get("Contents", ())
        return {one["Key"]: one["Size"] for one in found}

    def remote(self, **options):
        service = S3Service(self.name, self.site)
        return S3Remote(self.build, service, "some/folder/", **options)

    def build(self, method, url, **options):
        return self.client.build_request(method, url, retry=Retry(), **options)

    def sent(self, method):
        return [line for line in self.seen if line.startswith(method)]


@pytest.fixture
def bucket(site, signed_in, tmp_path):
    bucket = Bucket(site, tmp_path)
    with bucket.client:
        yield bucket
    bucket.s3.close()


# ---- there and back


def test_a_tree_is_the_same_there_and_back(bucket):
    for path, data in NAMES.items():
        bucket.write(path, data)

    assert bucket.up(verify=True)[1:4] == (len(NAMES), sum(map(len, NAMES.values())), 0)
    assert bucket.keys() == {f"some/folder/{path}": len(data) for path, data in NAMES.items()}

    assert bucket.down().copied == len(NAMES)
    assert tree_of(bucket.folder / "back") == NAMES
    times = {path.stat().st_mtime_ns for path in (bucket.folder / "back").rglob("*.txt")}
    assert times == {OLD}


def test_what_has_not_changed_is_listed_and_no_more(bucket):
    bucket.write("a", b"1")
    bucket.write("b", b"2")
    bucket.up()
    bucket.down()

    assert bucket.up().unchanged == 2
    assert [line.split("?")[0] for line in bucket.seen] == [f"GET /{bucket.name}/"]
    assert bucket.down().unchanged == 2
    assert len(bucket.seen) == 1


def test_a_change_of_the_same_size_and_a_deletion_are_seen(bucket):
    bucket.write("a", b"1")
    bucket.write("b", b"2")
    bucket.up()
    bucket.s3.put_object(Bucket=bucket.name, Key="some/other", Body=b"3")

    bucket.write("a", b"9", OLD + 1)
    (bucket.root / "b").unlink()
    assert bucket.up(dry_run=True, delete=True)[1:5:3] == (1, 1)
    assert bucket.keys()["some/folder/b"] == 1
    assert bucket.up(delete=True)[1:5:3] == (1, 1)
    assert bucket.keys() == {"some/folder/a": 1, "some/other": 1}
    # another writer, with the same size
    bucket.s3.put_object(Bucket=bucket.name, Key="some/folder/a", Body=b"8")
    assert bucket.up().copied == 1
    bucket.s3.put_object(Bucket=bucket.name, Key="some/folder/a", Body=b"7")
    assert bucket.down().copied == 1
    assert tree_of(bucket.folder / "back") == {"a": b"7"}


def test_a_list_of_many_pages(bucket, monkeypatch):
    monkeypatch.setattr(s3_module, "AT_ONCE", 2)
    for number in range(7):
        bucket.write(f"{number}", b"x")
    bucket.up()

    assert bucket.up().unchanged == 7
    assert len(bucket.seen) == 4


def test_keys_of_other_tools_are_taken_for_what_they_are(bucket):
    for key in ("some/folder/", "some/folder/sub/", "some/folder/sub/x", "some/folder2", "some/"):
        bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=b"")
    bucket.s3.put_object(
        Bucket=bucket.name, Key="some/folder/t", Body=b"t", Metadata={"mtime": "1234567890.5"}
    )

    assert bucket.down().copied == 2
    assert tree_of(bucket.folder / "back") == {"sub/x": b"", "t": b"t"}
    assert (bucket.folder / "back" / "t").stat().st_mtime_ns == 1234567890_500000000


def test_names_that_lead_out_of_the_folder_are_refused(bucket):
    for key in ("../out", "a/../../out", "/abs", "a//b"):
        bucket.s3.put_object(Bucket=bucket.name, Key=f"some/folder/{key}", Body=b"")

    assert bucket.down().failed == 4
    assert tree_of(bucket.folder) == {"record-back": tree_of(bucket.folder)["record-back"]}


def test_the_whole_bucket_is_a_place_as_well(bucket):
    bucket.write("a")
    bucket.up(f"s3://{bucket.name}")
    assert bucket.keys() == {"a": 4}


def test_a_folder_of_nothing_is_not_restored(bucket):
    """It may be a wrong name, and with *delete* all local files would go."""
    (bucket.folder / "back").mkdir()
    (bucket.folder / "back" / "precious").write_bytes(b"1")
    with pytest.raises(TransferError, match="there is nothing"):
        bucket.down(delete=True)
    assert tree_of(bucket.folder / "back") == {"precious": b"1"}


def test_a_bucket_that_is_missing_is_named_by_the_service(bucket):
    with pytest.raises(StatusError, match="404 .NoSuchBucket"):
        bucket.up("s3://there-is-none/x")


def test_a_large_download_is_signed_and_resumed(bucket):
    data = pattern(3_000_000)
    bucket.s3.put_object(Bucket=bucket.name, Key="some/folder/large", Body=data)

    assert bucket.down().copied == 1
    assert tree_of(bucket.folder / "back") == {"large": data}


# ---- deleting, and comparing digests


def test_a_thousand_objects_are_deleted_by_one_request(bucket, monkeypatch):
    names = ["odd &<>\"'", " a ", "\x01", *(f"{number:02}" for number in range(20))]
    for name in names:
        bucket.s3.put_object(Bucket=bucket.name, Key=f"some/folder/{name}", Body=b"1")
    bucket.write("kept")

    assert bucket.up(delete=True)[1:6] == (1, 4, 0, len(names), 0)
    assert bucket.keys() == {"some/folder/kept": 4}
    assert (len(bucket.sent("POST")), len(bucket.sent("DELETE"))) == (1, 1)

    monkeypatch.setattr(S3Remote, "deletes_at_once", 3)
    for name in names[3:11]:
        bucket.s3.put_object(Bucket=bucket.name, Key=f"some/folder/{name}", Body=b"1")
    assert bucket.up(delete=True).deleted == 8
    assert bucket.keys() == {"some/folder/kept": 4}
    assert len(bucket.sent("POST")) == 3


def test_objects_that_may_not_be_deleted_are_failures(tmp_path):
    steps = []

    def answer(request):
        if request.method == "POST":
            assert (
                request.headers["content-md5"]
                == base64.b64encode(hashlib.md5(request.body).digest()).decode()
            )
            return document("DeleteResult", "<Error><Key>b</Key><Code>AccessDenied</Code></Error>")
        keys = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in "abc")
        return document("ListBucketResult", keys)

    (tmp_path / "root").mkdir()
    result = synced(tmp_path, answer, delete=True, on_step=steps.append)

    assert (result.deleted, result.failed) == (2, 1)
    assert [(step.path, step.error is None) for step in steps] == [
        ("a", True),
        ("b", False),
        ("c", True),
    ]
    assert "has not deleted it (AccessDenied" in str(result.failures[0].error)


def test_digests_are_those_of_the_service(bucket):
    bucket.write("a", b"1")
    bucket.write("b", b"2")
    bucket.up()
    bucket.s3.put_object(Bucket=bucket.name, Key="some/folder/b", Body=b"3")

    assert bucket.up(checksum=True)[1:4:2] == (1, 1)
    assert bucket.sent("PUT") == [f"PUT /{bucket.name}/some/folder/b"]
    assert not [line for line in bucket.sent("GET") if "list-type" not in line]
    bucket.write("c", b"4")
    bucket.down()
    assert bucket.down(checksum=True).unchanged == 2
    assert len(bucket.seen) == 1


# ---- parts


@pytest.fixture
def parts(bucket, monkeypatch):
    """The bucket, for files of 300,000 bytes in four parts."""
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
    monkeypatch.setattr(s3_parts, "AT_ONCE", 1)  # so that it is known which ones are there
    bucket.write("large", pattern(300_000), BEFORE)
    return bucket


def test_digests_of_parts_are_compared(parts):
    in_parts(parts)

    same = parts.remote(parts_from=100_000, part=80_000)
    assert parts.up(same, checksum=True).unchanged == 1
    assert [line.partition(" ")[0] for line in parts.seen] == ["GET", "HEAD"]
    parts.write("large", pattern(300_000)[::-1], BEFORE)
    assert in_parts(parts, checksum=True).copied == 1


def in_parts(bucket, **options):
    remote = bucket.remote(parts_from=100_000, part=80_000)
    return bucket.up(remote, **options)


def begun(bucket):
    return bucket.s3.list_multipart_uploads(Bucket=bucket.name).get("Uploads", [])


def test_a_large_file_goes_in_parts(parts):
    assert in_parts(parts, verify=True).verified == 1
    assert len(parts.sent("PUT")) == 4
    assert begun(parts) == []
    head = parts.s3.head_object(Bucket=parts.name, Key="some/folder/large")
    assert head["ETag"].endswith('-4"')
    assert head["Metadata"]["mtime"] == "1000000000.123456789"
    assert in_parts(parts).unchanged == 1
    assert parts.down().copied == 1
    assert tree_of(parts.folder / "back") == {"large": pattern(300_000)}


def fail_after(bucket, puts):
    """Have the connection fail after so many parts."""
    before = bucket.note

    def note(response, request, **more):
        before(response, request)
        if len(bucket.sent("PUT")) > puts:
            raise TransportError("the network is gone")

    bucket.client = Client(hooks={"pre_request": note})


def test_an_upload_that_was_interrupted_is_gone_on_with(parts):
    good = parts.client
    fail_after(parts, 3)
    with parts.client:
        assert in_parts(parts).failed == 1
    assert len(begun(parts)) == 1
    there = parts.s3.list_parts(
        Bucket=parts.name, Key="some/folder/large", UploadId=begun(parts)[0]["UploadId"]
    )["Parts"]

    parts.client = good
    assert in_parts(parts, verify=True).verified == 1
    assert (len(there), len(parts.sent("PUT"))) == (3, 1)
    assert begun(parts) == []


def test_parts_of_other_bytes_are_sent_again(parts):
    good = parts.client
    fail_after(parts, 3)
    with parts.client:
        in_parts(parts)
    parts.write("large", pattern(300_000)[::-1], BEFORE)

    parts.client = good
    assert in_parts(parts, verify=True).verified == 1
    assert len(parts.sent("PUT")) == 4
    assert begun(parts) == []


def test_an_upload_from_before_the_last_change_is_aborted(parts):
    for key in ("some/folder/large", "some/folder/large.other"):
        parts.s3.create_multipart_upload(Bucket=parts.name, Key=key)
    parts.write("large", pattern(300_000), 4_000_000_000 * 10**9)

    assert in_parts(parts).copied == 1
    assert [one["Key"] for one in begun(parts)] == ["some/folder/large.other"]


# ---- the signature, which moto does not look at


def signature_of(head, body):
    """Compute the signature of a request as the service does."""
    first, *lines = head.decode().split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    scheme, rest = fields["authorization"].split(" ", 1)
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    access, day, region, service, end = parts["Credential"].split("/")
    path, _, query = target.partition("?")
    pairs = sorted((pair.partition("=")[0], pair.partition("=")[2]) for pair in query.split("&"))
    names = parts["SignedHeaders"].split(";")
    digest = hashlib.sha256(body).hexdigest()
    canonical = "\n".join([
        method, path, "&".join(f"{name}={value}" for name, value in pairs) if query else "",
        *(f"{name}:{fields[name]}" for name in names), "", ";".join(names), digest,
    ])  # fmt: skip
    scope = f"{day}/{region}/{service}/{end}"
    text = f"AWS4-HMAC-SHA256\n{fields['x-amz-date']}\n{scope}\n"
    text += hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{LOGIN['aws_secret_access_key']}".encode()
    for part in (day, region, service, end):
        key = hmac.digest(key, part.encode(), "sha256")
    assert (scheme, access) == ("AWS4-HMAC-SHA256", LOGIN["aws_access_key_id"])
    assert fields["x-amz-content-sha256"] == digest
    assert {"host", "x-amz-date", "x-amz-content-sha256"} <= set(names)
    return hmac.digest(key, text.encode(), "sha256").hex(), parts["Signature"]


EMPTY_LIST = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


def test_each_request_is_signed_as_the_service_wants_it(signed_in, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a token")
    signatures = []

    def handler(sock):
        while head := read_head(sock):
            length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
            body = read_exactly(sock, int(length[1])) if length else b""
            signatures.append(signature_of(head, body))
            assert b"x-amz-security-token: a token" in head.lower()
            answer = EMPTY_LIST if head.startswith(b"GET") else b""
            sock.sendall(
                b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n' % len(answer)
            )
            sock.sendall(answer)

    root = tmp_path / "root"
    for path, data in NAMES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    with ScriptedServer(handler) as server, Client() as client:
        client.sync(
            root, "s3://bucket/a b", record=False, s3_endpoint=f"http://127.0.0.1:{server.port}"
        )

    assert len(signatures) == len(NAMES) + 1
    assert [made for made, _ in signatures] == [sent for _, sent in signatures]


# ---- answers of servers


class Service:
    """Stands for an `S3Service`: no signature, and no botocore."""

    bucket, region = "bucket", "us-east-1"

    def __init__(self, is_aws=True):
        self.is_aws = is_aws

    @property
    def base(self):
        return URL(f"https://bucket.s3.{self.region}.example/")

    def sign(self, request):
        request.headers.set("Authorization", f"of {self.region}")


def synced(tmp_path, answer, *, up=True, **options):
    """Synchronise with a server that answers by a function of the request."""
    with Client(dispatcher=MockDispatcher(answer)) as client:

        def build(method, url, **more):
            return client.build_request(method, url, retry=None, **more)

        settings = {key: options.pop(key) for key in ("delete", "on_step") if key in options}
        remote = S3Remote(build, Service(), "", **options)
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        pair = (root, remote) if up else (remote, root)
        return client.sync(*pair, record=False, **settings)


def answer_of(status, fields=(), body=b""):
    return Response(status, list(fields), body)


def document(root, inner=""):
    return answer_of(200, body=f"<{root}>{inner}</{root}>".encode())


def test_a_bucket_of_another_region_is_asked_there(tmp_path):
    seen = []

    def answer(request):
        seen.append((request.url.host, request.headers["authorization"]))
        if "eu-west-1" in request.url.host:
            return answer_of(200, body=EMPTY_LIST)
        return answer_of(301, [("x-amz-bucket-region", "eu-west-1")])

    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").write_bytes(b"1")
    synced(tmp_path, answer)
    assert seen[:2] == [
        ("bucket.s3.us-east-1.example", "of us-east-1"),
        ("bucket.s3.eu-west-1.example", "of eu-west-1"),
    ]
    assert {host for host, _ in seen[2:]} == {"bucket.s3.eu-west-1.example"}


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        ("<IsTruncated>true</IsTruncated>", "how its list goes on"),
        (
            "<IsTruncated>true</IsTruncated><NextContinuationToken>1</NextContinuationToken>",
            "how its list goes on",
        ),
        ("<Contents><Key>a</Key><Size>x</Size></Contents>", "no size of 'a'"),
        ("<Contents><Key>a</Key></Contents>", "no size of 'a'"),
        ("<Contents>", "not valid"),
    ],
)
def test_a_list_that_is_not_complete_is_an_error(tmp_path, inner, reason):
    with pytest.raises(TransferError, match=reason):
        synced(tmp_path, lambda request: document("ListBucketResult", inner), up=False)


@pytest.mark.parametrize("up", [True, False])
def test_a_page_that_is_no_list_is_an_error(tmp_path, up):
    with pytest.raises(TransferError, match="it is 'html', and not ListBucketResult"):
        synced(tmp_path, lambda request: document("html", "Log in first"), up=up)


def test_an_error_is_told_by_its_document(tmp_path):
    body = b"<Error><Code>AccessDenied</Code><Message>you are\nnobody</Message></Error>"
    with pytest.raises(StatusError, match=r"403 \(AccessDenied: 'you are\\nnobody'\)"):
        synced(tmp_path, lambda request: answer_of(403, body=body))
    with pytest.raises(StatusError, match="answered 403$"):
        synced(tmp_path, lambda request: answer_of(403, body=b"no XML"))


def multipart(end, look=None):
    """Return a server that takes parts, and answers their end by *end*."""

    def answer(request):
        query = request.url.query
        if request.method == "POST":
            if query == "uploads=":
                return document("InitiateMultipartUploadResult", "<UploadId>u</UploadId>")
            return end()
        if request.method == "PUT":
            return answer_of(200, [("ETag", f'"{request.url.params["partNumber"] * 32}"')])
        if request.method == "HEAD":
            return look()
        if request.method == "DELETE":
            return answer_of(204)
        return document("ListBucketResult")

    return answer


def test_an_error_after_the_status_is_one(tmp_path):
    """The service answers 200 before it has put the parts together."""
    write_large(tmp_path)
    answer = multipart(lambda: document("Error", "<Code>InternalError</Code>"))
    result = synced(tmp_path, answer, parts_from=100_000, part=80_000)
    assert "InternalError" in str(result.failures[0].error)


def write_large(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "large").write_bytes(bytes(100_000) + pattern(100_000))


@pytest.mark.parametrize("is_there", [True, False])
def test_an_end_whose_answer_was_lost_is_looked_for(tmp_path, is_there):
    write_large(tmp_path)
    joined = b"".join(bytes.fromhex(str(number) * 32) for number in (1, 2, 3))
    etag = hashlib.md5(joined).hexdigest() if is_there else "0" * 32
    answer = multipart(
        lambda: answer_of(404, body=b"<Error><Code>NoSuchUpload</Code></Error>"),
        lambda: answer_of(200, [("ETag", f'"{etag}-3"'), ("Content-Length", "200000")]),
    )
    result = synced(tmp_path, answer, parts_from=100_000, part=80_000)
    assert (result.copied, result.failed) == ((1, 0) if is_there else (0, 1))


# ---- arguments, and the command


@pytest.mark.parametrize("place", ["s3://", "s3:///x", "s3://a b/x", "s3://-/x"])
def test_a_place_without_a_bucket_is_refused(place):
    with Client() as client, pytest.raises(InvalidOption, match="not a place in S3"):
        client.sync("folder", place)


def test_the_command_synchronises(bucket, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    bucket.write("a", b"1")
    arguments = ["sync", "--json", "--s3-endpoint", bucket.site, str(bucket.root), bucket.place]

    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["copied"] == 1
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.site)
    assert main(["sync", "-q", bucket.place, str(tmp_path / "new")]) == 0
    assert tree_of(tmp_path / "new") == {"a": b"1"}
    assert unquote(next(iter(bucket.keys()))) == "some/folder/a"
