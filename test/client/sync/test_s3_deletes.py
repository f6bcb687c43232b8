"""Deleting many objects by one request."""

import pytest

from dugong_like import Response, StatusError, TransferError
from dugong_like.client.request import ClientRequest
from dugong_like.client.sync.s3_deletes import Deletes
from dugong_like.client.sync.s3_xml import parse
from dugong_like.polling.contract import run


class Requests:
    """What an `S3Remote` does; `answers` are those to DeleteObjects."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.alone = []
        self.refused = {}

    def key(self, path):
        return f"top/{path}"

    def request(self, method, path, query=None):
        return ClientRequest(method, "http://example.org/bucket/?delete=")

    def co_answer(self, co_send, request):
        self.asked.append([texts["Key"] for texts in parse(request.body).of("Object")])
        answer = self.answers.pop(0)
        if isinstance(answer, int):
            raise StatusError("refused", response=Response(answer))
        document = (
            answer if answer.startswith("<html") else f"<DeleteResult>{answer}</DeleteResult>"
        )
        return Response(200), parse(document.encode())
        yield

    def co_delete(self, co_send, path):
        self.alone.append(path)
        if path in self.refused:
            raise self.refused[path]
        return
        yield


def delete(requests, *paths):
    return run(Deletes(requests).co_delete(None, paths))


def error(key, code):
    return f"<Error><Key>{key}</Key><Code>{code}</Code><Message>no</Message></Error>"


def test_one_request_is_for_many_objects():
    requests = Requests("")

    assert delete(requests, "a", "b &<", " c ", "d\re\nf\t") == {}
    assert requests.asked == [["top/a", "top/b &<", "top/ c ", "top/d\re\nf\t"]]
    assert requests.alone == []


def test_each_error_is_that_of_its_object():
    requests = Requests(error("top/b", "AccessDenied") + error("top/c", "NoSuchKey"))

    errors = delete(requests, "a", "b", "c")

    assert list(errors) == ["b"]
    assert str(errors["b"]) == "the server has not deleted it (AccessDenied: 'no')"


def test_what_was_not_possible_at_that_time_is_tried_again_alone():
    requests = Requests(error("top/a", "SlowDown") + error("top/b", "InternalError"))
    requests.refused["b"] = refused = StatusError("still", response=Response(503))

    assert delete(requests, "a", "b", "c") == {"b": refused}
    assert requests.alone == ["a", "b"]


def test_keys_that_are_no_xml_are_deleted_alone():
    odd = ["\x01", "\udcff", "\ufffe", "\x0b"]
    requests = Requests("")

    assert delete(requests, "a", *odd, "b") == {}
    assert (requests.asked, requests.alone) == ([["top/a", "top/b"]], odd)


def test_a_service_that_does_not_know_it_is_asked_once():
    requests = Requests(501)
    deletes = Deletes(requests)

    for _ in range(2):
        assert run(deletes.co_delete(None, ["a", "b"])) == {}

    assert (len(requests.asked), requests.alone) == (1, ["a", "b"] * 2)


def test_one_object_needs_no_document():
    requests = Requests()

    assert delete(requests, "a") == {}
    assert requests.alone == ["a"]


def test_a_refusal_of_all_and_an_answer_about_others_are_errors():
    with pytest.raises(StatusError):
        delete(Requests(403), "a", "b")
    with pytest.raises(TransferError, match="not asked to delete"):
        delete(Requests(error("top/other", "AccessDenied")), "a", "b")
    with pytest.raises(TransferError, match=r"it is 'html', and not DeleteResult"):
        delete(Requests("<html>Log in first</html>"), "a", "b")
