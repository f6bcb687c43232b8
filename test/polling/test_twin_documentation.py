"""The documentation of twins: ``help()`` shows all that holds for the operation."""

import inspect

import pytest
from kit.cases import each_case

from dugong_like import (
    AsyncConnection,
    Client,
    EventSource,
    HTTPConnection,
    HTTPStream,
    NetworkStream,
    Pipeline,
    Pool,
    Response,
)
from dugong_like.polling.twin_documentation import twin_of

OWNERS = [
    *(HTTPConnection, NetworkStream, HTTPStream, Pipeline),
    *(Client, Response, EventSource, Pool),
]
NO_TWINS = {
    ("HTTPConnection", "co_close"),  # `close` does not wait
    ("NetworkStream", "co_ready"),  # a wait for attempts, which have no blocking form
    ("Client", "co_map"),  # it calls a function with each result, and `map` is an iteration
    ("Pool", "co_dispatch"),  # for clients
    *((owner, "co_close") for owner in ("Response", "EventSource", "Pool")),  # as above
    # for readers and layers, which are operations
    *(("Response", f"co_{name}") for name in ("piece", "raw_piece", "raw_into", "receive")),
    # they say what differs from ``iter_…``, which is the form that most programs use
    *(("Response", f"co_iter_{name}") for name in ("bytes", "text", "lines", "raw", "into")),
}
WRITTEN_OUT = {"co_close", "co_send", "co_websocket"}  # they do more as coroutines
TWINS = [
    (owner, name)
    for owner in OWNERS
    for name in dir(owner)
    if name.startswith("co_") and (owner.__name__, name) not in NO_TWINS
]


def co_open(door):
    """Open *door*.

    Like `co_close`, but the other way round.

    Args:
        door: what to open.

    """


def test_a_twin_has_the_summary_then_its_own_words_then_the_rest():
    @twin_of(co_open)
    def open_door(door):
        """Blocking twin of `co_open`."""

    assert inspect.getdoc(open_door) == (
        "Open *door*.\n\nBlocking twin of `co_open`.\n\n"
        "Like `close`, but the other way round.\n\nArgs:\n    door: what to open."
    )
    assert open_door.own_doc == "Blocking twin of `co_open`."


def test_without_documentation_a_twin_has_none():
    def co_work():
        pass

    @twin_of(co_work)
    def work():
        """Blocking twin of `co_work`."""

    assert work.__doc__ == "Blocking twin of `co_work`."


def sections(doc):
    return [line for line in doc.splitlines() if line in {"Args:", "Returns:", "Raises:"}]


@each_case(("owner", "name"), TWINS)
def test_every_blocking_twin_documents_what_the_operation_does(owner, name):
    operation, twin = getattr(owner, name), getattr(owner, name.removeprefix("co_"))
    whole, doc = inspect.getdoc(operation), inspect.getdoc(twin)

    assert doc.splitlines()[0] == whole.splitlines()[0].replace("co_", "")
    assert f"locking twin of `{name}`" in doc
    assert sections(doc) == sections(whole)


@pytest.mark.parametrize(
    "name", sorted({name for name in dir(HTTPConnection) if name.startswith("co_")} - WRITTEN_OUT)
)
def test_every_coroutine_documents_it_as_well(name):
    method = getattr(AsyncConnection, name.removeprefix("co_"))
    whole, doc = inspect.getdoc(getattr(HTTPConnection, name)), inspect.getdoc(method)

    assert f"waitable twin of `HTTPConnection.{name}`" in doc
    assert set(sections(whole)) <= set(sections(doc))
    assert inspect.signature(method).parameters.keys() >= {"self"}


def test_help_shows_it():
    import pydoc

    text = pydoc.plain(pydoc.render_doc(HTTPConnection.send_request))

    assert "Blocking twin of `co_send_request`" in text
    assert "body: the body as bytes-like object" in text
    assert "InvalidRequest: " in text
