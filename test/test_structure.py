"""The structure of the package: who may import whom, and what an import costs.

The table is the one of doc/design.rst. Imports inside functions and imports for typing count.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dugong_like"
FILES = sorted(PACKAGE.rglob("*.py"))

# Each part may import the parts named behind it, and itself.
MAY_IMPORT = {
    "abilities": "transport",
    "errors": "",
    "twins": "",
    "connection_options": "budgets message proxy timeouts trace transport",
    "polling": "errors",
    "wake": "polling",
    "binary_streams": "errors polling",
    "stream_parts": "errors polling binary_streams",
    "progress": "polling",
    "combinators": "errors polling progress",
    "headers": "",
    "fields": "",
    "arguments": "",
    "facts": "polling transport",
    "network": "twins errors polling arguments transport facts origin timings turns",
    "turns": "errors polling wake transport",
    "trace": "polling",
    "masking": "",
    "timings": "",
    "timeouts": "errors polling",
    "budgets": "polling wake",
    "logs": "masking trace",
    "message": "errors fields http1 network masking timings",
    "http1": "errors headers masking",
    "transport": "errors polling wake progress combinators trace budgets binary_streams",
    "origin": "errors headers masking transport",
    "auth": "errors headers http1",
    "scripted": "errors polling wake transport",
    "url": "errors headers masking origin",
    "proxy": "errors headers http1 masking origin auth transport",  # its type of contexts
    "options": "errors headers origin transport",
    "route": "http1 transport options proxy trace masking origin",
    "connect": "errors polling transport origin proxy route timeouts trace",
    "link": "errors origin polling wake http1 message transport connect route closing timeouts "
    "timings",
    "closing": "",
    "outgoing": "errors polling headers message binary_streams stream_parts",
    "line": "errors polling wake combinators",
    "exchanging": "errors polling wake arguments http1 message operations outgoing",
    "streams": "twins errors polling wake arguments message operations outgoing exchanging line",
    "pipeline": "twins errors polling combinators message outgoing exchanging",
    "roles": "errors polling wake message transport link",
    "heads": "errors http1 message transport link",
    "files": "errors polling transport binary_streams stream_parts",
    "tls_facts": "transport facts link",
    "bodies": "errors http1 transport link files",
    "receiving": "errors polling http1 network message transport link roles heads bodies",
    "transmitting": "errors polling progress wake http1 message transport link receiving",
    "sending": "errors polling http1 message transport link roles receiving transmitting",
    "watched_link": "errors polling binary_streams http1 transport route link roles budgets "
    "timeouts timings trace",
    "watched": "errors polling http1 message network transport route link roles heads bodies "
    "receiving sending masking timeouts timings trace watched_link",
    "settings": "headers http1 message transport origin options proxy route link tls_facts "
    "receiving sending watched watched_link budgets timeouts trace logs",
    "disconnect": "transport link settings",
    "operations": "errors polling headers arguments http1 message disconnect body_fields",
    "body_fields": "message",
    "transfers": "twins errors polling transport files receiving sending",
    "connection": "twins connection_options polling headers http1 arguments message transport "
    "operations options transfers outgoing exchanging line streams url",
    "drivers": "errors polling wake",
    "facade": "twins polling message outgoing connection drivers",
    "cli": "errors polling binary_streams combinators headers masking message url connection "
    "drivers",
    "__main__": "__init__ errors headers connection url cli",
    "__init__": "errors polling wake combinators headers http1 network message transport auth "
    "origin proxy connection drivers outgoing pipeline streams abilities budgets "
    "facade scripted url logs timeouts timings",
}
# Modules of the standard library that only some parts may touch.
RESERVED = {
    "socket": {
        "transport/stream.py",
        "transport/connecting.py",
        "transport/descriptors.py",
        "transport/tcp.py",
        "transport/tls.py",
        "transport/resolve.py",
        "cli/server.py",
    },
    "ssl": {
        f"transport/{name}.py"
        for name in ("authorities", "contexts", "secured", "sessions", "tls", "tls_over")
    },
    "asyncio": {"drivers/aio.py", "drivers/watches.py", "cli/ways.py"},
    "trio": {"drivers/trio.py"},
    "gevent": {"drivers/gevent.py"},
    "importlib": {"abilities.py"},  # imports that this test would not see; it only looks
}
RESERVED["socket"] |= {
    f"transport/{name}.py" for name in ("bulk", "options", "own", "resolvers", "unix", "wrapped")
}
RESERVED["socket"] |= {
    "settings.py",
    "options.py",
    "connection_options.py",
}  # the type of an argument
RESERVED["socket"].add("transport/base.py")  # the type of an attribute
RESERVED["socket"].add("abilities.py")  # which asks what there is, as with ssl
RESERVED["ssl"].add("abilities.py")
RESERVED["socket"].add("wake.py")  # where select() takes nothing but sockets (Windows)
NO_CLOCK = {"http1", "auth", "proxy", "errors", "headers", "message"}
# Files without a test file of their own name, and where they are tested instead.
TESTED_ELSEWHERE = {
    "__init__.py": "every test imports it",
    "__main__.py": "cli/test_command_line.py",
    "cli/demo.py": "cli/test_command_line.py",
    "cli/progress.py": "cli/test_command_line.py",
    "cli/server.py": "cli/test_command_line.py",
    "cli/transfer.py": "cli/test_command_line.py",
    "cli/urls.py": "cli/test_command_line.py",
    "cli/ways.py": "cli/test_command_line.py",
    "drivers/pollers.py": "drivers/test_contract.py",
    "drivers/task.py": "drivers/test_loop.py, drivers/test_contract.py",
    "drivers/trio.py": "drivers/test_contract.py",
    "tls_facts.py": "test_options.py",
    "transport/options.py": "test_options.py",
    "transport/own.py": "test_options.py",
    "transport/secured.py": "transport/test_tls.py, transport/test_tls_over.py",
    "http1/kinds.py": "plain data; test_framing.py",
    "http1/limits.py": "constants, enforced in test_head.py and test_chunked.py",
    "operations.py": "test_connection.py",
    "disconnect.py": "test_connection.py, test_two_threads.py",
    "body_fields.py": "test_connection.py, test_conformance_requests.py",
    "settings.py": "test_connection.py, test_options.py",
    "closing.py": "test_exchanging.py",
    "turns.py": "test_network.py",
    "line.py": "test_streams.py",
    "origin.py": "test_connection.py",
    "route.py": "test_connect.py, test_link.py, test_connection.py",
    "transport/start_tls.py": "transport/test_tls_over.py, test_tls_events.py",
    "transport/stream.py": "test_sending.py, test_two_threads.py",
    "proxy/conversation.py": "a protocol of types; proxy/test_*.py keep to it",
    "bodies.py": "test_connection.py, test_interruptions.py",
    "transmitting.py": "test_sending.py, test_early_answer.py",
    "facts.py": "test_network.py",
    "watched_link.py": "test_watched.py, test_timeouts.py",
    "transport/wrapped.py": "transport/test_wiredump.py, transport/test_paced.py",
    "heads.py": "test_connection.py, test_interruptions.py",
}


def name_of(file):
    return file.relative_to(PACKAGE).as_posix()


def imports(file):
    """Yield each imported module: absolute names, or paths below the package."""
    here = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
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


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_point_downwards_only(file):
    part = file.relative_to(PACKAGE).with_suffix("").parts[0]
    assert part in MAY_IMPORT, f"say in MAY_IMPORT what {part} may import"
    allowed = {part, *MAY_IMPORT[part].split()}
    used = {part_of(module) for module in imports(file) if module.startswith("dugong_like")}

    assert used <= allowed, f"{name_of(file)} may not import {used - allowed}"


def test_there_are_no_circles_between_files():
    graph = {}
    for file in FILES:
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        graph[module] = {name for name in imports(file) if name.startswith("dugong_like.")}

    def visit(module, path):
        assert module not in path, " -> ".join([*path, module])
        for name in graph.get(module, ()):
            visit(name, [*path, module])

    for module in graph:
        visit(module, [])


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_sockets_tls_and_loops_stay_where_they_belong(file):
    top = {module.split(".")[0] for module in imports(file)}
    for module, places in RESERVED.items():
        assert module not in top or name_of(file) in places
    if file.relative_to(PACKAGE).with_suffix("").parts[0] in NO_CLOCK:
        assert not top & {"time", "select", "selectors", "threading", "datetime"}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_no_private_name_is_used_from_outside(file):
    tree = ast.parse(file.read_text())
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            if node.attr.startswith("__") or node.attr in own:
                continue
            owner = node.value.id if isinstance(node.value, ast.Name) else "?"
            assert owner in {"self", "cls"}, f"{name_of(file)}:{node.lineno} {owner}.{node.attr}"


def mirror_of(file):
    return ROOT / "test" / file.relative_to(PACKAGE).with_name(f"test_{file.name}")


@pytest.mark.parametrize("file", FILES, ids=name_of)
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

    assert "dugong_like.connection" in modules
    assert not {name for name in modules if name.startswith("dugong_like.proxy.")}
    unwanted = {"asyncio", "trio", "gevent", "email", "ssl", "hashlib", "certifi", "logging"}
    unwanted |= {"concurrent", "http", "tqdm", "uvloop", "dataclasses", "inspect", "urllib"}
    assert not {name for name in modules if name.split(".")[0] in unwanted}


def test_async_parts_are_imported_when_they_are_asked_for():
    import dugong_like

    assert dugong_like.AioFuture.__module__ == "dugong_like.drivers.aio"
    assert dugong_like.default_ssl_context.__module__ == "dugong_like.transport.contexts"
    assert dugong_like.tls_context.__module__ == "dugong_like.transport.contexts"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        dugong_like.nonsense
    assert dugong_like.Proxy.__module__ == "dugong_like.proxy.proxy"
    assert dugong_like.DigestAuth.__module__ == "dugong_like.auth"
    assert dugong_like.RateLimit.__module__ == "dugong_like.budgets"
    assert dugong_like.Timings.__module__ == "dugong_like.timings"
    assert set(dugong_like.__all__) <= {*dir(dugong_like), *dugong_like._LATER}
