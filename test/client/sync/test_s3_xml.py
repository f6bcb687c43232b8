"""Documents of S3."""

import pytest
from kit.cases import each_case

from dugong_like import TransferError
from dugong_like.client.sync import s3_xml
from dugong_like.client.sync.s3_xml import compose, parse

LIST = b"""<?xml version="1.0"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <IsTruncated>true</IsTruncated><Name/>
  <Contents><Key>a&amp;b</Key><Size>1</Size><Owner><ID>x</ID></Owner></Contents>
  <Contents><Key/><Size> 2 </Size></Contents>
  <CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>
</ListBucketResult>"""


def test_texts_and_records_are_found():
    document = parse(LIST)

    assert document.root == "ListBucketResult"
    assert document.texts == {"IsTruncated": "true", "Name": ""}
    contents = list(document.of("Contents"))
    assert [(one["Key"], one["Size"]) for one in contents] == [("a&b", "1"), ("", " 2 ")]
    assert list(document.of("CommonPrefixes")) == [{"Prefix": "p/"}]


@each_case("cut", range(0, len(LIST) - 1, 7))
def test_a_document_that_is_cut_is_none(cut):
    with pytest.raises(TransferError, match="not valid"):
        parse(LIST[:cut])


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<!DOCTYPE a SYSTEM "http://example.org/a.dtd"><a/>',
        b"<a>" * 17 + b"</a>" * 17,
        b"<a/><b/>",
        b"",
    ],
)
def test_hostile_documents_are_refused(data):
    with pytest.raises(TransferError, match="not valid"):
        parse(data)


def test_a_document_has_a_largest_size(monkeypatch):
    monkeypatch.setattr(s3_xml, "MAX_SIZE", len(LIST) - 1)
    with pytest.raises(TransferError, match="more than"):
        parse(LIST)


def test_what_is_composed_is_parsed_to_the_same():
    records = [[("A", "1 < 2 & 3"), ("B", '"x"')], [("A", "")]]
    document = parse(compose("Root", "Each", records))

    assert document.root == "Root"
    assert list(document.of("Each")) == [dict(record) for record in records]
