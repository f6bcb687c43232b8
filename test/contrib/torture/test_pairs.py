"""contrib/torture/pairs.py: a fixed part of it, and that it finds what is wrong."""

import pytest
from kit.cases import rest_slow

from contrib.torture import pairs
from contrib.torture.faulty.stage import Place, Violation
from dugong_like import HTTPConnection

pytestmark = [pytest.mark.usefixtures("nothing_is_left_open"), pytest.mark.timeout(600)]


@pytest.mark.reliability(40, 43)
@pytest.mark.feature("B13", "B49")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("way", pairs.WAYS)
@pytest.mark.parametrize("seed", rest_slow(1, range(3)))
def test_responses_belong_to_their_requests_whatever_happens(seed, way, tls, certificate, trusting):
    place = Place(certificate.server_context(), trusting) if tls else Place()

    assert pairs.play(way, seed, place) > pairs.TALKS


@pytest.mark.parametrize("way", pairs.WAYS)
def test_a_body_that_is_cut_off_is_found(way, monkeypatch):
    whole = HTTPConnection.co_readall

    def co_half(conn):
        body = yield from whole(conn)
        return body[: len(body) // 2]

    monkeypatch.setattr(HTTPConnection, "co_readall", co_half)

    with pytest.raises(Violation, match="a wrong body|half a body"):
        pairs.play(way, 1, Place())


def test_violations_are_counted(monkeypatch, capsys):
    def fail(talk):
        raise ValueError("out of order")

    monkeypatch.setitem(pairs.WAYS, "tasks", fail)

    assert pairs.main(["--count", "120"]) == 1
    out = capsys.readouterr().out
    assert "VIOLATION: 'tasks', 3, plain:\n" in out
    assert out.endswith("120 talks of two over one connection, seed 1; 1 violations\n")
