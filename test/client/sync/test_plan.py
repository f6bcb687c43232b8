"""Plans: what follows from two listings and a record, as tables."""

import random

from kit.cases import each_case

from dugong_like.client.sync.plan import Kind, Plan, Rules, merged
from dugong_like.client.sync.record import Known
from dugong_like.client.sync.tree import Facts, Item, as_bytes, as_text

HERE = Facts(5, 100)
KNOWN = (5, 100, "1")  # size, time and tag
THERE = Facts(5, None, "1")
EXACT = Facts(5, 100, "1")
UP = Rules(upload=True)
DOWN = Rules(upload=False)
MANIFEST = Rules(upload=True, exact_times=True, listing_lags=True)


def plan_of(local, remote, record, rules):
    """Return the kinds of steps by path, and the plan."""
    plan = Plan(
        sorted(Item(as_bytes(path), facts) for path, facts in local.items()),
        sorted(Item(as_bytes(path), facts) for path, facts in remote.items()),
        sorted(Known(as_bytes(path), *row) for path, row in record.items()),
        rules,
    )
    return {step.path: step.kind.value for step in plan}, plan


# Local facts, those of the server, the row of the record, rules, and what is to be done.
CASES = {
    "new": (HERE, None, None, UP, "copy"),
    "new there": (None, THERE, None, DOWN, "copy"),
    "unchanged, as recorded": (HERE, THERE, KNOWN, UP, None),
    "unchanged, as recorded, downwards": (HERE, THERE, KNOWN, DOWN, None),
    "another size": (Facts(6, 100), THERE, KNOWN, UP, "copy"),
    "another time, the same size": (Facts(5, 101), THERE, KNOWN, UP, "copy"),
    "an earlier time, as after a clock step": (Facts(5, 50), THERE, KNOWN, UP, "copy"),
    "another version on the server": (HERE, Facts(5, None, "2"), KNOWN, UP, "copy"),
    "another version on the server, downwards": (HERE, Facts(5, None, "2"), KNOWN, DOWN, "copy"),
    "another size on the server": (HERE, Facts(9, None, "1"), KNOWN, UP, "copy"),
    "changed here, downwards": (Facts(5, 101), THERE, KNOWN, DOWN, "copy"),
    "only the size is known": (HERE, THERE, None, UP, "copy"),
    "only the size is known, downwards": (HERE, THERE, None, DOWN, "copy"),
    "no tag in the record": (HERE, THERE, (5, 100, None), UP, "copy"),
    "no tag on the server": (HERE, Facts(5), KNOWN, UP, "copy"),
    "times that a server gives are not exact": (HERE, EXACT, None, UP, "copy"),
    "exact times": (HERE, EXACT, None, MANIFEST, None),
    "exact times that differ": (Facts(5, 101), EXACT, None, MANIFEST, "copy"),
    "exact times, another size": (Facts(6, 100), EXACT, None, MANIFEST, "copy"),
    "sent by a run that was killed": (HERE, None, KNOWN, MANIFEST, "confirm"),
    "changed, and sent by a run that was killed": (
        *(HERE, Facts(5, 99, "0"), KNOWN, MANIFEST, "confirm"),
    ),
    "grown, and sent by a run that was killed": (
        *(HERE, Facts(4, 99, "0"), KNOWN, MANIFEST, "confirm"),
    ),
    "changed after a run that was killed": (Facts(5, 101), None, KNOWN, MANIFEST, "copy"),
    "gone from a server that lists itself": (HERE, None, KNOWN, UP, "copy"),
    "digests, the same size": (HERE, THERE, KNOWN, UP._replace(checksum=True), "compare"),
    "digests, another size": (Facts(6, 1), THERE, KNOWN, UP._replace(checksum=True), "copy"),
    "digests, new": (HERE, None, None, UP._replace(checksum=True), "copy"),
    "not in the source": (None, THERE, KNOWN, UP, None),
    "not in the source, deleted": (None, THERE, KNOWN, UP._replace(delete=True), "delete"),
    "not in the source, deleted here": (HERE, None, None, DOWN._replace(delete=True), "delete"),
    "on neither side": (None, None, KNOWN, UP, "forget"),
    "left alone": (HERE, None, None, UP._replace(excludes=lambda path: path == "a"), None),
    "left alone, not deleted": (
        *(None, THERE, KNOWN, UP._replace(delete=True, excludes=lambda path: True), None),
    ),
}  # fmt: skip


@each_case("name", CASES)
def test_one_file(name):
    here, there, known, rules, expected = CASES[name]

    found, _ = plan_of(
        {} if here is None else {"a": here},
        {} if there is None else {"a": there},
        {} if known is None else {"a": known},
        rules,
    )

    assert found == ({} if expected is None else {"a": expected})


# Time here; times of the list that a file system may have stored so; others.
S = 10**9
STORED = {
    "even seconds": (4 * S, [4 * S, 4 * S - 2 * S + 1, 6 * S - 1], [2 * S, 6 * S, 10**18]),
    "whole seconds": (5 * S, [5 * S, 4 * S + 1, 6 * S - 1], [4 * S, 6 * S]),
    "hundredths": (
        *(5 * S + 10**7, [5 * S + 1, 5 * S + 2 * 10**7 - 1], [5 * S, 5 * S + 2 * 10**7]),
    ),
    "microseconds": (5 * S + 1000, [5 * S + 1, 5 * S + 1999], [5 * S, 5 * S + 2000]),
    "NTFS": (5 * S + 100, [5 * S + 1, 5 * S + 199], [5 * S, 5 * S + 200]),
    "nanoseconds": (5 * S + 101, [5 * S + 101], [5 * S + 100, 5 * S + 102, 5 * S, 6 * S]),
    "before 1970": (-4 * S, [-6 * S + 1, -2 * S - 1], [-6 * S, -2 * S]),
    "before 1970, nanoseconds": (-4 * S + 1, [-4 * S + 1], [-4 * S, -4 * S + 2]),
    "the first moment": (0, [-1, 1, 2 * S - 1], [2 * S, -2 * S]),
}


def test_a_coarse_time_is_taken_for_the_one_that_was_sent():
    """Within one second another client may store as many bytes, which have the same tag."""
    wrong = []
    for name, (time, same, others) in STORED.items():
        for listed in same + others:
            for rules in (UP._replace(exact_times=True), DOWN._replace(exact_times=True)):
                sides = {"a": Facts(5, time)}, {"a": Facts(5, listed, "1")}
                found, _ = plan_of(*sides, {"a": (5, time, "1")}, rules)
                if found != ({} if listed in same else {"a": "copy"}):
                    wrong.append((name, time, listed, rules.upload))

    assert not wrong


def test_unchanged_and_extra_files_are_counted():
    found, plan = plan_of({"a": HERE, "b": HERE}, {"a": THERE, "c": THERE}, {"a": KNOWN}, UP)

    assert found == {"b": "copy"}
    assert (plan.unchanged, plan.extra) == (1, 1)


def test_a_file_that_has_become_a_folder_is_deleted_first():
    rules = UP._replace(delete=True, source_folders={"a"})

    found, _ = plan_of({"a/b": HERE}, {"a": THERE, "c": THERE}, {}, rules)

    assert found == {"a": "clear", "a/b": "copy", "c": "delete"}


def test_a_folder_that_has_become_a_file_is_deleted_first():
    rules = UP._replace(delete=True, other_folders={"a", "a/b"})

    found, plan = plan_of({"a": HERE}, {"a/b/c": THERE, "a/d": THERE, "a-b": THERE}, {}, rules)

    assert found == {"a": "copy", "a-b": "delete", "a/b/c": "clear", "a/d": "clear"}
    assert plan.in_the_way == {"a"}


def test_nothing_is_deleted_to_make_room_unless_deletes_are_wanted():
    found, plan = plan_of({"a/b": HERE}, {"a": THERE}, {}, UP._replace(source_folders={"a"}))

    assert found == {"a/b": "copy"}
    assert plan.extra == 1


def test_every_step_has_a_reason():
    for here, there, known, rules, expected in CASES.values():
        plan = Plan(
            *([] if facts is None else [Item(b"a", facts)] for facts in (here, there)),
            [] if known is None else [Known(b"a", *known)],
            rules,
        )
        assert [bool(step.reason) for step in plan] == [True] * (expected is not None)


def test_paths_are_merged_by_their_bytes():
    source = random.Random(1)
    names = ["a", "a/b", "a-b", "ä", "\udcff", "Z", "~", "a\nb", "\U0001f600", "\uffff"]
    for _ in range(50):
        sides = [sorted(map(as_bytes, source.sample(names, 6))) for _ in range(3)]

        found = list(
            merged(
                [Item(path, HERE) for path in sides[0]],
                [Item(path, THERE) for path in sides[1]],
                [Known(path, 5, 100, "1") for path in sides[2]],
            )
        )

        assert [each[0] for each in found] == sorted({path for side in sides for path in side})
        for path, *facts in found:
            assert [each is not None for each in facts] == [path in side for side in sides]
            assert as_bytes(as_text(path)) == path


def test_a_plan_makes_both_sides_equal():
    """Random sides: after the steps of a plan, the other side has what the source has."""
    source = random.Random(2)
    names = ["a", "b", "a/x", "b/y/z", "c", "c/d"]
    for _ in range(300):
        ours = _without_conflicts(source.sample(names, 3))
        theirs = _without_conflicts(source.sample(names, 3))
        rules = UP._replace(
            delete=True,
            source_folders={path.rpartition("/")[0] for path in ours} - {""},
            other_folders={path.rpartition("/")[0] for path in theirs} - {""} | {"b"} & set(theirs),
        )

        found, _ = plan_of(dict.fromkeys(ours, HERE), dict.fromkeys(theirs, THERE), {}, rules)

        after = set(theirs)
        for kind in Kind:
            for path, step in found.items():
                if step == kind and step in ("clear", "delete"):
                    after.discard(path)
                elif step == kind:
                    after.add(path)
        assert after == set(ours)


def _without_conflicts(paths):
    return [path for path in paths if not any(other.startswith(f"{path}/") for other in paths)]
