"""Where a bucket is, and who asks for it; the signature itself is compared in test_s3.py."""

import os
import sys

import pytest
from kit.s3_site import LOGIN
from kit.support import installed

from dugong_like import AuthenticationFailed, ClientRequest, InvalidOption, InvalidRequest
from dugong_like.__main__ import main
from dugong_like.client.sync.s3_service import S3Service, is_place, place_of


@pytest.fixture
def environment(monkeypatch, tmp_path):
    installed("botocore", "sdk")
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", LOGIN["aws_access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", LOGIN["aws_secret_access_key"])
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("s3://bucket", ("bucket", "")),
        ("S3://bucket/", ("bucket", "")),
        ("s3://my.bucket_1/a", ("my.bucket_1", "a/")),
        ("s3://bucket/a b/%41/", ("bucket", "a b/%41/")),
    ],
)
def test_a_place_is_a_bucket_and_a_prefix(text, place):
    assert is_place(text)
    assert place_of(text) == place


@pytest.mark.parametrize("text", ["s3:/bucket", "bucket", "s3://", "s3://a?b/c", "s3://b@c/"])
def test_a_place_that_is_none_is_refused(text):
    with pytest.raises(InvalidOption):
        place_of(text)


def base(bucket="bucket", *arguments):
    return str(S3Service(bucket, *arguments).base)


def test_the_bucket_is_in_the_name_of_the_host_if_it_can_be(environment):
    assert base() == "https://bucket.s3.us-east-1.amazonaws.com/"
    assert base("my.bucket") == "https://s3.us-east-1.amazonaws.com/my.bucket/"
    assert base("Bucket_1") == "https://s3.us-east-1.amazonaws.com/Bucket_1/"
    assert base("bucket", None, "eu-west-1") == "https://bucket.s3.eu-west-1.amazonaws.com/"
    assert base("bucket", None, "cn-north-1") == "https://bucket.s3.cn-north-1.amazonaws.com.cn/"


def test_the_endpoint_and_the_region_come_from_the_environment(environment, tmp_path):
    environment.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    assert "eu-west-3" in base()
    (tmp_path / "config").write_text(
        "[default]\nendpoint_url = http://profile.example\nregion = eu-north-1\n"
    )
    assert base() == "http://profile.example/bucket/"
    environment.setenv("AWS_ENDPOINT_URL", "http://all.example:9000/")
    assert base() == "http://all.example:9000/bucket/"
    environment.setenv("AWS_ENDPOINT_URL_S3", "http://s3.example/below")
    assert base() == "http://s3.example/below/bucket/"
    assert base("bucket", "http://given.example") == "http://given.example/bucket/"


def test_what_cannot_be_used_is_refused(environment):
    with pytest.raises(InvalidRequest, match="not a URL"):
        S3Service("bucket", "minio:9000/x y")
    with pytest.raises(InvalidOption, match="not a region"):
        S3Service("bucket", None, "eu west")


def test_without_credentials_the_message_says_what_to_set(environment):
    environment.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(AuthenticationFailed, match="AWS_ACCESS_KEY_ID"):
        S3Service("bucket")


def test_a_request_is_signed_anew_each_time(environment):
    request = ClientRequest("GET", "https://bucket.s3.us-east-1.amazonaws.com/a")
    service = S3Service("bucket")
    service.sign(request)
    first = request.headers["Authorization"]
    service.region = "eu-west-1"
    service.sign(request)

    assert "us-east-1" in first
    assert "eu-west-1" in request.headers["Authorization"]
    assert request.headers.get_list("Authorization") == [request.headers["Authorization"]]


def test_without_botocore_the_message_names_the_extra(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(ModuleNotFoundError, match=r"install 'dugong-like\[botocore\]'"):
        S3Service("bucket")

    assert main(["sync", str(tmp_path), "s3://bucket"]) == 1
    assert "install 'dugong-like[botocore]'" in capsys.readouterr().err
