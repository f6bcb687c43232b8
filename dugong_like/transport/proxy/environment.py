"""The proxy that the environment names: http_proxy, https_proxy, all_proxy, no_proxy.

The environment is only read by `Proxy.from_env`.

Not here: the entries of no_proxy (no_proxy.py), and checking the URL (proxy.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from .no_proxy import is_exempt


def proxy_url(
    scheme: str, host: str, port: int, environ: Mapping[str, str]
) -> tuple[str, str] | None:
    """Return the variable and the URL of the proxy for a server; None for none.

    Args:
        scheme: ``http`` or ``https``.
        host: name or address of the server, checked.
        port: its port.
        environ: the variables.

    """
    exactly = dict(environ)  # on Windows os.environ ignores case
    if is_exempt(_variable("no_proxy", exactly), host, port):
        return None
    for name in (f"{scheme}_proxy", "all_proxy"):
        if url := _variable(name, exactly):
            return name, url if "://" in url else f"http://{url}"
    return None


def _variable(name: str, environ: Mapping[str, str]) -> str:
    """Return a variable; the lower-case name wins, even if its value is empty."""
    if name in environ:
        return environ[name].strip()
    if name == "http_proxy" and "REQUEST_METHOD" in environ:
        return ""  # a CGI program: HTTP_PROXY is a field that the client has sent (httpoxy)
    return environ.get(name.upper(), "").strip()
