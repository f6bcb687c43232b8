"""Error codes of HTTP/2."""

from dugong_like.http.h2.violations import ErrorCode, Violation, error_name


def test_names_of_codes():
    assert error_name(0) == "NO_ERROR"
    assert error_name(0xD) == "HTTP_1_1_REQUIRED"
    assert error_name(0xE) == "error 0xe"
    assert error_name(2**32 - 1) == "error 0xffffffff"
    assert [code.value for code in ErrorCode] == list(range(14))


def test_violation_has_its_code():
    assert Violation(ErrorCode.CANCEL, "text").code is ErrorCode.CANCEL
    assert str(Violation(ErrorCode.CANCEL, "text")) == "text"
