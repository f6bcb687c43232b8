"""Public suffixes: the built-in list, and that of publicsuffixlist."""

import sys

import pytest

from dugong_like.http import public_suffixes
from dugong_like.http.public_suffixes import HOSTING, SECOND_LEVEL, built_in, default_list

SUFFIXES = ["com", "org", "uk", "co.uk", "com.au", "co.jp", "com.br", "github.io", "localhost"]
NAMES = ["example.com", "example.co.uk", "co.example", "uk.co.example", "user.github.io"]


@pytest.fixture
def chosen_anew(monkeypatch):
    monkeypatch.setattr(public_suffixes, "_chosen", None)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_built_in_suffixes(suffix):
    assert built_in(suffix)


@pytest.mark.parametrize("name", NAMES)
def test_built_in_names(name):
    assert not built_in(name)


def test_the_package_decides_where_it_is_installed(chosen_anew):
    pytest.importorskip("publicsuffixlist")
    is_public = default_list()

    assert is_public is not built_in
    assert is_public is default_list()
    for suffix in [*SUFFIXES, "compute.amazonaws.com", "anything.ck"]:
        assert is_public(suffix), suffix
    for name in [*NAMES, "www.ck"]:
        assert not is_public(name), name


def test_without_the_package_it_is_the_built_in_list(chosen_anew, monkeypatch):
    monkeypatch.setitem(sys.modules, "publicsuffixlist", None)

    assert default_list() is built_in


def test_the_built_in_list_says_nothing_that_the_package_denies():
    is_public = pytest.importorskip("publicsuffixlist").PublicSuffixList().is_public
    second = [f"{label}.{country}" for country, labels in SECOND_LEVEL.items() for label in labels]

    assert [suffix for suffix in [*second, *HOSTING] if not is_public(suffix)] == []
