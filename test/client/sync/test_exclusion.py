"""Patterns of what is left alone."""

import pytest

from dugong_like import InvalidOption
from dugong_like.client.sync.exclusion import Exclusion

# Pattern, paths of files that it is about, and others.
CASES = {
    "*.tmp": (["a.tmp", "b/a.tmp", "a.tmp/b", ".tmp"], ["a.tmpx", "atmp", "tmp"]),
    "cache": (["cache", "a/cache", "cache/x/y"], ["caches", "a/cachet", "xcache"]),
    "cache/": (["cache/x", "a/cache/x/y"], ["cache", "a/cache", "xcache/a"]),
    "/build": (["build", "build/a"], ["a/build", "builds"]),
    "a/b": (["a/b", "a/b/c"], ["x/a/b", "a/bc"]),
    "/a/*": (["a/b", "a/b/c"], ["a", "x/a/b"]),
    "a/*/c": (["a/b/c", "a/b/c/d"], ["a/c", "a/b/b/c"]),
    "**/x": (["x", "a/x", "a/b/x"], ["ax"]),
    "/a/**/z": (["a/z", "a/b/z", "a/b/c/z"], ["z", "b/a/z", "a/bz"]),
    "a?c": (["abc", "x/axc"], ["ac", "abbc", "a/c"]),
    "[a-c]x": (["ax", "bx"], ["dx", "x", "/x"]),
    "[!a-c]x": (["dx", "y/-x"], ["ax", "x"]),
    "[]]x": (["]x"], ["x"]),
    "a+b(c)": (["a+b(c)"], ["aab(c)"]),
    "a\nb": (["a\nb"], ["ab"]),
    "*": (["a", "a\nb", "a/b"], []),
    "\udcff": (["\udcff"], ["x"]),
}


@pytest.mark.parametrize("pattern", CASES, ids=ascii)
def test_a_pattern(pattern):
    wanted, others = CASES[pattern]
    excludes = Exclusion([pattern])

    assert [path for path in wanted + others if excludes(path)] == wanted


def test_several_patterns_and_none():
    excludes = Exclusion(["*.a", "/b/"])

    assert [bool(excludes(path)) for path in ("x.a", "b/c", "c")] == [True, True, False]
    assert excludes
    assert not Exclusion([])
    assert not Exclusion([])("a")
    assert not Exclusion([]).folder("a")


def test_folders_are_left_alone_with_all_that_is_in_them():
    excludes = Exclusion(["cache/", "*.d", "/x/y"])

    assert all(excludes.folder(path) for path in ("cache", "a/cache", "a.d", "x/y"))
    assert not any(excludes.folder(path) for path in ("x", "y", "a"))


@pytest.mark.parametrize("pattern", ["", "/", "//", "[z-a]"])
def test_no_patterns(pattern):
    with pytest.raises(InvalidOption, match="exclude"):
        Exclusion([pattern])
