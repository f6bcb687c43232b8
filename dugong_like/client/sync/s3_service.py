"""An S3 service: where a bucket is, and the signature of each request (AWS Signature Version 4).

Credentials and signatures are those of botocore, so that all that its users know works: variables,
profiles, roles. It is imported when it is first needed. Getting credentials of a role asks a
service for them, and blocks while it does, at the first request and when they expire.

Not here: what is asked (s3.py).
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...errors import AuthenticationFailed, InvalidOption
from ...http.auth.flow import Auth, Flow
from ...http.redaction import quoted
from ...http.url import URL
from .s3_fields import DIGEST

if TYPE_CHECKING:
    from ...http.request import Request

SCHEME: Final = "s3://"
DEFAULT_REGION: Final = "us-east-1"
SIGNED: Final = frozenset({"content-md5", "content-type"})  # besides those of S3
OF_SIGNATURE: Final = ("Authorization", "X-Amz-Date", DIGEST, "X-Amz-Security-Token")
_is_bucket = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{1,254}").fullmatch
_is_label = re.compile(r"[a-z0-9][a-z0-9\-]{1,61}[a-z0-9]").fullmatch
_is_region = re.compile(r"[a-z0-9\-]{1,63}").fullmatch


class Place(NamedTuple):
    """A place in a bucket.

    Attributes:
        bucket: its name.
        prefix: what all keys begin with; empty, or it ends with ``/``.

    """

    bucket: str
    prefix: str


def is_place(text: str) -> bool:
    """Return True if *text* has the form of `place_of`."""
    return text[: len(SCHEME)].lower() == SCHEME


def place_of(text: str) -> Place:
    """Return the place that ``s3://bucket/prefix`` names; nothing in it is percent-encoded.

    Raises:
        InvalidOption: it has no valid name of a bucket.

    """
    bucket, _, prefix = text[len(SCHEME) :].partition("/")
    if not is_place(text) or not _is_bucket(bucket):
        raise InvalidOption(
            "not a place in S3, such as s3://bucket/folder/, where the name of a bucket has two"
            f" characters or more, A-Z, a-z, 0-9, '.', '_' or '-': {quoted(text)}"
        )
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    return Place(bucket, prefix)


class S3Service:
    """A bucket of a service, and who asks for it.

    Args:
        bucket: its name.
        endpoint: URL of the service, if it is not that of AWS: then the path begins with the
            bucket. None for what AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile says.
        region: None for what botocore knows, or else us-east-1.

    Raises:
        InvalidOption: *endpoint* or *region* is invalid.
        AuthenticationFailed: botocore finds no credentials.
        ModuleNotFoundError: botocore is not installed.

    Attributes:
        bucket: see above.
        is_aws: True if there is no endpoint.
        region: see above; it may be set, to that which the service names.

    """

    def __init__(
        self, bucket: str, endpoint: URL | str | None = None, region: str | None = None
    ) -> None:
        session = _session()
        self.bucket = bucket
        self.region = region or session.get_config_variable("region") or DEFAULT_REGION
        if not _is_region(self.region):
            raise InvalidOption(f"not a region: {quoted(self.region)}")
        given = str(endpoint or "") or _known_endpoint(session)
        self._endpoint = URL(given.rstrip("/") + "/") if given else None
        self.is_aws = self._endpoint is None
        credentials = session.get_credentials()
        if credentials is None:
            raise AuthenticationFailed(
                "no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                "AWS_PROFILE"
            )
        self._credentials: Any = credentials

    @property
    def base(self) -> URL:
        """The URL of the bucket; its path ends with ``/``."""
        if self._endpoint is not None:
            return URL(f"{self._endpoint}{self.bucket}/")
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        host = f"s3.{self.region}.{domain}"
        if _is_label(self.bucket):
            return URL(f"https://{self.bucket}.{host}/")
        return URL(f"https://{host}/{self.bucket}/")  # no certificate has more labels

    def sign(self, request: Request) -> None:
        """Sign *request*, whose target is a URL, as it is now.

        The digest of a body that is not in memory has to be in its field.

        Raises:
            AuthenticationFailed: there are no credentials any more.

        """
        from botocore.auth import S3SigV4Auth  # noqa: PLC0415 - for those who use S3
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        digest = request.headers.get(DIGEST)
        if digest is None:
            digest = hashlib.sha256(request.body or b"").hexdigest()
        fields = {
            name: value
            for name, value in request.headers.wire_items()
            if name.lower().startswith("x-amz-") or name.lower() in SIGNED
        }
        to_sign = AWSRequest(request.method, request.target, headers=fields)
        try:
            credentials = self._credentials.get_frozen_credentials()
            signer = S3SigV4Auth(credentials, "s3", self.region)
            signer.payload = lambda _: digest  # it would read the file here
            signer.add_auth(to_sign)
        except BotoCoreError as exc:
            raise AuthenticationFailed(f"the request cannot be signed: {exc}") from exc
        for name in OF_SIGNATURE:
            if name in to_sign.headers:
                request.headers.set(name, to_sign.headers[name])


class S3Auth(Auth):
    """Signs each request when it is sent, also when it is sent again.

    Args:
        service: see there.

    """

    __slots__ = ("_service",)

    def __init__(self, service: S3Service) -> None:
        self._service = service

    def auth_flow(self, request: Request) -> Flow:
        """Sign *request*; see `Auth.auth_flow`."""
        self._service.sign(request)
        yield request


def _session() -> Any:
    try:
        from botocore.session import Session  # noqa: PLC0415 - for those who use S3
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            "s3:// needs botocore: install 'dugong-like[botocore]'", name=exc.name
        ) from exc
    return Session()


def _known_endpoint(session: Any) -> str:
    """Return the endpoint of the environment, or of the profile; empty if there is none."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if url := os.environ.get(name):
            return url
    return str(session.get_scoped_config().get("endpoint_url") or "")
