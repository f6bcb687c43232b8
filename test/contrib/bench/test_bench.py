"""The benchmark suite under contrib/bench/: that it runs, not how fast anything is."""

import io
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from kit import h2_frames
from kit.h2_server import RawConnection
from kit.support import ROOT, ScriptedServer, program

from contrib.bench import clients, jobs, report, server, steps, workloads
from contrib.bench.clients import load
from contrib.bench.clients.base import Target
from contrib.bench.run import Figures
from dugong_like import HTTPConnection

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
    pytest.mark.timeout(600),
]


def bench(*arguments, clients="dugong_like,http.client"):
    """Run the suite with little work, one round, and no client that has to be installed."""
    program("nginx")
    command = [sys.executable, "-m", "contrib.bench", "--quick", "--rounds", "1"]
    return subprocess.run(
        [*command, "--clients", clients, *map(str, arguments)],
        capture_output=True, text=True, timeout=580, check=False, cwd=ROOT,
    )  # fmt: skip


@pytest.mark.slow
def test_small_requests_give_a_table_json_and_a_plot(tmp_path):
    done = bench(
        "--only", "sequential-tls", "--only", "pipelined",
        "--json", tmp_path / "out.json", "--plot", tmp_path / "out.svg",
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "out.json").read_text())
    assert [table["name"] for table in result["workloads"]] == ["sequential-tls", "pipelined"]
    for table in result["workloads"]:
        lines = {line["client"]: line for line in table["clients"]}
        assert {"floor", "dugong_like", "dugong_like/asyncio", "http.client"} <= set(lines)
        assert lines["floor"]["to_floor"] == lines["http.client"]["to_peer"] == 1
        assert all(line["cost"] > 0 and len(line["rounds"]) == 1 for line in lines.values())
        assert all(f"\n{client} " in done.stdout for client in lines)
    assert ET.parse(tmp_path / "out.svg").getroot().tag.endswith("svg")


@pytest.mark.slow
def test_large_bodies_arrive_whole_in_both_directions():
    done = bench(
        "--only", "save", "--only", "upload-chunked-tls", clients="dugong_like/,http.client"
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nhttp.client ") == 2


@pytest.mark.slow
def test_forms_and_the_memory_of_clients_are_measured():
    ours = "dugong_like/forms,dugong_like/Client"
    done = bench("--only", "form", "--only", "save", "--only", "clients", clients=ours)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\ndugong_like/Client ") == 3
    assert done.stdout.count("\ndugong_like/forms ") == 1


def test_a_client_that_is_not_installed_is_named(tmp_path):
    (tmp_path / "pycurl.py").write_text("raise ModuleNotFoundError('no pycurl here')")
    program("nginx")

    done = subprocess.run(
        [sys.executable, "-m", "contrib.bench", "--quick", "--rounds", "1",
         "--only", "sequential", "--clients", "pycurl"],
        capture_output=True, text=True, timeout=580, check=False, cwd=ROOT,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "none: cannot be imported: no pycurl here" in done.stdout


def test_an_unknown_workload_is_an_error():
    done = bench("--only", "nothing")

    assert done.returncode == 2
    assert "no such workload: nothing" in done.stderr


def test_steps_of_a_small_request_are_measured(capsys):
    steps.main(rounds=2, times=6000)  # so many requests that sending has to wait once

    title, *lines = capsys.readouterr().out.splitlines()
    assert title.split() == ["step", "us"]
    pairs = [line.rsplit(maxsplit=1) for line in lines]
    figures = {name.strip(): float(figure) for name, figure in pairs}
    operations = ["send_request", "read_response", "readall"]
    assert [name for name in figures if name in operations] == operations
    total = sum(figures[name] for name in operations)
    assert figures["together"] == pytest.approx(total, abs=0.02)
    pools = [name for name in figures if name.startswith("pool of")]
    assert pools == ["pool of 1 connections", "pool of 1,000 connections"]
    assert "the same in a Response" in figures  # a difference, which is noise on a busy machine
    measured = [*operations, "decompressing 100 KiB by zlib"]
    assert all(figures[name] > 0 for name in measured)


@pytest.mark.slow
def test_another_checkout_is_a_client_called_before(tmp_path):
    shutil.copytree(ROOT / "dugong_like", tmp_path / "dugong_like")

    done = bench(
        "--only", "request-fields", "--only", "import", "--against", tmp_path,
        clients="dugong_like/,dugong_like/asyncio",
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    tables = [table.splitlines() for table in done.stdout.strip().split("\n\n")]
    for _, title, *lines in tables:
        assert title.endswith("x before")
        ratios = {line.split()[0]: line.split()[-1] for line in lines}
        assert float(ratios["dugong_like"]) > 0
        assert float(ratios["dugong_like/asyncio"]) > 0
        assert ratios["before"] == ratios["before/asyncio"] == ratios["floor"] == "-"


@pytest.mark.slow
def test_the_other_checkout_is_what_runs(tmp_path):
    package = tmp_path / "dugong_like"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('the other one')")

    done = bench(
        "--only", "sequential", "--only", "import", "--against", tmp_path, clients="dugong_like/"
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"\nbefore +none: cannot be imported: the other one", done.stdout)) == 2
    assert len(re.findall(r"\ndugong_like +\d", done.stdout)) == 2


def test_what_is_no_checkout_is_refused(tmp_path):
    done = bench("--against", tmp_path)

    assert done.returncode == 2
    assert f"no dugong_like in {tmp_path}" in done.stderr


@pytest.mark.slow
def test_packages_of_one_client_may_be_in_a_folder_of_their_own(tmp_path):
    (tmp_path / "http").mkdir()
    (tmp_path / "http/__init__.py").write_text("raise ImportError('of this folder')")

    done = bench(
        "--only", "sequential", "--only", "import", "--path", f"http.client={tmp_path}",
        clients="http.client",
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    problems = re.findall(r"\n(\S+) +none: cannot be imported: of this folder", done.stdout)
    assert problems == ["http.client"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["exchange-tls", "request-fields-exchange"])
def test_one_call_for_each_request_is_measured_or_said_to_be_missing(name):
    done = bench("--only", name, clients="dugong_like/AsyncConnection")

    assert done.returncode == 0, done.stdout + done.stderr
    awaited = re.search(r"\ndugong_like/AsyncConnection +(.*)", done.stdout)[1]
    assert awaited == "none: HTTPConnection.exchange is not there yet" or float(awaited.split()[0])


def test_an_older_library_has_no_exchange(monkeypatch):
    monkeypatch.delattr(HTTPConnection, "exchange", raising=False)
    client = load("dugong_like")(Target(1))

    with pytest.raises(NotImplementedError, match="not there yet"):
        client.exchanges([("/", b"")])


def test_the_server_refuses_requests_without_their_fields(tmp_path):
    program("nginx")
    pytest.importorskip("trustme")
    site = server.Site(tmp_path)
    with site.nginx(), HTTPConnection("127.0.0.1", site.ports[0]) as conn:
        statuses = []
        for left_out in [*server.REQUEST_FIELDS, None]:
            fields = {k: v for k, v in server.REQUEST_FIELDS.items() if k != left_out}
            conn.send_request("GET", server.ASKED[0], fields)
            statuses.append(conn.read_response().status)
            conn.discard()

    assert statuses == [400, 400, 400, 200]


@pytest.mark.parametrize("name", ["dugong_like/Engine", "h2"])
@pytest.mark.parametrize("job", ["framing", "header_blocks", "header_blocks_unlike"])
def test_http2_is_measured_without_a_network(name, job, tmp_path):
    client = load(name)(Target(1, http2=True))

    figures = jobs.measure(jobs.Job(client, tmp_path, 30), job)

    assert figures["count"] == 30
    assert figures["cpu"] > 0


def test_http2_is_spoken_with_and_without_tls(tmp_path):
    program("nginx")
    pytest.importorskip("trustme")
    site = server.Site(tmp_path)
    site.make_large(300_000)
    with site.sink(), site.nginx():
        for port, ca in zip(site.http2_ports, [None, str(tmp_path / "ca.pem")], strict=True):
            client = load("floor/HTTP2")(Target(port, ca, http2=True))
            client.open()
            file = site.file("/large/300000")
            expected = [(path, site.file(path).read_bytes()) for path in server.PATHS]
            client.each(client.get, expected)
            client.pipelined(expected * 20)
            pieces = []
            client.download(
                "/large/300000", lambda piece, pieces=pieces: pieces.append(bytes(piece))
            )
            assert b"".join(pieces) == file.read_bytes()
            with file.open("rb") as body:
                assert client.upload("/hash", body, 300_000).decode() == site.sums["/large/300000"]
            client.close()


def test_the_floor_of_http2_takes_a_reset_behind_a_response():
    """NO_ERROR: a server needs no more of the request (RFC 9113 section 8.1)."""

    def serve(sock):
        raw = RawConnection(sock)
        for code in (h2_frames.NO_ERROR, h2_frames.NO_ERROR, h2_frames.CANCEL):
            stream = raw.read_until(h2_frames.HEADERS).stream
            answer = h2_frames.headers(stream, end=True) if code == h2_frames.NO_ERROR else b""
            raw.send(answer, h2_frames.rst_stream(stream, code))
        raw.read_to_end()

    with ScriptedServer(serve) as server:
        client = load("floor/HTTP2")(Target(server.port, http2=True))
        client.open()
        try:
            assert client.upload("/upload", io.BytesIO(b"x" * 100), 100) == b""
            assert client.get("/1") == b""
            with pytest.raises(OSError, match="a frame of type 3"):
                client.get("/2")
        finally:
            client.close()


@pytest.mark.slow
def test_rows_about_http2_give_tables():
    done = bench(
        "--only", "h2-exchange", "--only", "h2-concurrent-asyncio", "--only", "h2-fifo",
        "--only", "h2-threads", clients="dugong_like,httpx2",
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\nfloor/HTTP2 +\d", done.stdout)
    assert len(re.findall(r"\nhttpx2\S*(?: 16| 100)? +\d", done.stdout)) == 3


def test_an_older_library_has_no_http2(monkeypatch):
    module = sys.modules[load("dugong_like").__module__]
    monkeypatch.setattr(module, "CAN_HTTP2", False)
    with pytest.raises(NotImplementedError, match="HTTP/2 is not there yet"):
        load("dugong_like")(Target(1, http2=True))


def test_each_workload_names_what_there_is():
    for workload in workloads.WORKLOADS:
        known = workloads.STATEMENTS if workload.job == "import" else clients.CLIENTS
        assert set(workload.clients) <= set(known), workload.name
        assert workload.job == "import" or hasattr(jobs.Job, workload.job), workload.name


def test_the_least_of_all_rounds_counts_and_is_compared():
    workload = workloads.BY_NAME["sequential"]
    seconds = {
        "floor": [3, 1, 2], "dugong_like": [4, 6, 5], "before": [9, 8, 10],
        "dugong_like/asyncio": [7], "http.client": [5, 30], "pycurl": [20, 10],
    }  # fmt: skip
    results = {}
    for client, rounds in seconds.items():
        results[client] = Figures([{"cpu": cpu, "wall": 2 * cpu, "count": 1000} for cpu in rounds])
    results["httpx"] = Figures(problem="not installed")

    lines = {line.client: line for line in report.lines(workload, results)}

    assert [line.cost for line in lines.values()] == [1000, 4000, 8000, 7000, 5000, 10000, 0]
    ours = lines["dugong_like"]
    assert (ours.wall, ours.spread) == (8000, 0.4)
    assert (ours.to_floor, ours.to_pycurl, ours.to_peer, ours.to_before) == (4, 0.4, 0.8, 0.5)
    assert [name for name, line in lines.items() if line.to_before] == ["dugong_like"]
    assert lines["httpx"].to_pycurl is None
