"""Answers to challenges: the examples of the RFCs."""

import hashlib

import pytest
from kit.digest_server import take_apart

from dugong_like.http.auth import digest_answer
from dugong_like.http.auth.digest_answer import ALGORITHMS, Answerer, is_stale, strongest
from dugong_like.http.challenges import parse_challenges, parse_parameters

UNICODE = (
    'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, '
    'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", '
    'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true'
)
UNICODE_NONCE = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v"
MUFASA = 'realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="o"'


def answerer(text, user="Mufasa", password="Circle Of Life", *, has_body=True):
    challenge = strongest(parse_challenges(text), has_body=has_body)
    return Answerer.of(challenge, user, password, has_body=has_body)


def said(text, *args, method="GET", target="/dir/index.html", body=""):
    return take_apart(answerer(text, *args).answer(method, target, body).value)[0]


def test_sha_512_256_with_hashed_name_is_the_example_of_rfc_7616(monkeypatch):
    """Section 3.9.2, with the name and the response of erratum 4897."""
    monkeypatch.setattr("secrets.token_hex", lambda size: UNICODE_NONCE)
    has = said(UNICODE, "J\xe4s\xf8n Doe", "Secret, or not?", target="/doe.json")

    assert has == {
        "username": "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b",
        "realm": "api@example.org", "uri": "/doe.json", "algorithm": "SHA-512-256",
        "nonce": "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", "nc": "00000001",
        "cnonce": UNICODE_NONCE, "qop": "auth", "userhash": "true",
        "response": "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5",
        "opaque": "HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS",
    }  # fmt: skip


def test_qop_auth_is_the_example_of_rfc_2617(monkeypatch):
    """Section 3.5 there."""
    monkeypatch.setattr("secrets.token_hex", lambda size: "0a4f113b")
    has = said(f'Digest {MUFASA}, qop="auth,auth-int"')

    assert has["response"] == "6629fae49393a05397450978507c4ef1"


def test_no_qop_is_the_example_of_rfc_2069():
    """Section 2.4 there, with the response of erratum 749."""
    has = said(f"Digest {MUFASA}", "Mufasa", "CircleOfLife")

    assert has == {
        "username": "Mufasa", "realm": "testrealm@host.com", "uri": "/dir/index.html",
        "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093", "opaque": "o",
        "response": "1949323746fe6a43ef61f9606e7febea",
    }  # fmt: skip


def test_session_key_stays_when_the_nonce_changes():
    first = answerer("Digest realm=r, nonce=1, qop=auth, algorithm=MD5-sess")
    second = first.following("2")

    assert second.secret == first.secret
    has = take_apart(second.answer("GET", "/").value)[0]
    assert (has["nonce"], has["nc"], has["cnonce"]) == ("2", "00000001", first.own)


@pytest.mark.parametrize(
    ("qop", "has_body", "expected"),
    [("auth", False, "auth"), ("auth-int, auth", True, "auth"), ("auth-int", True, "auth-int"),
     ("auth-int", False, None), ("x", True, None), ("AUTH", True, "auth")],
)  # fmt: skip
def test_quality_of_protection(qop, has_body, expected):
    challenges = parse_challenges(f'Digest realm=r, nonce=n, qop="{qop}"')
    best = strongest(challenges, has_body=has_body)

    if expected is None:
        assert best is None
    else:
        assert Answerer.of(best, "a", "b", has_body=has_body).qop == expected


def test_first_of_equal_challenges_is_answered():
    challenges = parse_challenges("Digest realm=r, nonce=1, Digest realm=r, nonce=2")

    assert strongest(challenges, has_body=True).parameters["nonce"] == "1"
    assert strongest([], has_body=True) is None


@pytest.mark.parametrize(
    ("text", "expected"), [("", False), (", stale=FALSE", False), (', stale="True"', True)]
)
def test_stale(text, expected):
    (challenge,) = parse_challenges(f"Digest realm=r, nonce=n{text}")

    assert is_stale(challenge) is expected


def test_functions_that_the_library_of_tls_does_not_have(monkeypatch):
    new = hashlib.new

    def without(name, *args, **options):
        if name == "sha512_256":
            raise ValueError("unsupported hash type")
        return new(name, *args, **options)

    digest_answer._has_function.cache_clear()
    monkeypatch.setattr("hashlib.new", without)
    try:
        challenges = parse_challenges(
            "Digest realm=r, nonce=1, algorithm=SHA-512-256, Digest realm=r, nonce=2"
        )
        assert strongest(challenges, has_body=True).parameters["nonce"] == "2"
    finally:
        digest_answer._has_function.cache_clear()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_proof_of_the_server(algorithm):
    one = answerer(f"Digest realm=r, nonce=n, qop=auth, algorithm={algorithm}")
    answer = one.answer("GET", "/")
    function = ALGORITHMS[algorithm]

    def h(*texts):
        return hashlib.new(function, ":".join(texts).encode()).hexdigest()

    proof = h(one.secret, "n", "00000001", one.own, "auth", h("", "/"))
    right = f'rspauth="{proof}", cnonce="{one.own}", nc=00000001, qop=auth'
    assert one.confirms(answer, parse_parameters(right))
    assert one.confirms(answer, parse_parameters(f'rspauth="{proof.upper()}"'))
    for wrong in (
        "", "qop=auth", 'rspauth=""', f'rspauth="{proof}0"', f'rspauth="{proof[1:]}\xe9"',
        right.replace("nc=00000001", "nc=00000002"), right.replace("nc=00000001", "nc=x"),
        right.replace(one.own, "other"), right.replace("qop=auth", "qop=auth-int"),
    ):  # fmt: skip
        assert not one.confirms(answer, parse_parameters(wrong)), wrong
