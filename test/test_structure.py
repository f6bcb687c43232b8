"""The structure of the package: who may import whom, and what an import costs.

The table is the one of doc/design.rst. Imports inside functions and imports for typing count.
"""

import ast
import functools
import graphlib
import re
import socket
import subprocess
import sys

import pytest
from kit.cases import each_case
from kit.support import ROOT

PACKAGE = ROOT / "dugong_like"
FILES = sorted(PACKAGE.rglob("*.py"))

# Each part may import the parts named behind it, and itself. Of connection/ only
# async_connection.py and shared_pipeline.py may import drivers/; see `test_two_files_know_drivers`.
MAY_IMPORT = {
    "__init__": "client connection drivers errors http polling transport",
    "__main__": "cli",
    "adapters": "client connection drivers errors http polling transport",
    "cli": "client connection drivers errors http polling",
    "client": "connection drivers errors http polling transport",
    "connection": "drivers errors http polling transport",
    "drivers": "errors polling",
    "errors": "",
    "http": "errors polling",
    "polling": "errors",
    "transport": "errors http polling",
}
# Modules that only some parts may touch: of the standard library, and of other packages.
RESERVED = {
    "httpx": {
        "adapters/httpx.py",
    },
    "httpx2": {
        "adapters/httpx.py",
    },
    "requests": {
        "adapters/requests.py",
    },
    "botocore": {
        "adapters/botocore.py",
        "client/sync/s3_service.py",
    },
    "urllib3": {
        "adapters/botocore.py",  # its exceptions, which botocore catches
        "adapters/requests.py",
        "adapters/urllib3_errors.py",
    },
    "fsspec": {
        "adapters/fsspec.py",
        "adapters/fsspec_files.py",
        "adapters/fsspec_webdav.py",
    },
    "oauthlib": {
        "http/auth/oauth1.py",
        "http/auth/oauth2.py",
    },
    "spnego": {
        "http/auth/negotiate.py",
    },
    "websockets": {
        "http/websocket/deflate.py",
        "http/websocket/frames.py",
        "http/websocket/handshake.py",
    },
    "socket": {
        "transport/features.py",  # which asks what there is
        "cli/demo_link.py",
        "cli/demo_server.py",
        "connection/options.py",  # the type of an argument
        "transport/connect/options.py",  # the type of an argument
        "connection/config.py",  # the type of an argument
        "transport/custom.py",  # the type of an attribute
        "transport/zero_copy.py",
        "transport/connect/happy_eyeballs.py",
        "transport/socket_waits.py",
        "transport/connect/socket_options.py",
        "transport/connect/existing_socket.py",
        "transport/connect/dns.py",
        "transport/connect/resolvers.py",
        "transport/stream.py",
        "transport/tcp.py",
        "transport/tls/over_socket.py",
        "transport/connect/unix.py",
        "transport/filters/base.py",
        "polling/wake.py",  # where select() takes nothing but sockets (Windows)
    },
    "ssl": {
        "client/client.py",  # the type of an argument
        "adapters/httpx.py",  # the type of an argument
        "adapters/httpx_network.py",  # the type of an argument
        "adapters/requests.py",  # the type of what it keeps
        "transport/features.py",
        "transport/tls/alpn.py",  # the type of an argument
        "transport/tls/authorities.py",
        "transport/tls/contexts.py",
        "transport/tls/handshake.py",
        "transport/tls/sessions.py",
        "transport/tls/over_socket.py",
        "transport/tls/over_stream.py",
    },
    "asyncio": {
        "cli/demo_ways.py",
        "drivers/aio.py",
        "drivers/aio_watches.py",
    },
    "trio": {
        "drivers/trio.py",
    },
    "gevent": {
        "drivers/gevent.py",
    },
    "truststore": {
        "transport/tls/authorities.py",
    },
    "idna": {
        "http/idna.py",
    },
    "importlib": {
        "adapters/httpx_edition.py",
        "transport/features.py",
    },
}
NO_CLOCK = ("errors.py", "http/", "transport/proxy/")
LOCKED = ("http/cookies.py",)  # state that threads share
# Files without a test file of their own name, and where they are tested instead.
TESTED_ELSEWHERE = {
    "__init__.py": "every test imports it",
    "__main__.py": "test_command_line.py",
    "adapters/httpx_edition.py": "adapters/test_httpx_side_by_side.py",
    "adapters/httpx_trace.py": "adapters/test_httpx.py, adapters/test_httpx_side_by_side.py",
    "adapters/urllib3_errors.py": "adapters/test_requests.py, adapters/test_botocore.py",
    "adapters/fsspec_files.py": "adapters/test_fsspec.py",
    "adapters/fsspec_ranges.py": "adapters/test_fsspec.py",
    "adapters/fsspec_requests.py": "adapters/test_fsspec.py",
    "http/html_links.py": "adapters/test_fsspec.py",
    "cli/commands.py": "test_command_line.py",
    "cli/demo.py": "test_command_line.py",
    "cli/demo_h2.py": "test_command_line.py",
    "cli/demo_link.py": "test_command_line.py",
    "cli/demo_server.py": "test_command_line.py",
    "cli/clients.py": "cli/test_sending.py",
    "cli/heads.py": "cli/test_sending.py",
    "cli/naming.py": "cli/test_sending.py",
    "cli/request_options.py": "cli/test_sending.py",
    "cli/sync_options.py": "cli/test_sync.py",
    "cli/transfer.py": "test_command_line.py, cli/test_sending.py",
    "cli/urls.py": "test_command_line.py",
    "cli/demo_ways.py": "test_command_line.py",
    "drivers/pollers.py": "test_contract.py",
    "drivers/loop_task.py": "test_loop.py, test_contract.py",
    "client/bulk/dispatcher.py": "bulk/test_schedule.py",
    "client/bulk/lane.py": "bulk/test_schedule.py, bulk/test_stream_lane.py",
    "client/bulk/pipeline_lane.py": "bulk/test_schedule.py",
    "client/bulk/place.py": "bulk/test_schedule.py",
    "client/bulk/results.py": "plain data; bulk/test_schedule.py",
    "client/sync/local.py": "sync/test_run.py",
    "client/sync/remote.py": "sync/test_run.py, sync/test_manifest.py",
    "client/sync/remote_files.py": "sync/test_manifest.py, sync/test_webdav.py, sync/test_s3.py",
    "client/sync/results.py": "plain data; sync/test_run.py",
    "client/sync/rows.py": "sync/test_tree.py, sync/test_record.py",
    "client/sync/s3_requests.py": "a protocol; sync/test_s3.py",
    "client/sync/steps.py": "sync/test_run.py",
    "client/bulk/work.py": "bulk/test_schedule.py",
    "client/transfers/destination.py": "cli/test_output_file.py, transfers/test_download.py",
    "client/transfers/downloading.py": "transfers/test_download.py, transfers/test_options.py",
    "client/transfers/locked_lines.py": "transfers/test_record.py, transfers/test_upload_record.py",
    "client/transfers/given_file.py": "transfers/test_download.py",
    "client/transfers/mover.py": "transfers/test_download.py, transfers/test_over_sockets.py",
    "client/transfers/part.py": "transfers/test_download.py",
    "client/transfers/results.py": "plain data; transfers/test_download.py",
    "client/transfers/upload_body.py": "transfers/test_upload.py",
    "client/transfers/verification.py": "transfers/test_download.py",
    "client/connection_maker.py": "a protocol of types; client/test_pool.py",
    "client/dispatcher.py": "protocols of types; client/test_client.py",
    "client/dispatchers/application.py": "test_wsgi.py, test_asgi.py",
    "connection/ticket.py": "test_pipeline.py, test_pipeline_retries.py",
    "connection/tls_info.py": "test_options.py",
    "connection/websocket_handler.py": "connection/test_websocket.py, test_async_websocket.py",
    "connection/websocket_opening.py": "connection/test_websocket.py",
    "connection/refusals.py": "connection/test_websocket.py, client/test_websocket.py",
    "transport/connect/socket_options.py": "test_options.py",
    "transport/connect/existing_socket.py": "test_options.py",
    "transport/tls/handshake.py": "test_over_socket.py, test_over_stream.py",
    "http/auth/proxy_protocol.py": "a protocol of types; test_basic.py, test_digest.py",
    "http/h1/body_kinds.py": "plain data; test_framing.py",
    "http/h2/shared.py": "test_engine.py, test_incoming.py, test_control_frames.py",
    "http/version.py": "plain data; client/test_client.py",
    "http/h1/limits.py": "constants, enforced in test_response_head.py and test_chunked.py",
    "connection/operations.py": "test_connection.py",
    "http/h1/body_fields.py": "test_connection.py, test_requests.py",
    "connection/h2/sender.py": "h2/test_session.py, h2/test_request_writer.py",
    "connection/h2/waiter.py": "plain data; h2/test_pump.py",
    "connection/h2/receiver.py": "h2/test_session.py, h2/test_response_reader.py",
    "connection/h2/shared.py": "h2/test_opening.py, h2/test_pump.py",
    "connection/observer.py": "h1/test_trace_events.py, h2/test_trace_events.py",
    "connection/body_writer.py": "protocols of types; h1/test_sender.py, h2/test_body_writer.py",
    "connection/session.py": "protocols of types; h1/test_session.py",
    "connection/config.py": "test_connection.py, test_options.py",
    "transport/upgraded/duplex.py": "test_network_stream.py",
    "connection/queue.py": "test_callbacks.py",
    "http/hosts.py": "test_connection.py",
    "http/decompressors.py": "test_codings.py",
    "transport/connect/route.py": "test_open.py, test_session.py, test_connection.py",
    "transport/tls/start.py": "test_over_stream.py, test_tls_events.py",
    "transport/stream.py": "test_sender.py, test_two_threads.py",
    "transport/proxy/conversation.py": "a protocol of types; proxy/test_*.py keep to it",
    "connection/h1/body_reader.py": "test_connection.py, test_interruptions.py",
    "connection/h1/writer.py": "test_sender.py, test_early_response.py",
    "transport/info.py": "test_network_stream.py",
    "transport/filters/base.py": "test_wire_dump.py, test_throttle.py",
    "transport/filters/chain.py": "test_wire_dump.py, test_throttle.py, polling/test_rates.py",
    "connection/h1/head_reader.py": "test_connection.py, test_interruptions.py",
}


def name_of(file):
    return file.relative_to(PACKAGE).as_posix()


@functools.cache
def tree_of(file):
    return ast.parse(file.read_text())


@functools.cache
def imports(file):
    """Return each imported module: absolute names, or paths below the package."""
    return tuple(find_imports(file))


def find_imports(file):
    here = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1]
            module = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
            for alias in node.names:
                if (ROOT / module.replace(".", "/") / f"{alias.name}.py").exists():
                    yield f"{module}.{alias.name}"
                else:
                    yield module


def part_of(module):
    return [*module.split("."), "__init__"][1]


@each_case("file", FILES)
def test_imports_point_downwards_only(file):
    part = file.relative_to(PACKAGE).with_suffix("").parts[0]
    assert part in MAY_IMPORT, f"say in MAY_IMPORT what {part} may import"
    allowed = {part, *MAY_IMPORT[part].split()}
    used = {part_of(module) for module in imports(file) if module.startswith("dugong_like")}

    assert used <= allowed, f"{name_of(file)} may not import {used - allowed}"


def test_two_files_know_drivers():
    knowing = {
        name_of(file)
        for file in FILES
        if any(module.startswith("dugong_like.drivers.") for module in imports(file))
    }

    assert {name for name in knowing if name.startswith("connection/")} == {
        "connection/async_connection.py",
        "connection/shared_pipeline.py",  # what can be awaited finds its driver
    }


def test_there_are_no_circles_between_files():
    graph = {}
    for file in FILES:
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        graph[module] = {name for name in imports(file) if name.startswith("dugong_like.")}

    try:
        tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as exc:
        pytest.fail(" -> ".join(exc.args[1]))


@each_case("file", FILES)
def test_sockets_tls_and_loops_stay_where_they_belong(file):
    top = {module.split(".")[0] for module in imports(file)}
    for module, places in RESERVED.items():
        assert module not in top or name_of(file) in places
    if name_of(file).startswith(NO_CLOCK):
        unwanted = {"time", "select", "selectors", "threading", "datetime"}
        if name_of(file) in LOCKED:
            unwanted.discard("threading")
        assert not top & unwanted


@each_case("file", FILES)
def test_no_private_name_is_used_from_outside(file):
    tree = tree_of(file)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            if node.attr.startswith("__") or node.attr in own:
                continue
            owner = node.value.id if isinstance(node.value, ast.Name) else "?"
            assert owner in {"self", "cls"}, f"{name_of(file)}:{node.lineno} {owner}.{node.attr}"


def mirror_of(file):
    return ROOT / "test" / file.relative_to(PACKAGE).with_name(f"test_{file.name}")


MASKING = {"shown_url", "shown_line"}  # of http/redaction.py; `quoted` quotes by itself
QUOTING = {ord("r"), ord("a")}  # conversions in an f-string
NO_INPUT = {"exc", "op", "self", "shown", "__name__", "name"}  # of the library, or masked


@each_case("file", FILES)
def test_messages_quote_input_by_way_of_redaction_only(file):
    """Input may have secrets. Not `polling` and `drivers`, which see no URLs and no fields."""
    if name_of(file).split("/")[0] in {"polling", "drivers"}:
        return
    for statement in ast.walk(tree_of(file)):
        if not isinstance(statement, ast.Raise):
            continue
        for part in ast.walk(statement):
            if not isinstance(part, ast.FormattedValue) or part.conversion not in QUOTING:
                continue
            value = part.value.value if isinstance(part.value, ast.Subscript) else part.value
            called = isinstance(value, ast.Call) and value.func.id in MASKING
            assert called or (isinstance(value, ast.Name) and value.id in NO_INPUT), (
                f"{name_of(file)}:{part.lineno}: use quoted() of http/redaction.py"
            )


@each_case("file", FILES)
def test_each_file_has_a_test_file_of_its_name(file):
    mirror = mirror_of(file).relative_to(ROOT)
    if file.name == "__init__.py":
        return
    if name_of(file) in TESTED_ELSEWHERE:
        assert not mirror_of(file).exists(), f"{mirror} exists: clear TESTED_ELSEWHERE"
    else:
        assert mirror_of(file).exists(), f"add {mirror}, or a line in TESTED_ELSEWHERE"


def test_files_that_are_tested_elsewhere_exist_and_so_do_their_tests():
    for name, reason in TESTED_ELSEWHERE.items():
        assert (PACKAGE / name).exists(), f"{name} is gone: take it out of TESTED_ELSEWHERE"
        for test in re.findall(r"\S+\.py", reason):
            assert list((ROOT / "test").rglob(test)), f"{name}: there is no {test}"


def test_import_brings_in_nothing_that_is_not_used():
    code = "import sys; before = set(sys.modules); import dugong_like; "
    code += "print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    modules = set(done.stdout.split())

    assert "dugong_like.errors" in modules
    assert "dugong_like.connection" not in modules
    assert not {name for name in modules if name.startswith("dugong_like.proxy.")}
    unwanted = {"asyncio", "trio", "gevent", "email", "ssl", "hashlib", "certifi", "logging"}
    unwanted |= {"concurrent", "http", "tqdm", "uvloop", "dataclasses", "inspect", "urllib"}
    unwanted |= {"oauthlib", "spnego", "truststore", "websockets"}
    unwanted |= {"botocore", "httpx", "httpx2", "httpcore", "requests", "urllib3"}
    assert not {name for name in modules if name.split(".")[0] in unwanted}


def test_import_of_a_client_brings_in_no_connection():
    code = "import sys, socket, ssl; before = set(sys.modules); from dugong_like import Client; "
    code += "print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    modules = done.stdout.split()

    assert "dugong_like.client.client" in modules
    assert not [name for name in modules if name.startswith("dugong_like.connection")]
    slow = {"dataclasses", "inspect", "datetime", "http", "ast", "email", "logging", "asyncio"}
    assert not slow & set(modules)


@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        (["put", "FILE"], {"dugong_like.cli.several", "dugong_like.http.cookie_files"}),
        (["get"], {"dugong_like.cli.upload", "dugong_like.client.transfers.upload_body"}),
    ],
)
def test_a_command_brings_in_nothing_that_is_for_others(command, unwanted, tmp_path):
    """Importing takes longer than sending some hundred megabytes."""
    file = tmp_path / "file"
    file.write_bytes(bytes(1 << 20))
    code = "import sys; from dugong_like.__main__ import main; main(sys.argv[1:]); "
    code += "print(*sorted(sys.modules))"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # it does not listen: connections are refused
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        words = [str(file) if word == "FILE" else word for word in command]
        done = subprocess.run(
            [sys.executable, "-S", "-c", code, *words, url],
            capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    modules = set(done.stdout.split())

    assert "Connection refused" in done.stderr
    assert "dugong_like.cli.transfer" in modules
    unwanted = {"hashlib", "json", "base64", "shutil", "random", "mimetypes", *unwanted}
    assert not unwanted & modules


def test_async_parts_are_imported_when_they_are_asked_for():
    import dugong_like

    assert dugong_like.AioFuture.__module__ == "dugong_like.drivers.aio"
    assert dugong_like.default_ssl_context.__module__ == "dugong_like.transport.tls.contexts"
    assert dugong_like.tls_context.__module__ == "dugong_like.transport.tls.contexts"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        dugong_like.nonsense
    assert dugong_like.Proxy.__module__ == "dugong_like.transport.proxy.proxy"
    assert dugong_like.DigestAuth.__module__ == "dugong_like.http.auth.digest"
    assert dugong_like.RateLimit.__module__ == "dugong_like.polling.rates"
    assert dugong_like.Timings.__module__ == "dugong_like.transport.timings"
    assert set(dugong_like.__all__) <= {*dir(dugong_like), *dugong_like._LATER}
