"""Answers to PROPFIND, as servers write them and as nobody should."""

import pytest

from dugong_like import InvalidResponse
from dugong_like.http import webdav
from dugong_like.http.webdav import MAX_DEPTH, MAX_TEXT, Multistatus, Resource, path_of

APACHE = b"""<?xml version="1.0" encoding="utf-8"?>
<D:multistatus xmlns:D="DAV:" xmlns:ns0="DAV:">
<D:response xmlns:lp1="DAV:" xmlns:lp2="http://apache.org/dav/props/">
<D:href>/dav/</D:href>
<D:propstat><D:prop><lp1:resourcetype><D:collection/></lp1:resourcetype>
<lp1:getlastmodified>Sun, 06 Nov 1994 08:49:37 GMT</lp1:getlastmodified>
<D:getcontenttype>httpd/unix-directory</D:getcontenttype>
</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>
<D:propstat><D:prop><D:getcontentlength/></D:prop>
<D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>
</D:response>
<D:response><D:href>/dav/a%20b%C3%A4.txt</D:href>
<D:propstat><D:prop><D:resourcetype/><lp1:creationdate xmlns:lp1="DAV:">2026-01-02T03:04:05Z\
</lp1:creationdate><D:getcontentlength>12</D:getcontentlength>
<D:getetag>"c-5&amp;"</D:getetag><D:getcontenttype>text/plain</D:getcontenttype></D:prop>
<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>
</D:multistatus>
"""
FOLDER = Resource(
    "/dav/", True, None, None, "Sun, 06 Nov 1994 08:49:37 GMT", None, "httpd/unix-directory"
)
FILE = Resource(
    "/dav/a%20b%C3%A4.txt", False, 12, '"c-5&"', None, "2026-01-02T03:04:05Z", "text/plain"
)


def read(*pieces):
    found = []
    reader = Multistatus(found.append)
    for piece in pieces:
        reader.add(piece)
    reader.end()
    return found


GOOD = b"<propstat><prop>%b</prop><status>HTTP/1.1 200 OK</status></propstat>"


def response(inner, after=b""):
    return b'<multistatus xmlns="DAV:"><response>' + inner + b"</response>%b</multistatus>" % after


def test_resources_are_the_same_wherever_the_network_cuts():
    for cut in range(len(APACHE) + 1):
        assert read(APACHE[:cut], APACHE[cut:]) == [FOLDER, FILE]
    assert read(*(APACHE[at : at + 1] for at in range(len(APACHE)))) == [FOLDER, FILE]


def test_a_resource_is_there_as_soon_as_its_element_ends():
    found = []
    first = APACHE.index(b"</D:response>") + len(b"</D:response>")

    Multistatus(found.append).add(APACHE[:first])

    assert found == [FOLDER]


def test_properties_of_another_status_than_success_do_not_count():
    good = GOOD % b""
    bad = b"<propstat><prop><getetag>x</getetag></prop><status>HTTP/1.1 403 No</status></propstat>"

    assert read(response(b"<href>/a</href>" + good + bad)) == [Resource("/a", False)]
    assert read(response(b"<href>/a</href>" + bad)) == []
    assert read(response(good)) == []
    assert read(b'<multistatus xmlns="DAV:"/>') == []
    assert read(response(b"<href>/a</href><status>HTTP/1.1 423 Locked</status>")) == []


def test_names_of_other_namespaces_and_odd_values_are_not_taken_for_properties():
    odd = (
        b'<href>/a</href><propstat><prop><getetag xmlns="other">x</getetag>'
        b'<getlastmodified xmlns="">x</getlastmodified>'
        b"<getcontentlength>-1</getcontentlength><owner><href>/b</href></owner>"
        b"</prop><status>HTTP/1.1 200 OK</status></propstat>"
    )

    assert read(response(odd)) == [Resource("/a", False)]
    assert read(response(odd.replace(b"-1", b"9" * 19))) == [Resource("/a", False)]


def test_an_answer_without_an_end_is_given_up(monkeypatch):
    monkeypatch.setattr(webdav, "MAX_SIZE", 100)

    with pytest.raises(InvalidResponse, match="more than 100 bytes"):
        read(APACHE)


@pytest.mark.parametrize("size", ["", "-1", "x", "1.5", "9" * 30, "\u0661"])
def test_sizes_that_are_none(size):
    prop = f"<getcontentlength>{size}</getcontentlength>".encode()
    (found,) = read(response(b"<href>/a</href>" + GOOD % prop))

    assert found.size is None


LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<D:multistatus xmlns:D="DAV:"><D:response><D:href>&b;</D:href></D:response></D:multistatus>"""
BAD = {  # the message; a document
    "document type": [
        LAUGHS,
        LAUGHS.replace(b'a "aaaaaaaaaa"', b'a SYSTEM "file:///etc/passwd"'),
        b'<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><multistatus xmlns="DAV:"/>',
    ],
    "no multistatus": [
        *(b"<html><body>Hello", b"<html></html>", b"<multistatus/>"),
        b'<multistatus xmlns="other"></multistatus>',
    ],
    "(no element found|unclosed token)": [
        b"",
        b'<multistatus xmlns="DAV:"><response>',
        APACHE[:-20],
        APACHE[: len(APACHE) // 2],
    ],
    "mismatched tag": [b'<multistatus xmlns="DAV:"></a>'],
    "undefined entity": [response(b"<href>&x;</href>")],
    "junk after document": [APACHE + APACHE.partition(b"?>")[2]],
    "more than 65536 characters": [response(b"<href>" + b"a" * (MAX_TEXT + 1) + b"</href>")],
    "within each other": [b'<multistatus xmlns="DAV:">' + b"<a>" * MAX_DEPTH],
}


@pytest.mark.parametrize("message", BAD)
def test_hostile_and_broken_documents_are_refused(message):
    for body in BAD[message]:
        with pytest.raises(InvalidResponse, match=f"PROPFIND is not valid: .*{message}") as raised:
            read(body)
        assert raised.value.request_sent == "yes"


@pytest.mark.parametrize(
    ("href", "path"),
    [
        ("/a/b%2fc", "/a/b/c"),
        ("https://example.org:8080/a%7Eb/?x#y", "/a~b/"),
        ("http://example.org", ""),
        ("a%FF", "a\udcff"),
    ],
)
def test_paths_are_compared_decoded(href, path):
    assert path_of(href) == path


def test_digests_of_owncloud():
    inner = b"<checksums xmlns='http://owncloud.org/ns'>%b</checksums><getetag>1</getetag>"
    one, two = b"<checksum>SHA1:aa MD5:bb</checksum>", b"<checksum>ADLER32:cc</checksum>"

    def checksums(data):
        (found,) = read(response(b"<href>/a</href>" + GOOD % (inner % data)))
        return found.checksums

    assert checksums(one) == "SHA1:aa MD5:bb"
    assert checksums(b"\n " + one + b"\n" + two) == "SHA1:aa MD5:bb ADLER32:cc"
    assert checksums(b"") is None
    assert checksums(one.replace(b"checksum>", b"checksum xmlns='DAV:'>", 1)) is None
