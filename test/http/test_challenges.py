"""Challenges: several in one field, quoted strings, token68; and what is none of these."""

import pytest
from kit.support import check_proportion

from dugong_like.http.challenges import (
    MAX_CHALLENGES,
    MAX_PARAMETERS,
    Challenge,
    challenges_in,
    parse_challenges,
    parse_parameters,
)

BASIC = Challenge("basic", {"realm": "x"})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        (" , ,\t", []),
        ('Basic realm="x"', [BASIC]),
        ("bAsIc REALM=x", [BASIC]),
        (' ,Basic   realm \t= "x" ,, ', [BASIC]),
        ("Basic", [("basic", {}, "")]),
        ("Negotiate, NTLM", [("negotiate", {}, ""), ("ntlm", {}, "")]),
        ("Negotiate YWJj==, Basic realm=x", [("negotiate", {}, "YWJj=="), BASIC]),
        ("Bearer realm", [("bearer", {}, "realm")]),
        ("A b=,C", [("a", {}, "b="), ("c", {}, "")]),
        ('Newauth realm="apps", type=1,\ttitle="Login to \\"apps\\"", Basic realm="x"',
         [("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}, ""), BASIC]),
        ('Digest realm="a, Basic realm=b", qop="auth,auth-int", nonce="\\\\", Basic realm=x',
         [("digest", {"realm": "a, Basic realm=b", "qop": "auth,auth-int", "nonce": "\\"}, ""),
          BASIC]),
        ('Basic realm="\xe9"', [("basic", {"realm": "\xe9"}, "")]),
        ('A b="", c=d', [("a", {"b": "", "c": "d"}, "")]),
        ("A,b=c", [("a", {"b": "c"}, "")]),  # an empty list element, in front of a parameter
    ],
)  # fmt: skip
def test_challenges(value, expected):
    assert parse_challenges(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "a=b", '"', "=", "Basic realm", "Basic realm=", 'Basic realm="x', 'Basic realm="x"y',
        'Basic realm="x" nonce="y"', 'Basic realm="x", realm="y"', 'Basic realm="x", REALM=y',
        "Basic\trealm=x", "A b c", "A b c=d", "A b=c d", "A b; c", "A b=c;d=e", "A /=b",
        "A b=, c=d", 'A b="\\', 'A b="\x00"', "A b=\x00", "A\x00", "(", "A b=c, (", "A b=c, =",
    ],
)  # fmt: skip
def test_what_breaks_the_grammar_has_no_challenges(value):
    if value in {"Basic realm", "Basic realm="}:
        assert parse_challenges(value)[0].parameters == {}  # token68
    else:
        assert parse_challenges(value) == []


def test_limits():
    many = ", ".join(f"A{number}" for number in range(MAX_CHALLENGES))
    long = "A " + ", ".join(f"p{number}=v" for number in range(MAX_PARAMETERS))

    assert len(parse_challenges(many)) == MAX_CHALLENGES
    assert parse_challenges(f"{many}, B") == []
    assert len(parse_challenges(long)[0].parameters) == MAX_PARAMETERS
    assert parse_challenges(f"{long}, q=v") == []


@pytest.mark.parametrize(
    "piece", ["a ", "a", ",", 'a="', "b=c,", " ", '\\"', "=", "A,", "a b\t", "a =", '"', '"\\']
)
def test_time_is_in_proportion_to_the_length(piece):
    def parse(count):
        for begin in ("", "A ", "A b=", 'A b="'):
            parse_challenges(begin + piece * count)

    check_proportion(parse, 300_000, seconds=2)


def test_all_fields_of_the_name_count():
    fields = (
        b"\r\nProxy-Authenticate: Basic realm=x\r\nVia: Proxy-Authenticate: A\r\n"
        b"PROXY-AUTHENTICATE:A b\r\nProxy-Authenticate: (\r\nX-Proxy-Authenticate: C\r\n"
    )

    assert challenges_in(fields, b"proxy-authenticate") == [BASIC, ("a", {}, "b")]
    assert challenges_in(fields, b"www-authenticate") == []
    many = b"\r\n" + b"W: A\r\n" * (MAX_CHALLENGES + 5)
    assert len(challenges_in(many, b"w")) == MAX_CHALLENGES


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", {}),
        (
            'rspauth="ab", NC=00000001 , qop=auth',
            {"rspauth": "ab", "nc": "00000001", "qop": "auth"},
        ),
        (',nextnonce="a\\"b=, c",', {"nextnonce": 'a"b=, c'}),
        ("a=b, A=c", {}),
        ("a=b c=d", {}),
        ("Digest a=b", {}),
        ('a="b', {}),
        ("a", {}),
        (", ".join(f"p{number}=v" for number in range(MAX_PARAMETERS + 1)), {}),
    ],
)
def test_parameters_without_a_scheme(value, expected):
    assert parse_parameters(value) == expected
