"""The types of what passes options on to `HTTPConnection` are those of the class itself."""

import inspect

from dugong_like import HTTPConnection, ScriptedTransport
from dugong_like.connection.options import ConnectionOptions


def test_they_are_the_arguments_of_a_connection():
    parameters = inspect.signature(HTTPConnection).parameters
    options = {
        name: parameter.annotation
        for name, parameter in parameters.items()
        if name not in {"hostname", "port", "ssl_context"}
    }
    declared = {
        name: hint.__forward_arg__ for name, hint in ConnectionOptions.__annotations__.items()
    }

    assert declared == options


def test_no_signature_of_the_library_hides_its_arguments():
    signature = inspect.signature(HTTPConnection.to)

    assert signature.parameters["options"].annotation == "Unpack[ConnectionOptions]"
    conn = HTTPConnection.to("http://example.org", transport=ScriptedTransport([]), timeout=3)
    assert conn.timeout == 3
