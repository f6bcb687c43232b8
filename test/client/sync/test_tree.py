"""Listings."""

import sqlite3
from contextlib import closing

import pytest

from dugong_like.client.sync.tree import Facts, Tree, as_bytes, name_problem, parents


@pytest.fixture
def tree():
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        yield Tree(database, "here")


BAD = [
    *("", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/..", "./a", "a/."),
    *("a\0b", "\ud800", "x" * 256, "a/" * 2048 + "a", "/etc/passwd"),
]
GOOD = ["a", "a/b", "...", "a\nb", ".a", "a..", "\udcff", " ", "ä/ö", "x" * 255, "C:\\a"]


@pytest.mark.parametrize("path", BAD, ids=ascii)
def test_names_that_lead_out_of_the_folder_are_refused(tree, path):
    tree.add(path, Facts(1))

    assert len(tree) == 0
    assert tree.refused_count == 1
    assert tree.refused[0][0] == path
    assert name_problem(path) == tree.refused[0][1]


def test_odd_names_are_kept(tree):
    for path in GOOD:
        tree.add(path, Facts(1, 2, "3", b"4"))

    assert [path for path, _ in tree] == sorted(map(as_bytes, GOOD))
    assert all(tree.get(path) == (1, 2, "3", b"4") for path in GOOD)
    assert tree.refused == []


@pytest.mark.parametrize("size", [-1, 1 << 62])
def test_impossible_sizes_are_refused(tree, size):
    tree.add("a", Facts(size))

    assert len(tree) == 0
    assert tree.refused_count == 1


def test_facts_are_replaced_and_removed(tree):
    tree.add("a", Facts(1))
    tree.add("a", Facts(2))
    assert tree.get("a") == Facts(2)

    tree.remove("a")
    assert tree.get("a") is None
    assert list(tree) == []


def test_folders_are_known(tree):
    for path in ("a/b/c", "a/b/d", "a/e", "f"):
        tree.add(path, Facts(1))

    assert tree.folders == {"a", "a/b"}
    assert list(parents("a/b/c")) == ["a/b", "a"]
    for folder, expected in (("a", True), ("a/b", True), ("f", False), ("a/e", False)):
        assert tree.has_below(folder) is expected
    tree.remove("a/e")
    tree.add("a-b/c", Facts(1))
    tree.remove("a/b/c")
    tree.remove("a/b/d")
    assert not tree.has_below("a")


def test_many_files_come_back_in_order(tree):
    for number in range(2500, 0, -1):
        tree.add(f"{number:05}", Facts(number))

    assert [facts.size for _, facts in tree] == list(range(1, 2501))


def test_only_some_refused_names_are_kept(tree):
    for _ in range(1100):
        tree.add("..", Facts(1))

    assert (len(tree.refused), tree.refused_count) == (1000, 1100)
