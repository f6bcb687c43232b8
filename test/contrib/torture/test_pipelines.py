"""contrib/torture/pipelines.py: a fixed part of it, and that it finds what is wrong."""

import pytest

from contrib.torture import pipelines
from contrib.torture.faulty.stage import Violation
from contrib.torture.program import Summary
from dugong_like import HTTPConnection, HTTPResponse, NotAnswered, Request

pytestmark = [pytest.mark.usefixtures("nothing_is_left_open"), pytest.mark.timeout(600)]


@pytest.mark.reliability(41)
@pytest.mark.feature("B50", "C27")
@pytest.mark.parametrize("way", pipelines.WAYS)
def test_no_request_is_lost_mixed_up_or_sent_twice(way, monkeypatch):
    monkeypatch.setattr(pipelines, "ROUND", 150)
    monkeypatch.setattr(pipelines, "WAYS", {way: pipelines.WAYS[way]})
    server = pipelines.Server(1)
    with pipelines.running(server):
        outcomes, violations = pipelines.attempt(server, pipelines.Limit(count=300), 1)
    assert violations == 0
    assert sum(outcomes[way].values()) == 300


@pytest.mark.slow
def test_many_rounds(capsys):
    assert pipelines.main(["--count", "20000", "--seed", "2"]) == 0
    summary = Summary.parse(capsys.readouterr().out.splitlines()[-1])
    assert summary == (20000, "requests by pipelines", 2, 0)


def test_answer_to_another_request_is_found(monkeypatch, capsys):
    monkeypatch.setattr(pipelines, "ROUND", 20)
    monkeypatch.setattr(HTTPResponse, "field", lambda response, name: "/0/0")

    assert pipelines.main(["--count", "20"]) == 1
    assert "the answer to /0/0 for /0/1" in capsys.readouterr().out


def test_request_that_is_sent_twice_or_lost_is_found():
    this = pipelines.Round(0, pipelines.random.Random(1))
    server = pipelines.Server(1)
    post = next(each for each in this.requests if each.method == "POST")
    server.seen[post.target] = 2
    with pytest.raises(Violation, match="500 requests without an answer"):
        this.end(server)
    for request in this.requests:
        body = b"" if request.method == "HEAD" else pipelines.tagged(request.target, 0)
        this.take(request, request.target, body)
    with pytest.raises(Violation, match="was sent twice"):
        this.end(server)


def test_error_that_must_not_be_is_found():
    this = pipelines.Round(0, pipelines.random.Random(1))
    this.requests[:2] = [Request(target="/0/0"), Request("POST", "/0/1")]
    with pytest.raises(Violation, match="was lost"):
        this.give_up(NotAnswered("no", request=this.requests[0], request_sent="maybe"))
    with pytest.raises(Violation, match="could have been sent"):
        this.give_up(NotAnswered("no", request=this.requests[1], request_sent="no"))
    with pytest.raises(Violation, match="the error of"):
        this.give_up(NotAnswered("no", request=this.requests[0]))


def test_half_a_body_is_found(monkeypatch, capsys):
    whole = HTTPConnection.co_readall

    def co_half(conn):
        body = yield from whole(conn)
        return body[: len(body) // 2]

    monkeypatch.setattr(pipelines, "ROUND", 20)
    monkeypatch.setattr(HTTPConnection, "co_readall", co_half)

    assert pipelines.main(["--count", "20"]) == 1
    assert "a wrong body" in capsys.readouterr().out
