"""The static table of HPACK, compared with the one of another library."""

from hpack.table import HeaderTable

from dugong_like.http.h2.static_table import ENTRIES, FIRST_DYNAMIC, INDICES, NAME_INDICES


def test_entries_are_those_of_the_rfc():
    assert ENTRIES == HeaderTable.STATIC_TABLE
    assert len(ENTRIES) == 61
    assert FIRST_DYNAMIC == 62


def test_indices_begin_with_1_and_names_have_their_first_entry():
    assert INDICES[b":authority", b""] == 1
    assert INDICES[b"www-authenticate", b""] == 61
    assert {ENTRIES[index - 1] for index in INDICES.values()} == set(ENTRIES)
    assert NAME_INDICES[b":status"] == 8
    assert all(ENTRIES[index - 1][0] == name for name, index in NAME_INDICES.items())
