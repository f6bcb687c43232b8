"""Sections of fields: the rules of RFC 9113 section 8, for what is taken and what is sent."""

import pytest
from kit.steps import Steps

from dugong_like import Headers, InvalidRequest, InvalidResponse, Target
from dugong_like.http.h2 import fields
from dugong_like.http.h2.fields import (
    RequestFields,
    ResponseHead,
    response_head,
    trailer_fields,
    trailer_section,
)
from dugong_like.http.h2.hpack_decoder import FieldSection
from dugong_like.http.header_validation import NO_FIELDS, FieldLines
from dugong_like.http.lazy_message import FieldsMessage

OK = b":status", b"200"


def section(*pairs):
    made = FieldSection()
    made.extend(pairs)
    return made


# --- responses


def test_head_of_a_response():
    head = response_head(section(OK, (b"content-length", b"5"), (b"a", b"b c"), (b"e", b"")))

    assert (head.status, head.reason, head.version) == (200, b"", "2")
    assert (head.content_length, head.count) == (5, 3)
    assert head.fields == b"\r\ncontent-length:5\r\na:b c\r\ne:\r\n"
    assert head.lower is head.fields


def test_head_without_fields():
    head = response_head(section((b":status", b"999")))

    assert (head.status, head.fields, head.count, head.content_length) == (999, b"\r\n", 0, None)


def test_message_of_a_head_has_fields_in_order_with_repetitions():
    head = response_head(section(OK, (b"a", b"B: c"), (b"set-cookie", b"\xe9"), (b"a", b"d")))
    for message in (FieldsMessage(head.fields, head.lower), FieldsMessage(head.fields)):
        assert message["A"] == "B: c"
        assert message.get_all("a") == ["B: c", "d"]
        assert message.items() == [("a", "B: c"), ("set-cookie", "\xe9"), ("a", "d")]


def test_blanks_at_the_ends_of_values_are_cut_off():
    """RFC 9113 section 8.2.1 has none, but servers send what HTTP/1 would cut off."""
    head = response_head(section(OK, (b"a", b" b c\t"), (b"e", b"  "), (b"f", b"g")))

    assert (head.fields, head.count) == (b"\r\na:b c\r\ne:\r\nf:g\r\n", 3)
    assert trailer_section(section((b"a", b" b"))) == b"a:b\r\n"


@pytest.mark.parametrize("status", [100, 103, 199, 200, 204, 304, 599, 600, 999])
def test_statuses(status):
    assert response_head(section((b":status", b"%d" % status))).status == status


def test_head_of_a_section_is_made_once():
    response = section(OK, (b"a", b"b"))
    assert response_head(response) is response_head(response)


def test_lengths_may_be_repeated_if_they_are_equal():
    repeated = section(OK, (b"content-length", b"5"), (b"content-length", b"05"))
    assert response_head(repeated).content_length == 5


# Section of RFC 9113: the fields of a response, behind :status, or a whole section.
REFUSED_BEHIND_STATUS = {
    "8.2.1, CR in a value": [(b"a", b"b\rc")],
    "8.2.1, LF in a value": [(b"a", b"b\nc")],
    "8.2.1, CR LF in a value": [(b"a", b"b\r\nc: d")],
    "8.2.1, CR LF in a value, and blanks": [(b"a", b"b\r\n c")],
    "8.2.1, two CR LF in a value": [(b"a", b"b\r\n\r\nbody")],
    "8.2.1, CR LF at the end of a value": [(b"a", b"b\r\n")],
    "8.2.1, CR LF at the beginning of a value": [(b"a", b"\r\nb:c")],
    "8.2.1, LF at the end of a value": [(b"a", b"b\n")],
    "8.2.1, NUL in a value": [(b"a", b"b\0c")],
    "8.2.1, NUL as a value": [(b"a", b"\0")],
    "8.2.1, another control character": [(b"a", b"b\x01c")],
    "8.2.1, a vertical tab": [(b"a", b"b\x0bc")],
    "8.2.1, DEL": [(b"a", b"b\x7f")],
    "8.2.1, NUL behind a blank": [(b"a", b" b\0")],
    "8.2.1, LF in front of a tab": [(b"a", b"b\n\t")],
    "8.2.1, a vertical tab at the end": [(b"a", b"b \x0b")],
    "8.2.1, a bad value behind good ones": [(b"a", b"b"), (b"c", b"d\n"), (b"e", b"f")],
    "8.2.1, the last value": [(b"a", b"b"), (b"e", b"f "), (b"g", b"h\0")],
    "8.2.1, an upper-case name": [(b"Server", b"x")],
    "8.2.1, an upper-case letter in a name": [(b"x-Ab", b"x")],
    "8.2.1, an upper-case name of the framing": [(b"Content-Length", b"5")],
    "8.2.1, an empty name": [(b"", b"x")],
    "8.2.1, a blank in a name": [(b"a b", b"x")],
    "8.2.1, a blank behind a name": [(b"a ", b"x")],
    "8.2.1, a colon in a name": [(b"a:b", b"x")],
    "8.2.1, a colon and a blank in a name": [(b"a: b", b"x")],
    "8.2.1, a colon at the end of a name": [(b"a:", b"x")],
    "8.2.1, CR LF in a name": [(b"a:b\r\nc", b"x")],
    "8.2.1, LF in a name": [(b"a\nb", b"x")],
    "8.2.1, NUL in a name": [(b"a\0", b"x")],
    "8.2.1, a name that is not ASCII": [(b"\xe9", b"x")],
    "8.2.1, a name with a bracket": [(b"a(b", b"x")],
    "8.2.1, DEL in a name": [(b"a\x7f", b"x")],
    "8.2.2, Connection": [(b"connection", b"close")],
    "8.2.2, Connection, empty": [(b"connection", b"")],
    "8.2.2, Keep-Alive": [(b"keep-alive", b"timeout=5")],
    "8.2.2, Proxy-Connection": [(b"proxy-connection", b"keep-alive")],
    "8.2.2, Transfer-Encoding": [(b"transfer-encoding", b"chunked")],
    "8.2.2, Upgrade": [(b"upgrade", b"websocket")],
    "8.2.2, TE": [(b"te", b"gzip")],
    "8.2.2, TE with more than trailers": [(b"te", b"trailers, gzip")],
    "8.3, :status behind a field": [(b"a", b"b"), (b":status", b"200")],
    "8.3, two of :status": [(b":status", b"200")],
    "8.3, two different ones": [(b":status", b"500")],
    "8.3, a pseudo-field of requests": [(b":path", b"/")],
    "8.3, a pseudo-field that nobody knows": [(b":x", b"y")],
    "8.3, an empty pseudo-field": [(b":", b"y")],
    "8.3, an upper-case pseudo-field": [(b":STATUS", b"200")],
    "8.1.1, a length with a sign": [(b"content-length", b"+5")],
    "8.1.1, a negative length": [(b"content-length", b"-5")],
    "8.1.1, an empty length": [(b"content-length", b"")],
    "8.1.1, a length with letters": [(b"content-length", b"5a")],
    "8.1.1, a length in hexadecimal": [(b"content-length", b"0x5")],
    "8.1.1, a list of lengths": [(b"content-length", b"5, 5")],
    "8.1.1, a length of 30 digits": [(b"content-length", b"1" * 30)],
    "8.1.1, two different lengths": [(b"content-length", b"5"), (b"content-length", b"6")],
    "8.1.1, a blank in a length": [(b"content-length", b"5 5")],
    "8.1.1, nothing but a blank as length": [(b"content-length", b" ")],
}
REFUSED = {
    "8.3.2, no field at all": [],
    "8.3.2, no :status": [(b"a", b"b")],
    "8.3.2, :status behind a field": [(b"a", b"b"), OK],
    "8.3.2, a request": [(b":method", b"GET"), (b":path", b"/")],
    "8.3.2, :status in upper case": [(b":STATUS", b"200")],
    "8.3.2, status without colon": [(b"status", b"200")],
    "8.3.2, an empty status": [(b":status", b"")],
    "8.3.2, a status of two digits": [(b":status", b"20")],
    "8.3.2, a status of four digits": [(b":status", b"2000")],
    "8.3.2, a status below 100": [(b":status", b"099")],
    "8.3.2, a status with a sign": [(b":status", b"+20")],
    "8.3.2, a status with a blank": [(b":status", b"200 ")],
    "8.3.2, a status with a reason": [(b":status", b"200 OK")],
    "8.3.2, a status of letters": [(b":status", b"abc")],
    "8.3.2, a status with LF": [(b":status", b"200\n")],
    "8.6, switching protocols": [(b":status", b"101")],
    "8.6, switching protocols, with fields": [(b":status", b"101"), (b"a", b"b")],
}
REFUSED_TRAILERS = {
    "8.3, :status in trailers": [OK],
    "8.3, :status behind a trailer": [(b"a", b"b"), OK],
    "8.3, another pseudo-field in trailers": [(b":path", b"/")],
    "8.2.1, an upper-case name in trailers": [(b"Checksum", b"x")],
    "8.2.1, CR LF in a trailer": [(b"a", b"b\r\nc: d")],
    "8.2.2, Transfer-Encoding in trailers": [(b"transfer-encoding", b"chunked")],
}


def check_refused(read, cases):
    for case, pairs in cases.items():
        for _ in range(2):  # as one that is remembered is refused, too
            try:
                found = read(section(*pairs))
            except InvalidResponse as exc:
                number = case.partition(",")[0]
                said = str(exc)
                assert number == "8.1.1" or f"RFC 9113 section {number})" in said, (case, said)
            else:
                pytest.fail(f"{case}: {found}")


def test_malformed_responses():
    assert len(REFUSED_BEHIND_STATUS) + len(REFUSED) + len(REFUSED_TRAILERS) > 80
    behind = {case: [OK, *pairs] for case, pairs in REFUSED_BEHIND_STATUS.items()}
    check_refused(response_head, behind)
    check_refused(response_head, {**REFUSED, "8.3.2, the head is trailers": [(b"a", b"b")]})


def test_interim_responses_have_the_same_rules():
    early = b":status", b"103"
    behind = {case: [early, *pairs] for case, pairs in REFUSED_BEHIND_STATUS.items()}
    check_refused(response_head, behind)


def test_malformed_trailers():
    check_refused(trailer_section, {**REFUSED_TRAILERS, **REFUSED_BEHIND_STATUS})


def test_messages_do_not_show_values():
    for value in (b"secret\n", b" secret\r", b"secret\0"):
        with pytest.raises(InvalidResponse, match="the value of set-cookie") as info:
            response_head(section(OK, (b"a", b"b"), (b"set-cookie", value)))
        assert "secret" not in str(info.value)


def test_trailers():
    assert trailer_section(section((b"a", b"b"), (b"c", b"d: e"))) == b"a:b\r\nc:d: e\r\n"
    assert trailer_section(section()) == b""


def test_one_section_can_be_the_head_of_one_response_and_trailers_of_another():
    """Equal blocks give the same section; each is judged for what it is."""
    head, trailers = section(OK, (b"a", b"b")), section((b"a", b"b"))
    assert isinstance(response_head(head), ResponseHead)
    with pytest.raises(InvalidResponse):
        trailer_section(head)
    assert trailer_section(trailers) == b"a:b\r\n"
    with pytest.raises(InvalidResponse):
        response_head(trailers)


def test_valid_names_that_are_remembered_are_bounded():
    for number in range(1000):
        response_head(section(OK, (b"x-%d" % number, b""), (b"y" * 100 + b"%d" % number, b"")))
    assert len(fields._plain) <= fields.MOST_NAMES
    assert max(map(len, fields._plain)) <= fields.LONGEST_NAME


def test_te_trailers_is_no_harm():
    assert response_head(section(OK, (b"te", b"trailers"))).count == 1


# --- requests

GET = (
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"example.org"),
    (b":path", b"/a"),
)
IDENTITY = b"accept-encoding", b"identity"


def build(method="GET", target="/a", given=NO_FIELDS, **more):
    made = given if isinstance(given, FieldLines) else FieldLines(given)
    return RequestFields("https", "example.org").build(method, target, made, **more)


def test_request_without_fields():
    assert build() == (*GET, IDENTITY)


def test_fields_of_a_request_in_lower_case_and_in_order():
    given = Headers([("X-B", "1"), ("Accept-Encoding", "gzip"), ("x-a", " 2\t"), ("X-b", "3 : 4")])
    expected = [(b"x-b", b"1"), (b"accept-encoding", b"gzip"), (b"x-a", b"2"), (b"x-b", b"3 : 4")]

    assert build(given=given) == (*GET, *expected)


def test_values_may_have_any_byte_of_latin_1():
    assert build(given={"A": "\xe9", "B": ""})[5:] == ((b"a", b"\xe9"), (b"b", b""))


def test_length_of_the_body():
    assert build("POST", length=0)[-1] == (b"content-length", b"0")
    assert build("PUT", given={"A": "b"}, length=10**12)[-1] == (
        b"content-length",
        b"1" + b"0" * 12,
    )


def test_host_becomes_the_authority():
    """Section 8.3.1."""
    request = build(given={"Host": "other.example:8443", "A": "b"})
    assert request[2] == (b":authority", b"other.example:8443")
    assert request[4:] == (IDENTITY, (b"a", b"b"))
    with pytest.raises(InvalidRequest, match="Host is not a host"):
        build(given={"Host": "a b"})


def test_cookies_are_split():
    """Section 8.2.3: so that those that do not change are in the table."""
    request = build(given={"Cookie": "a=1; b=2;c=3; d"})
    assert request[5:] == ((b"cookie", b"a=1"), (b"cookie", b"b=2;c=3"), (b"cookie", b"d"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Connection", "close"),
        ("connection", "keep-alive, x"),
        ("CONNECTION", "TE, x"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Upgrade", "websocket"),
        ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
        ("TE", "gzip"),
        ("te", "trailers, deflate"),
        ("TE", ""),
    ],
)
def test_fields_of_http_1_connections_are_refused_by_name(name, value):
    """Section 8.2.2."""
    shown = "Connection" if name in {"Upgrade", "HTTP2-Settings"} else name
    with pytest.raises(InvalidRequest, match=rf"{shown} .*RFC 9113 section 8.2.2") as caught:
        build(given={name: value})
    assert caught.value.for_http_1


def test_to_keep_the_connection_need_not_be_said():
    assert build(given={"Connection": "keep-alive"})[5:] == ()
    assert [name for name, _ in build(given={"connection": "Keep-Alive", "A": "b"})[5:]] == [b"a"]


def test_te_trailers_is_sent_without_the_connection_option_of_http_1():
    for given in (
        {"TE": "trailers"},
        {"TE": "Trailers", "Connection": "TE"},
        {"Connection": "keep-alive, te", "TE": "trailers"},
    ):
        assert [name for name, _ in build(given=given)[5:]] == [b"te"]
    with pytest.raises(InvalidRequest, match="Connection is for HTTP/1"):
        build(given={"TE": "trailers", "Connection": "close"})


@pytest.mark.parametrize(
    ("method", "target", "path"),
    [
        ("GET", "/", b"/"),
        ("GET", "/a?b=%20", b"/a?b=%20"),
        ("GET", "//other.example/", b"//other.example/"),
        ("OPTIONS", "*", b"*"),
        ("PROPFIND", "/a", b"/a"),
        ("GET", Target("/a"), b"/a"),
        ("GET", Target("HTTPS://EXAMPLE.org/a?b"), b"/a?b"),
        ("GET", Target("https://example.org"), b"/"),
        ("GET", Target("https://example.org?q"), b"/?q"),
        ("OPTIONS", Target("https://example.org"), b"*"),
    ],
)
def test_targets(method, target, path):
    """Section 8.3.1: absolute forms are taken apart."""
    pseudo = build(method, target)[:4]
    assert pseudo == ((b":method", method.encode()), *GET[1:3], (b":path", path))


def test_scheme_of_an_absolute_target_is_sent():
    assert build(target=Target("http://example.org/"))[1] == (b":scheme", b"http")


@pytest.mark.parametrize(
    ("method", "target", "message"),
    [
        ("GET", "", "path must begin"),
        ("GET", "a", "path must begin"),
        ("GET", "/a b", "path must begin"),
        ("GET", "/a\r\n", "path must begin"),
        ("GET", "/\xe9", "path must begin"),
        ("GET", "/a#b", "path must begin"),
        ("GET", "https://example.org/", "path must begin"),
        ("GET", "*", "goes with OPTIONS only"),
        ("GET", Target("https://other.example/"), "they have to be the same"),
        ("G T", "/", "method is not a token"),
        ("", "/", "method is not a token"),
        ("GET\n", "/", "method is not a token"),
        ("CONNECT", "/", "CONNECT goes with host:port"),
    ],
)
def test_what_cannot_be_sent(method, target, message):
    with pytest.raises(InvalidRequest, match=message):
        build(method, target)


def test_connect_has_neither_scheme_nor_path():
    """Section 8.5."""
    request = build("CONNECT", "other.example:443", {"A": "b"})
    assert request == (
        (b":method", b"CONNECT"),
        (b":authority", b"other.example:443"),
        IDENTITY,
        (b"a", b"b"),
    )
    for host in ("other.example:443", "OTHER.example"):
        assert build("CONNECT", "other.example:443", {"Host": host})[:2] == request[:2]
    with pytest.raises(InvalidRequest, match="with CONNECT other.example:443 Host is that, too"):
        build("CONNECT", "other.example:443", {"Host": "third.example"})


def test_extended_connect_has_all_pseudo_fields():
    """RFC 8441 section 4."""
    request = build("CONNECT", "/chat", protocol="websocket")
    connect = b":method", b"CONNECT"
    path = b":path", b"/chat"
    assert request == (connect, *GET[1:3], path, (b":protocol", b"websocket"), IDENTITY)
    with pytest.raises(InvalidRequest, match=":protocol goes with CONNECT, not with GET"):
        build("GET", "/chat", protocol="websocket")
    with pytest.raises(InvalidRequest, match="protocol is not a token"):
        build("CONNECT", "/chat", protocol="web socket")
    with pytest.raises(InvalidRequest, match="path must begin"):
        build("CONNECT", "example.org:443", protocol="websocket")


def test_trailers_of_a_request():
    assert trailer_fields({"Checksum": "b ", "X": ""}) == ((b"checksum", b"b"), (b"x", b""))
    for name in ("Content-Type", "TE", "Connection", "Content-Length"):
        with pytest.raises(InvalidRequest):
            trailer_fields({name: "trailers"})
    with pytest.raises(InvalidRequest, match="HTTP2-Settings is for HTTP/1"):
        trailer_fields({"HTTP2-Settings": "x"})
    with pytest.raises(TypeError):
        trailer_fields(5)


def test_equal_fields_of_requests_are_converted_once_and_are_bounded():
    requests = RequestFields("https", "example.org")
    first, second = (requests.build("GET", "/", FieldLines({"A": "b"})) for _ in range(2))
    assert first == second
    assert first[-1] is second[-1]
    for number in range(1000):
        requests.build("GET", "/", FieldLines({"A": f"{number}"}))
    assert len(requests._tails) <= fields.MOST_TAILS


def test_cost_of_a_common_request_and_of_a_head():
    """Bytecodes, which no machine changes."""
    requests, lines = RequestFields("https", "example.org"), FieldLines({"A": "b", "C": "d"})
    requests.build("GET", "/", lines)
    with Steps() as building:
        requests.build("GET", "/b", lines)
    response = [(b"server", b"nginx"), (b"date", b"x"), (b"content-length", b"5"), (b"etag", b"y")]
    response_head(section(OK, *response))
    other = section(OK, *response)
    with Steps() as reading:
        response_head(other)
    with Steps() as known:
        response_head(other)

    assert building.codes < 70, building.codes
    assert reading.codes < 350, reading.codes
    assert known.codes < 25, known.codes
