"""The responses to PROPFIND."""

import pytest

from dugong_like import TransferError
from dugong_like.client.sync import multistatus as module
from dugong_like.client.sync.multistatus import Multistatus, Resource

APACHE = b"""<?xml version="1.0" encoding="utf-8"?>
<D:multistatus xmlns:D="DAV:" xmlns:ns0="DAV:">
<D:response xmlns:lp1="DAV:" xmlns:lp2="http://apache.org/dav/props/">
<D:href>/dav/</D:href>
<D:propstat><D:prop><lp1:resourcetype><D:collection/></lp1:resourcetype>
<lp1:getetag>"1000-5"</lp1:getetag></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>
<D:propstat><D:prop><lp1:getcontentlength/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status>
</D:propstat></D:response>
<D:response><D:href>/dav/a%20b&amp;c</D:href>
<D:propstat><D:prop><D:resourcetype/><D:getcontentlength>12</D:getcontentlength>
<D:getetag>W/"x"</D:getetag><D:getlastmodified>Sat, 01 Jan 2022 00:00:00 GMT</D:getlastmodified>
</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>
</D:multistatus>"""
FOUND = [
    Resource("/dav/", True, None, '"1000-5"', None),
    Resource("/dav/a%20b&c", False, 12, 'W/"x"', "Sat, 01 Jan 2022 00:00:00 GMT"),
]


def read(*pieces):
    found = []
    reader = Multistatus(found.append)
    for piece in pieces:
        reader.add(piece)
    reader.end()
    return found


def test_a_response_of_apache():
    assert read(APACHE) == FOUND


def test_the_result_does_not_depend_on_where_the_network_cuts():
    for cut in range(len(APACHE)):
        assert read(APACHE[:cut], APACHE[cut:]) == FOUND


def one(prop, status="HTTP/1.1 200 OK", href="<d:href>/x</d:href>"):
    return (
        f'<d:multistatus xmlns:d="DAV:"><d:response>{href}<d:propstat><d:prop>{prop}</d:prop>'
        f"<d:status>{status}</d:status></d:propstat></d:response></d:multistatus>"
    ).encode()


def test_what_is_no_property_of_dav_is_left_out():
    other = '<getcontentlength xmlns="urn:x">99</getcontentlength>'
    nested = "<x><d:href>/evil</d:href></x>"

    found = read(one(f"{other}<d:getcontentlength>5</d:getcontentlength>{nested}"))

    assert found == [Resource("/x", False, 5, None, None)]


@pytest.mark.parametrize("size", ["", "-1", "x", "1.5", "9" * 30, "\u0661"])
def test_sizes_that_are_none(size):
    found = read(one(f"<d:getetag>1</d:getetag><d:getcontentlength>{size}</d:getcontentlength>"))

    assert found[0].size is None


def test_properties_without_success_and_resources_without_properties_are_left_out():
    assert read(one("<d:getetag>1</d:getetag>", "HTTP/1.1 404 Not Found")) == []
    assert read(one("<d:getetag>1</d:getetag>", "nonsense")) == []
    assert read(one("<d:getetag>1</d:getetag>", href="")) == []
    assert read(b'<multistatus xmlns="DAV:"/>') == []


LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<D:multistatus xmlns:D="DAV:"><D:response><D:href>&b;</D:href></D:response></D:multistatus>"""
EXTERNAL = b"""<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><multistatus xmlns="DAV:"/>"""
BAD = {
    "entities": LAUGHS,
    "an external document type": EXTERNAL,
    "a file as an entity": LAUGHS.replace(b'a "aaaaaaaaaa"', b'a SYSTEM "file:///etc/passwd"'),
    "no XML": b"<html><body>Hello",
    "another document": b"<html></html>",
    "nothing": b"",
    "no namespace": b"<multistatus/>",
    "cut": APACHE[:-5],
    "an entity that is unknown": one("<d:getetag>&x;</d:getetag>"),
    "depth": one("<d:x>" * 40 + "</d:x>" * 40),
    "a text without end": one(f"<d:getetag>{'x' * 70_000}</d:getetag>"),
    "two documents": APACHE + APACHE,
}


@pytest.mark.parametrize("name", BAD)
def test_hostile_and_broken_documents_are_refused(name):
    with pytest.raises(TransferError, match="PROPFIND is not valid"):
        read(BAD[name])


def test_the_whole_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_SIZE", 100)

    with pytest.raises(TransferError, match="more than 100 bytes"):
        read(APACHE)
