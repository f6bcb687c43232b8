"""Spans of time, as versions of files."""

import time

from dugong_like.client.sync.span import ASKED, Spans, is_span, is_within

DATE = "Sat, 01 Jan 2022 00:00:10 GMT"
AT = 1640995210 * 10**9


def test_a_span_lasts_from_the_request_to_its_answer():
    span = Spans().span(DATE, time.monotonic() - 4.5)

    assert is_span(span)
    found = {second for second in range(-20, 20) if is_within(span, AT + second * 10**9)}
    assert found >= set(range(-5, 2))
    assert found.isdisjoint({*range(-20, -8), *range(2, 20)})
    assert is_within(span, AT + 1_999_999_999)
    assert not is_within(span, None)


def test_spans_of_two_runs_differ():
    began = time.monotonic()

    assert Spans().span(DATE, began) != Spans().span(DATE, began)


def test_tags_and_what_is_no_date_are_no_spans():
    assert Spans().span(None, 0) is None
    assert Spans().span("yesterday", 0) is None
    for text in (None, '"1"', "time Sat", "stored", "stored 1 2", "stored 1 2 x"):
        assert not is_span(text)
        assert not is_within(text, 1)


def test_files_are_looked_at_until_one_has_shown_that_spans_hold():
    spans = Spans()
    span = spans.span(DATE, time.monotonic())

    assert not spans.is_enough(span)
    spans.learn(span, AT)
    assert [spans.is_enough(span) for _ in range(2 * ASKED)].count(False) == 2
    assert not spans.is_enough(None)
    spans.learn(span, AT + 10**10)  # such as a time that was given
    assert not spans.is_enough(span)
