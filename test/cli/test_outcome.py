import errno

import pytest

from dugong_like import ConnectionTimedOut
from dugong_like.cli.outcome import (
    FAILED,
    NOT_MODIFIED,
    REDIRECTED,
    REFUSED,
    SUCCESS,
    CommandFailed,
    names_url,
    reason_of,
    status_of,
    with_name,
)


@pytest.mark.parametrize(
    ("codes", "status"),
    [
        ([101, 199], FAILED),
        ([200, 201, 204, 206, 299], SUCCESS),
        ([300, 301, 302, 303, 305, 307, 308, 399], REDIRECTED),
        ([304], NOT_MODIFIED),
        ([400, 404, 412, 499, 500, 503, 599, 600, 999], REFUSED),
    ],
)
def test_only_2xx_is_success(codes, status):
    assert {status_of(code) for code in codes} == {status}


def test_an_error_of_the_system_is_told_by_name_and_reason():
    named = with_name(OSError(errno.ENOSPC, "No space left on device"), "photo.jpg")

    assert reason_of(named) == "photo.jpg: No space left on device"
    assert isinstance(with_name(OSError(errno.EPIPE, "Broken pipe"), "x"), BrokenPipeError)


def test_errors_without_a_number_keep_their_words():
    assert reason_of(with_name(OSError("no temporary folder"), "f")) == "f: no temporary folder"
    assert reason_of(ConnectionTimedOut("nothing arrived")) == "nothing arrived"
    assert reason_of(MemoryError()) == "MemoryError"


def test_whether_a_message_names_its_url_is_no_question_of_its_text():
    about = ConnectionTimedOut("nothing arrived")
    assert not names_url(about)
    about.label("GET", "http://a.test/")
    assert names_url(about)
    assert names_url(CommandFailed("GET http://a.test/: refused", names_url=True))
    assert not names_url(CommandFailed("ftp://a: exists"))
    assert not names_url(OSError(errno.ENOENT, "No such file or directory", "http://a"))
