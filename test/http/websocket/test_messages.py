"""Arguments of close frames, pings and pongs."""

import pytest

from dugong_like import InvalidOption
from dugong_like.http.websocket.messages import check_close, check_control


def test_codes_that_may_be_sent():
    sendable = {code for code in [*range(-1, 5100), 65535, 65536] if is_sendable(code)}

    # RFC 6455 section 7.4, and the registry of IANA up to 1014
    assert sendable == {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}


def is_sendable(code):
    try:
        check_close(code, "")
    except InvalidOption:
        return False
    return True


def test_reason_has_123_bytes():
    check_close(1000, "ü" * 61 + "x")
    with pytest.raises(InvalidOption, match="123 bytes"):
        check_close(1000, "ü" * 62)


def test_wrong_types():
    for code in ("1000", None, True, 1000.0):
        with pytest.raises(TypeError, match="code"):
            check_close(code, "")
    with pytest.raises(TypeError, match="reason"):
        check_close(1000, b"bye")


def test_control_frames_have_125_bytes():
    assert check_control(b"x" * 125, "data") == b"x" * 125
    with pytest.raises(InvalidOption, match="data has more than 125 bytes"):
        check_control(b"x" * 126, "data")
