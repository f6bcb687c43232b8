"""What a type checker sees: everything public has types, and a program that uses them passes."""

import inspect
import subprocess
import sys

import pytest
from kit.support import ROOT

import dugong_like

PROGRAM = """
from dugong_like import AsyncClient, Client, HTTPConnection, Headers, Response, URL, get, query

def blocking(client: Client, url: URL) -> list[str]:
    response: Response = client.post(url, json={"a": 1}, timeout=3, verify=False, stream=True)
    headers: Headers = response.headers
    with client.stream("GET", url, params={"a": ["b"]}) as stream:
        lines: list[str] = list(stream.iter_lines())
    return [headers["a"], get("http://a.test").text, query(url).reason, *lines]

async def coroutine(client: AsyncClient) -> bytes:
    response = await client.get("http://a.test", hooks={"on_headers": print})
    async with client.stream("GET", "/x", http_version="1.0") as stream:
        return b"".join([piece async for piece in stream.aiter_bytes()]) + response.content

def below(conn: HTTPConnection) -> int:
    return conn.exchange("GET", "/").status
"""


def functions():
    """Yield the public functions and methods of the package, by name."""
    for name in dugong_like.__all__:
        its = getattr(dugong_like, name)
        if inspect.isfunction(its):
            yield name, its
        if inspect.isclass(its) and its.__module__.startswith("dugong_like"):
            for key, member in inspect.getmembers(its, inspect.isfunction):
                is_ours = member.__module__.startswith("dugong_like")
                if is_ours and (not key.startswith("_") or key == "__init__"):
                    yield f"{name}.{key}", member


@pytest.mark.feature("E6")
def test_everything_public_has_types():
    untyped = []
    for name, function in functions():
        code = function.__code__
        names = [*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], "return"]
        names = [key for key in names if key not in {"self", "cls"}]
        if missing := [key for key in names if key not in function.__annotations__]:
            untyped.append((name, missing))
    assert untyped == []
    assert (ROOT / "dugong_like" / "py.typed").exists()


@pytest.mark.slow
@pytest.mark.feature("E6")
def test_a_program_passes_the_strict_type_checker(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [*command, str(tmp_path / "program.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
