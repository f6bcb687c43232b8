"""Fixtures: certificates, and the real servers, started when a test first asks for one.

Options: ``--slow`` for the tests that take long, and ``--tenth`` for a tenth of all.
"""

import collections
import contextlib
import datetime
import gc
import importlib.util
import os
import py_compile
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from kit import servers, support
from kit.support import open_descriptors, wait_until

# These, and some of those that they need, import the clock. If a test that replaces the clock were
# the first one to need them, they would keep that one for ever.
import dugong_like.client.pool
import dugong_like.client.sharing  # noqa: F401
from dugong_like.connection.origins import ORIGINS

# Python 3.12 and later look for frames that want to hear of each bytecode when a trace function is
# set. Without one before it, the first test that counts bytecodes would count none.
sys._getframe().f_trace_opcodes = True

AUTHORITIES = "SSL_CERT_FILE"
NAMES = ("localhost", "127.0.0.1", "::1")

# A script that starts this in the background has it ignore Ctrl-C and Ctrl-\, and nohup the end of
# the terminal: some tests send them, to processes that inherit this.
for name, handler in (
    ("SIGINT", signal.default_int_handler),
    ("SIGHUP", signal.SIG_DFL),
    ("SIGQUIT", signal.SIG_DFL),
):
    number = getattr(signal, name, None)
    if number is not None and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


class ServerSocket(ssl.SSLSocket):
    """Python before 3.13 leaves it open if the client has reset the connection already."""

    def __del__(self):
        self.close()


@dataclass
class Certificate:
    """Files of a certificate."""

    chain: Path
    key: Path

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslsocket_class = ServerSocket
        context.load_cert_chain(self.chain, self.key)
        return context


@pytest.fixture(autouse=True)
def new_origins():
    """No test knows what an earlier one has found out about a server."""
    ORIGINS.forget()


@pytest.fixture(scope="session", autouse=True)
def few_authorities(tmp_path_factory):
    """Have one authority by default, of nobody: to load those of the system takes 25 ms each time.

    Programs that tests start inherit that.
    """
    if AUTHORITIES in os.environ:
        yield
        return
    path = tmp_path_factory.mktemp("authorities") / "one.pem"
    trustme.CA().cert_pem.write_to_path(path)
    os.environ[AUTHORITIES] = str(path)
    yield
    del os.environ[AUTHORITIES]


@pytest.fixture(scope="session")
def ca():
    """The authority that the tests trust."""
    return trustme.CA()


@pytest.fixture(scope="session")
def issue(ca, tmp_path_factory):
    """A function that issues a certificate for some names."""

    def issue(*names, **options):
        folder = tmp_path_factory.mktemp("certificate")
        certificate = Certificate(folder / "chain.pem", folder / "key.pem")
        issued = ca.issue_cert(*names, **options)
        issued.private_key_pem.write_to_path(certificate.key)
        for number, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(certificate.chain, append=number > 0)
        return certificate

    return issue


@pytest.fixture(scope="session")
def certificate(issue):
    """A good certificate for this machine."""
    return issue(*NAMES)


@pytest.fixture(scope="session")
def expired_certificate(issue):
    """A certificate whose time is over."""
    long_ago = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    return issue(*NAMES, not_before=long_ago, not_after=long_ago + datetime.timedelta(days=1))


@pytest.fixture(scope="session")
def other_certificate(issue):
    """A good certificate for another host."""
    return issue("other.example")


@pytest.fixture(scope="session")
def ca_file(ca, tmp_path_factory):
    """The authority's certificate as a file."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="session")
def trusting(ca):
    """A client's SSL context that trusts `ca`."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    # Debian's Python 3.11.2 sets it; see "Not supported" in the documentation
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    # What it offers from the first connection with another offer on (ALPN): no test depends on
    # whether one came before.
    context.set_alpn_protocols(["http/1.1"])
    return context


@pytest.fixture(scope="session")
def start(tmp_path_factory, certificate):
    """A function that returns a running server: its name, and whether with TLS.

    granian and uvicorn also listen on another *host*, such as "::1".
    """
    from contextlib import ExitStack

    known = {}
    with ExitStack() as stack:

        def start(name, *, tls=False, host="127.0.0.1"):
            if (name, tls, host) not in known:
                folder = tmp_path_factory.mktemp(name)
                arguments = {"certificate": certificate} if tls else {}
                if host != "127.0.0.1":
                    arguments["host"] = host
                engine, _, http = name.partition("-")
                if engine == "uvicorn":
                    arguments["http"] = http
                elif engine in {"nginx", "haproxy"}:
                    arguments["backend"] = start("uvicorn-httptools")
                server = getattr(servers, engine)(folder, **arguments)
                known[name, tls, host] = stack.enter_context(server)
            return known[name, tls, host]

        yield start


@pytest.fixture(scope="session")
def proxy(tmp_path_factory):
    """A forward proxy that also opens tunnels."""
    with servers.forward_proxy(tmp_path_factory.mktemp("proxy")) as server:
        yield server


@pytest.fixture
def nothing_is_left_open():
    """See that a test closes what it opened, without help from the garbage collector."""
    before = open_descriptors()
    yield
    wait_until(lambda: open_descriptors() <= before)


SERVERS = ["granian", "uvicorn-httptools", "uvicorn-h11", "nginx", "haproxy"]


@pytest.fixture(params=[f"{name}{tls}" for name in SERVERS for tls in ("", "+tls")])
def server(request, start):
    """Each real server, plain and with TLS."""
    name, plus, _ = request.param.partition("+")
    return start(name, tls=bool(plus))


@pytest.fixture
def slow_names(monkeypatch):
    """A name service that does not answer in time."""
    go_on = threading.Event()

    def getaddrinfo(*arguments, **options):
        go_on.wait(60)
        raise socket.gaierror(socket.EAI_NONAME, "too late")

    monkeypatch.setattr("dugong_like.transport.connect.dns.socket.getaddrinfo", getaddrinfo)
    yield
    go_on.set()


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers():
    """Use two processes for each core: the tests wait for a third of their time."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return 2 * cores


def pytest_addoption(parser):
    group = parser.getgroup("dugong_like")
    group.addoption(
        "--slow", action="store_true",
        help="also the tests marked slow, and all examples of those that make them up",
    )  # fmt: skip
    group.addoption(
        "--tenth", action="store_true",
        help="each test function, but of its sets of parameters only every tenth",
    )  # fmt: skip


def import_what_collects_garbage():
    for name in ("trio", "hypothesis"):  # when they are imported together
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def pytest_configure(config):
    import_what_collects_garbage()
    if sys.dont_write_bytecode and (config.getoption("numprocesses", None) or 0) > 1:
        keep_bytecode_for_the_session(config)
    support.SHARE_OF_EXAMPLES = 1 if config.getoption("--slow") else 10
    with contextlib.suppress(ImportError):
        hypothesis = importlib.import_module("hypothesis")
        # A machine that is busy takes long for any example, and to make it.
        slow = [hypothesis.HealthCheck.too_slow]
        hypothesis.settings.register_profile("any", deadline=None, suppress_health_check=slow)
        hypothesis.settings.load_profile("any")


def keep_bytecode_for_the_session(config):
    """Have all processes share what is compiled, in a folder that is removed at the end.

    Where Python shall leave no bytecode beside the sources, each of the processes that run tests,
    and each program that they start, would compile all that it imports.
    """
    folder = tempfile.TemporaryDirectory(prefix="bytecode")
    config.add_cleanup(folder.cleanup)
    sources = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
    known = {
        source: Path(importlib.util.cache_from_source(source))
        for source in sources
        if source.endswith(".py")
    }
    before = os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if before is not None:
        config.add_cleanup(lambda: os.environ.update(PYTHONDONTWRITEBYTECODE=before))
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = folder.name
    config.add_cleanup(lambda: os.environ.pop("PYTHONPYCACHEPREFIX"))
    sys.dont_write_bytecode = False
    for source, cached in known.items():  # all processes would compile them at the same time
        if cached.exists():
            copy = Path(importlib.util.cache_from_source(source))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(cached, copy)
        elif Path(source).exists():
            py_compile.compile(source)


class RotatedFolder(pytest.Dir):
    """A folder whose files a process of pytest-xdist collects from another one on.

    All of them collect all tests. As each begins elsewhere, most of what one imports has been
    compiled by another, and is read.
    """

    def collect(self):
        nodes = list(super().collect())
        number, count = place_among_workers(self.config)
        first = len(nodes) * number // count
        return nodes[first:] + nodes[:first]


def place_among_workers(config):
    """Return the number of this process of pytest-xdist, and how many there are."""
    worker = getattr(config, "workerinput", {"workerid": "gw0", "workercount": 1})
    return int(worker["workerid"].removeprefix("gw")), worker["workercount"]


def pytest_collect_directory(path, parent):
    if place_among_workers(parent.config)[1] == 1 or (path / "__init__.py").exists():
        return None
    return RotatedFolder.from_parent(parent, path=path)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Have no garbage collected meanwhile: all that is made stays, and looking at it takes longer.

    There are half a million objects.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop():
    """Keep the garbage collector from these: ``gc.collect()`` would take a quarter of a second."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """Have a process of pytest-xdist forget its reports, which nobody asks it for any more.

    They are a quarter of a million objects at the end, and ``gc.collect()`` looks at all of them,
    as it does at all that was imported since the tests began: some packages are as much again.
    Those that are left when a file is done stay, so it need not.
    """
    done = yield
    if hasattr(item.config, "workerinput"):
        reporter = item.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.stats.clear()
    if nextitem is not None and nextitem.path != item.path:
        gc.collect()  # what is garbage by now would never be found
        gc.freeze()
    return done


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config, items):
    if place_among_workers(config)[1] > 1:
        items.sort(key=lambda item: item.path.parts)  # as without `RotatedFolder`
    yield
    left_out = []
    if not config.getoption("--slow"):
        left_out += [item for item in items if item.get_closest_marker("slow")]
    if config.getoption("--tenth"):
        left_out += not_in_the_tenth(items)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


def not_in_the_tenth(items):
    """Return all but the first of ten sets of parameters of each test function."""
    seen = collections.Counter()
    left_out = []
    for item in items:
        function = item.nodeid.partition("[")[0]
        if seen[function] % 10:
            left_out.append(item)
        seen[function] += 1
    return left_out


def pytest_terminal_summary(terminalreporter, config):
    """Say what was left out: nobody who reads "passed" shall take it for everything."""
    if config.getoption("--tenth"):
        terminalreporter.write_line("a tenth of the tests: leave out --tenth for all of them")
    if not config.getoption("--slow"):
        terminalreporter.write_line("without the slow tests: add --slow to have them as well")


def pytest_itemcollected(item):
    """See to what doc/features.rst says of tests with real programs: each way of waiting."""
    if item.get_closest_marker("real"):
        assert item.callspec.params.keys() & {"drive", "driver"}, f"{item.name} has one way only"
