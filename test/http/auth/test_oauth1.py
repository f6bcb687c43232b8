"""OAuth 1.0: oauthlib signs, and its server side and hashlib check it."""

import base64
import hashlib
import hmac
import io
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest
from kit.flows import co_authenticate, co_body, response, run

from dugong_like import InvalidRequest, OAuth1, Request

oauth1 = pytest.importorskip("oauthlib.oauth1")

KEYS = {
    "client_key": "key", "client_secret": "client secret",
    "resource_owner_key": "token", "resource_owner_secret": "token&secret",
}  # fmt: skip
FORM = "application/x-www-form-urlencoded"


def send(auth, *request):
    """Return the request as it arrives: target, fields, body."""
    sent = []

    def co_send(request):
        sent.append((request.target, dict(request.headers.items()), (yield from co_body(request))))
        return response()

    run(co_authenticate(auth, Request(*request), co_send))
    (arrived,) = sent
    return arrived


def said(value):
    scheme, _, rest = value.partition(" ")
    assert scheme == "OAuth"
    pairs = [part.strip().split("=", 1) for part in rest.split(",")]
    return {name: unquote(text.strip('"')) for name, text in pairs}


def expected(method, url, parameters, form=""):
    """Compute an HMAC-SHA1 signature as RFC 5849 section 3.4 has it."""

    def escape(text):
        return quote(text, safe="-._~")

    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, True) + parse_qsl(form, True)
    pairs += [pair for pair in parameters.items() if pair[0] not in {"oauth_signature", "realm"}]
    joined = "&".join(sorted(f"{escape(name)}={escape(value)}" for name, value in pairs))
    where = f"{parts.scheme}://{parts.netloc.lower()}{parts.path}"
    text = "&".join(map(escape, (method, where, joined)))
    key = f"{escape(KEYS['client_secret'])}&{escape(KEYS['resource_owner_secret'])}"
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), "sha1")).decode()


@pytest.mark.feature("D10")
@pytest.mark.parametrize(
    ("method", "url", "fields", "body", "form"),
    [
        ("GET", "http://server.test/a", {}, None, ""),
        ("GET", "https://server.test:8443/a?x=1&y=%20%C3%A4&x=0", {}, None, ""),
        ("POST", "http://server.test/", {"Content-Type": FORM}, b"a=b+c&d=%26", "a=b+c&d=%26"),
        ("POST", "http://server.test/", {"content-type": f"{FORM}; charset=utf-8"}, b"a=b", "a=b"),
        ("POST", "http://server.test/", {"Content-Type": FORM}, b"", ""),
        ("POST", "http://server.test/", {"Content-Type": "text/plain"}, b"a=b\xff", ""),
        ("PUT", "http://server.test/", {}, b"\xff\x00", ""),
    ],
)
def test_signatures(method, url, fields, body, form):
    for make in (lambda: OAuth1(**KEYS), lambda: OAuth1(client=oauth1.Client(**KEYS))):
        target, sent, arrived = send(make(), method, url, fields, body)
        parameters = said(sent["Authorization"])

        assert (target, arrived) == (url, body or b"")
        assert parameters["oauth_signature"] == expected(method, url, parameters, form)
        assert parameters["oauth_consumer_key"] == "key"
        assert parameters["oauth_token"] == "token"
        assert "oauth_body_hash" not in parameters
        assert {name: sent[name] for name in fields} == fields


def test_the_server_side_of_oauthlib_accepts_it():
    class Validator(oauth1.RequestValidator):
        enforce_ssl = False
        client_key_length = resource_owner_key_length = access_token_length = (1, 30)
        client_key_length = access_token_length = nonce_length = (1, 99)
        dummy_client = dummy_access_token = "x"

        def check_client_key(self, key):
            return True

        check_access_token = check_client_key

        def validate_client_key(self, key, request):
            return key == "key"

        def validate_access_token(self, key, token, request):
            return token == "token"

        def validate_timestamp_and_nonce(self, *args, **options):
            return True

        def validate_realms(self, *args, **options):
            return True

        def get_client_secret(self, key, request):
            return KEYS["client_secret"]

        def get_access_token_secret(self, key, token, request):
            return KEYS["resource_owner_secret"]

    server = oauth1.ResourceEndpoint(Validator())
    url = "http://server.test/a?b=c"
    for secret, valid in (("client secret", True), ("other", False)):
        auth = OAuth1(**(KEYS | {"client_secret": secret}))
        _, sent, _ = send(auth, "POST", url, {"Content-Type": FORM}, b"d=e")
        assert server.validate_protected_resource_request(url, "POST", "d=e", sent)[0] is valid


@pytest.mark.parametrize("kind", [bytes, io.BytesIO, lambda body: iter([body])])
def test_hash_of_the_body(kind):
    body = b"\xff\x00 binary"
    target, sent, arrived = send(
        OAuth1(**KEYS, body_hash=True), "PUT", "http://server.test/", {}, kind(body)
    )
    parameters = said(sent["Authorization"])

    assert parameters["oauth_body_hash"] == base64.b64encode(hashlib.sha1(body).digest()).decode()
    assert parameters["oauth_signature"] == expected("PUT", target, parameters)
    assert arrived == body


def test_bodies_that_are_not_signed_are_not_read():
    stream = io.BytesIO(b"x" * 10)
    arrived = send(OAuth1(**KEYS), "PUT", "http://server.test/", {}, stream)[2]
    assert arrived == b"x" * 10


def test_parameters_in_the_query_and_in_the_form():
    target, sent, _ = send(
        OAuth1(**KEYS, signature_type=oauth1.SIGNATURE_TYPE_QUERY),
        "GET",
        "http://server.test/a?b=c",
    )
    assert target.startswith("http://server.test/a?b=c&oauth_nonce=")
    assert "Authorization" not in sent
    _, sent, body = send(
        OAuth1(**KEYS, signature_type=oauth1.SIGNATURE_TYPE_BODY),
        "POST", "http://server.test/a", {"Content-Type": FORM, "content-length": "3"}, b"b=c",
    )  # fmt: skip
    assert body.startswith(b"b=c&oauth_nonce=")
    assert sent["Content-Length"] == str(len(body))
    assert "Authorization" not in sent


def test_requests_that_cannot_be_signed():
    with pytest.raises(InvalidRequest, match="URLs only"):
        send(OAuth1("key"), "GET", "/")
    for body in (b"secret \x00 =", b"a=\xff"):
        with pytest.raises(InvalidRequest, match="cannot sign") as failure:
            send(OAuth1("key"), "POST", "http://server.test/", {"Content-Type": FORM}, body)
        assert "secret" not in str(failure.value)


def test_arguments():
    assert repr(OAuth1(**KEYS)) == "OAuth1()"
    for wrong in (
        {}, {"client_key": b"k"}, {"client_key": "k", "client_secret": 5}, {"client": "k"},
        {"client": oauth1.Client("k"), "client_key": "k"}, {"client_key": "k", "nonsense": 1},
        {"client": oauth1.Client("k"), "realm": "r"},
    ):  # fmt: skip
        with pytest.raises(TypeError):
            OAuth1(**wrong)
