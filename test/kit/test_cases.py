"""Tables of cases: each is tried, and the message names all that fail."""

import pytest

from kit.cases import CasesFailed, each_case, rest_slow


@each_case("number", [1, 2, 3])
@pytest.mark.parametrize("text", ["a", "b"])
@each_case(("left", "right"), [(1, 2), (3, 4)])
def test_each_case_can_stand_beside_parametrize_and_fixtures(tmp_path, number, text, left, right):
    with (tmp_path / "cases").open("a") as file:
        print(number, text, left, right, file=file)
    lines = (tmp_path / "cases").read_text().splitlines()

    assert lines[-1] == f"{number} {text} {left} {right}"
    assert len(lines) == 2 * number - 1 + (left == 3)


def test_all_that_fail_are_named():
    @each_case("one", [1, 2, 3])
    @each_case("two", ["a", "b"])
    def test(one, two):
        if two == "b" and one > 1:
            with pytest.raises(ValueError):
                pass
        assert (one, two) != (1, "a")

    with pytest.raises(CasesFailed) as caught:
        test()

    notes = [exc.__notes__ for exc in caught.value.exceptions]
    assert notes == [
        ["case: two='a'", "case: one=1"],
        ["case: two='b'", "case: one=2"],
        ["case: two='b'", "case: one=3"],
    ]


@pytest.mark.parametrize("skipping", [{1}, {3}, {1, 2, 3}])
def test_a_case_that_is_skipped_hides_no_other(skipping):
    tried = []

    @each_case("two", ["a", "b"])
    @each_case("one", [1, 2, 3])
    def test(one, two):
        if one in skipping:
            pytest.skip("not here")
        tried.append((one, two))
        assert (one, two) != (2, "a")

    with pytest.raises((CasesFailed, pytest.skip.Exception)) as caught:
        test()

    assert tried == [(one, two) for two in "ab" for one in (1, 2, 3) if one not in skipping]
    assert isinstance(caught.value, CasesFailed) == bool(tried)


def test_wrong_tables_are_refused():
    with pytest.raises(AssertionError, match="no cases for one"):
        each_case("one", [])
    with pytest.raises(AssertionError, match="not as many values"):
        each_case("one, two", [(1, 2), (1,)])
    with pytest.raises(AssertionError, match="takes no"):
        each_case("one", [1])(lambda two: None)


def test_the_rest_of_some_values_is_slow():
    made = rest_slow(1, ["a", "b", "c"], always="c".__eq__)

    assert [made[0], made[2]] == ["a", "c"]
    assert made[1] == pytest.param("b", marks=pytest.mark.slow)
    assert rest_slow(0, [(1, 2)]) == [pytest.param(1, 2, marks=pytest.mark.slow)]
