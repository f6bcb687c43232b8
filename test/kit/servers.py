"""Real servers for the tests: processes with a configuration of their own on free ports.

Each is a context manager that yields a `Server`, and ends the process it started.
"""

import errno
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kit.app import PATTERN
from kit.support import program

TEST = Path(__file__).parent
CHANCE = random.SystemRandom()  # which nobody else has seeded
START_TIME = 90  # seconds until a server has to accept connections
# Which of several test processes this is, and how many there are; see pytest-xdist.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
# Not every Python that the library is tried with has the servers: see contrib/torture/freethreaded.
PYTHON = os.environ.get("DUGONG_LIKE_SERVER_PYTHON", sys.executable)


@dataclass
class Server:
    """Where a server listens."""

    name: str
    port: int
    tls: bool
    root: Path
    host: str = "127.0.0.1"


def free_ports(count, host="127.0.0.1"):
    """Return so many ports that nobody uses at *host*.

    A moment may pass before a program has them. So they are none of those from 32768 on
    that the system gives to whoever asks for any, as other tests do all the time, and none that
    another test process may choose in that moment.
    """
    ports = []
    with ExitStack() as stack:
        while len(ports) < count:
            try:
                port = CHANCE.randrange(20_000 + WORKER, 32_000, WORKERS)
                ports.append(stack.enter_context(refusing_port(host, port)))
            except OSError as exc:
                if exc.errno != errno.EADDRINUSE:
                    raise
    return ports


def free_port(host="127.0.0.1"):
    """Return a port that nobody uses at *host*."""
    return free_ports(1, host)[0]


@contextmanager
def refusing_port(host="127.0.0.1", port=0):
    """A port that refuses connections: nobody else gets it, as it is bound."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as bound:
        bound.bind((host, port))
        yield bound.getsockname()[1]


def accepts(host, port):
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def end(process):
    """End *process* and its workers at once: none of them has anything to lose.

    Asked to end, Squid takes 2 s for it and proxy.py 1 s, of which nothing is learned.
    """
    if os.name == "posix":
        try:
            os.killpg(process.pid, signal.SIGKILL)  # a session of its own, see running()
        except ProcessLookupError:
            pass  # nobody is left
    process.kill()
    process.wait()


@contextmanager
def running(command, port, log, host="127.0.0.1"):
    """Run *command* until the block ends; wait until *port* accepts.

    A server that ends by itself, before or in the block, is an error that shows its output.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=TEST,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_TIME
        while not accepts(host, port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command} does not accept connections:\n{log.read_text()}")
            time.sleep(0.05)
        yield process
        if process.poll() is not None:
            raise RuntimeError(f"{command} ended with {process.returncode}:\n{log.read_text()}")
    finally:
        end(process)


@contextmanager
def granian(folder, certificate=None, host="127.0.0.1", http="1"):
    """granian: hyper, written in Rust; *http*: "1", "2", or "auto"."""
    port = free_port(host)
    command = [PYTHON, "-m", "granian", "--interface", "asgi", "--host", host]
    command += ["--port", port, "--no-ws", "--http", http, "app:app"]
    if certificate:
        command += ["--ssl-certificate", certificate.chain, "--ssl-keyfile", certificate.key]
    with running(command, port, folder / "granian.log", host):
        yield Server("granian", port, bool(certificate), folder, host)


HYPERCORN = """
bind = ["{host}:{port}"]
loglevel = "WARNING"
keep_alive_max_requests = {requests}
keep_alive_timeout = {idle}
"""


@contextmanager
def hypercorn(folder, certificate=None, host="127.0.0.1", requests=100_000_000, idle=60):
    """hypercorn: HTTP/2 by the library h2, with and without TLS, and HTTP/1.1.

    It ends each connection after so many *requests*; those that are under way have no answer then,
    and the connection is closed after *idle* seconds.
    """
    port = free_port(host)
    config = HYPERCORN.format(host=host, port=port, requests=requests, idle=idle)
    if certificate:
        config += f'certfile = "{certificate.chain}"\nkeyfile = "{certificate.key}"\n'
    (folder / "hypercorn.toml").write_text(config)
    command = [PYTHON, "-m", "hypercorn", "-c", folder / "hypercorn.toml", "app:app"]
    with running(command, port, folder / "hypercorn.log", host):
        yield Server("hypercorn", port, bool(certificate), folder, host)


@contextmanager
def uvicorn(folder, http, certificate=None, host="127.0.0.1", ws="none"):
    """Uvicorn with httptools (llhttp, written in C) or h11 (pure Python); *ws*: "wsproto"."""
    port = free_port(host)
    command = [PYTHON, "-m", "uvicorn", "--host", host, "--port", port, "--http", http]
    command += ["--no-access-log", "--log-level", "warning", "--ws", ws]
    # HAProxy may use a connection in the moment in which it is closed: not after five seconds.
    command += ["--timeout-keep-alive", "600", "app:app"]
    if certificate:
        command += ["--ssl-certfile", certificate.chain, "--ssl-keyfile", certificate.key]
    with running(command, port, folder / f"uvicorn-{http}.log", host):
        yield Server(f"uvicorn-{http}", port, bool(certificate), folder, host)


NGINX = """
{user}daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests {requests}; client_max_body_size 0;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{
    listen 127.0.0.1:{port}{ssl};
    root {folder}/www;
    location /status/204 {{ return 204; }}
    location /status/304 {{ return 304; }}
    location /refuse {{ client_max_body_size 1; return 413 "too large"; }}
    location /close {{ keepalive_timeout 0; return 200 "good bye"; }}
    location /files/ {{ dav_methods PUT DELETE; create_full_put_path on; }}
    location ~ ^/(upload|chunked|events) {{
      proxy_pass http://127.0.0.1:{backend}; proxy_http_version 1.1; proxy_request_buffering off;
    }}
  }}
}}
"""


def make_files(folder):
    """Make the files of /bytes/ below *folder*/www."""
    folder.chmod(0o755)
    files = folder / "www" / "bytes"
    files.mkdir(parents=True)
    for size in (0, 1, 1024, 70000, 1 << 20):
        (files / str(size)).write_bytes((PATTERN * 2)[:size])
    with (files / str(1 << 30)).open("wb") as giant:
        giant.truncate(1 << 30)  # sparse


@contextmanager
def nghttpd(folder, certificate=None, *options, port=None):
    """nghttpd of nghttp2, in C++: HTTP/2 only, with and without TLS.

    It has the files of /bytes/, sends the body of any PUT and POST back, and a trailer field.
    *port*: where one has been before.
    """
    executable = program("nghttpd")
    make_files(folder)
    port = port or free_port()
    command = [executable, "-a", "127.0.0.1", "-d", folder / "www", "--echo-upload"]
    command += ["--trailer", "x-trailer: yes", *options]
    if certificate:
        command += [port, certificate.key, certificate.chain]
    else:
        command += ["--no-tls", port]
    with running(command, port, folder / "nghttpd.log"):
        yield Server("nghttpd", port, bool(certificate), folder)


@contextmanager
def nginx(folder, backend, certificate=None, requests=100_000_000, plain=""):
    """nginx: files of /bytes/ from the disk, /upload and /chunked passed on to *backend*.

    PUT, GET and DELETE of /files/... keep files below *folder*/www (its WebDAV module).
    It closes each connection after so many *requests*. *plain*: " http2" for HTTP/2 without TLS.
    """
    executable = program("nginx")
    make_files(folder)
    port = free_port()
    ssl = plain
    if certificate:
        ssl = f" ssl http2; ssl_certificate {certificate.chain}"
        ssl += f"; ssl_certificate_key {certificate.key}"
    config = folder / "nginx.conf"
    user = "user root; " if os.geteuid() == 0 else ""  # or it could not read the folder
    fields = {"user": user, "folder": folder, "ssl": ssl, "requests": requests}
    config.write_text(NGINX.format(port=port, backend=backend.port, **fields))
    command = [executable, "-c", config, "-e", folder / "error.log"]
    with running(command, port, folder / "nginx.log"):
        yield Server("nginx", port, bool(certificate), folder)


HAPROXY = """
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:{port}{ssl}
  # this field concerns one connection, so HAProxy does not pass it on
  http-request set-var(txn.path) path
  http-request early-hint Link "</style.css>; rel=preload" if {{ query hints }}
  http-after-response set-header Connection close if {{ var(txn.path) -m str /close }}
  default_backend back
backend back
  server only 127.0.0.1:{backend}
"""


@contextmanager
def haproxy(folder, backend, certificate=None, plain=""):
    """HAProxy in front of *backend*; *plain*: " proto h2" for HTTP/2 without TLS.

    It sends 103 (Early Hints) to requests with the query "hints".
    """
    executable = program("haproxy")
    port = free_port()
    ssl = plain
    if certificate:
        both = folder / "both.pem"
        both.write_bytes(certificate.chain.read_bytes() + certificate.key.read_bytes())
        ssl = f" ssl crt {both} alpn h2,http/1.1"
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, ssl=ssl, backend=backend.port))
    with running([executable, "-f", config], port, folder / "haproxy.log"):
        yield Server("haproxy", port, bool(certificate), folder)


ROUTES_NGINX = """
{user}daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; root {folder}/www;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  ssl_certificate {certificate.chain}; ssl_certificate_key {certificate.key};
  ssl_session_tickets on; ssl_session_cache shared:s:1m;
  ssl_protocols TLSv1.2 TLSv1.3; ssl_client_certificate {ca_file};
  server {{ listen unix:{folder}/http; }}
  server {{ listen unix:{folder}/https ssl; }}
  server {{
    listen 127.0.0.1:{ports[TLSv1.2]} ssl; ssl_protocols TLSv1.2; ssl_verify_client on;
    location / {{ return 200 "$ssl_client_s_dn $ssl_session_reused"; }}
  }}
  server {{
    listen 127.0.0.1:{ports[TLSv1.3]} ssl; ssl_protocols TLSv1.3; ssl_verify_client on;
    location / {{ return 200 "$ssl_client_s_dn $ssl_session_reused"; }}
  }}
  server {{
    listen 127.0.0.1:{ports[one]} ssl proxy_protocol;
    ssl_certificate {one.chain}; ssl_certificate_key {one.key};
    location / {{ return 200 "$proxy_protocol_addr $ssl_server_name $http_host"; }}
  }}
  server {{
    listen 127.0.0.1:{ports[two]} ssl proxy_protocol;
    ssl_certificate {two.chain}; ssl_certificate_key {two.key};
    location / {{ return 200 "$proxy_protocol_addr $ssl_server_name $http_host"; }}
  }}
}}
"""
ROUTES_HAPROXY = """
defaults
  timeout connect 10s
  timeout client 10s
  timeout server 10s
frontend by-name
  mode tcp
  bind 127.0.0.1:{ports[by-name]}
  tcp-request inspect-delay 5s
  tcp-request content accept if {{ req_ssl_hello_type 1 }}
  use_backend one if {{ req_ssl_sni -i one.test }}
  use_backend two if {{ req_ssl_sni -i two.test }}
backend one
  mode tcp
  server only 127.0.0.1:{ports[one]} send-proxy
backend two
  mode tcp
  server only 127.0.0.1:{ports[two]} send-proxy-v2
frontend told
  mode http
  bind 127.0.0.1:{ports[told]} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port]"
"""


@contextmanager
def routes(folder, ca_file, certificate, one, two):
    """nginx and HAProxy, to be reached in special ways; yields the ports by name.

    nginx has unix domain sockets *folder*/http and *folder*/https, with the files of /bytes/.
    "TLSv1.2", "TLSv1.3": nginx, which demands a certificate of *ca_file*.
    "by-name": HAProxy, which passes on what is for one.test and two.test, and tells where it
    comes from (PROXY protocol 1 and 2), to nginx with the certificates *one* and *two*.
    "told": HAProxy, which wants to be told where a connection comes from (PROXY protocol).
    """
    executable = program("haproxy")
    folder.chmod(0o755)
    files = folder / "www" / "bytes"
    files.mkdir(parents=True)
    for size in (1024, 300_000):
        (files / str(size)).write_bytes((PATTERN * 2)[:size])
    names = ("TLSv1.2", "TLSv1.3", "one", "two", "by-name", "told")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    user = "user root; " if os.geteuid() == 0 else ""
    fields = {"user": user, "folder": folder, "ca_file": ca_file, "certificate": certificate}
    config = folder / "nginx.conf"
    config.write_text(ROUTES_NGINX.format(ports=ports, one=one, two=two, **fields))
    command = [program("nginx"), "-c", config, "-e", folder / "error.log"]
    with running(command, ports["TLSv1.3"], folder / "nginx.log"):
        config = folder / "haproxy.cfg"
        config.write_text(ROUTES_HAPROXY.format(ports=ports))
        with running([executable, "-f", config], ports["told"], folder / "haproxy.log"):
            yield ports


@contextmanager
def forward_proxy(folder, certificate=None, login=None):
    """proxy.py: forwards requests and opens tunnels, but not to the host refused.test."""
    port = free_port()
    command = [PYTHON, "-m", "proxy", "--hostname", "127.0.0.1", "--port", port]
    command += ["--num-workers", "1", "--num-acceptors", "1", "--log-level", "ERROR"]
    command += ["--plugins", "proxy.plugin.FilterByUpstreamHostPlugin"]
    command += ["--filtered-upstream-hosts", "refused.test"]
    if certificate:
        command += ["--cert-file", certificate.chain, "--key-file", certificate.key]
    if login:
        command += ["--basic-auth", login]
    with running(command, port, folder / "proxy.log"):
        yield Server("proxy.py", port, bool(certificate), folder)


SQUID = """
{listen}
pid_filename {folder}/pid
cache_log {folder}/cache.log
access_log none
cache deny all
coredump_dir {folder}
shutdown_lifetime 0 seconds
pinger_enable off
visible_hostname localhost
acl refused dstdomain refused.test
http_access deny refused
{access}
"""
HELPERS = "/usr/lib/squid"  # where Debian has the programs that check passwords


@contextmanager
def squid(folder, scheme="none", certificate=None, server=None):
    """Squid with the user "me" and the password "päss", if *scheme* is "basic" or "digest".

    It is a forward proxy, or stands in front of the *server* with that port and asks with 401, for
    Digest with nonces that may be used three times.
    """
    executable = program("squid")
    port = free_port()
    listen = f"http_port 127.0.0.1:{port}"
    if certificate:
        listen = f"https_port 127.0.0.1:{port} tls-cert={certificate.chain}"
        listen += f" tls-key={certificate.key}"
    front = ""
    if server:
        listen += " accel defaultsite=localhost no-vhost"
        front = f"\ncache_peer 127.0.0.1 parent {server} 0 no-query originserver"
        front += "\nauth_param digest nonce_max_count 3" if scheme == "digest" else ""
    access = "http_access allow localhost"
    if scheme == "basic":
        command = [program("htpasswd"), "-bc", folder / "users", "me", "päss"]
        subprocess.run(command, check=True, capture_output=True)
        access = f"auth_param basic program {HELPERS}/basic_ncsa_auth {folder}/users\n"
        access += "auth_param basic utf8 on"
    elif scheme == "digest":
        (folder / "users").write_text("me:päss\n")
        access = f"auth_param digest program {HELPERS}/digest_file_auth {folder}/users\n"
        access += "auth_param digest realm a realm"
    if scheme != "none":
        access += "\nacl known proxy_auth REQUIRED\nhttp_access allow known"
    access += front
    config = folder / "squid.conf"
    config.write_text(SQUID.format(listen=listen, folder=folder, access=access))
    if os.geteuid() == 0:  # it gives up being root, and then needs to read and write there
        shutil.chown(folder, "proxy")
    name = f"squid{port}"  # of its shared memory: two may run at once
    try:
        with running([executable, "-N", "-n", name, "-f", config], port, folder / "squid.log"):
            yield Server("squid", port, bool(certificate), folder)
    finally:
        for left in Path("/dev/shm").glob(f"{name}-*"):
            left.unlink()


APACHE = """
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/error.log
DefaultRuntimeDir {folder}
Mutex file:{folder} default
{user}
LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so
LoadModule authz_core_module {modules}/mod_authz_core.so
DocumentRoot {folder}/files
MaxKeepAliveRequests 0
"""
DIGEST_APACHE = """
LoadModule authn_core_module {modules}/mod_authn_core.so
LoadModule authn_file_module {modules}/mod_authn_file.so
LoadModule authz_user_module {modules}/mod_authz_user.so
LoadModule auth_digest_module {modules}/mod_auth_digest.so
<Location />
AuthType Digest
AuthName "a realm"
AuthDigestProvider file
AuthUserFile {folder}/users
AuthDigestDomain /
AuthDigestNonceLifetime {lifetime}
Require valid-user
</Location>
"""


@contextmanager
def running_apache(folder, settings, **values):
    """Run Apache httpd with *settings* behind the common ones; it serves *folder*/files."""
    executable = Path(program("apache2"))
    modules = executable.parent.parent / "lib" / "apache2" / "modules"
    port = free_port()
    values |= {"port": port, "folder": folder, "modules": modules, "user": ""}
    (folder / "files").mkdir(exist_ok=True)
    if os.geteuid() == 0:  # it gives up being root, and then needs to write there
        shutil.chown(folder, "www-data")
        shutil.chown(folder / "files", "www-data")
        values["user"] = "User www-data\nGroup www-data"
    config = folder / "apache.conf"
    config.write_text(APACHE.format(**values) + settings.format(**values))
    command = [executable, "-d", folder, "-f", config, "-D", "FOREGROUND"]
    with running(command, port, folder / "apache.log"):
        yield Server("apache", port, False, folder)


@contextmanager
def apache(folder, lifetime=300):
    """Apache httpd that wants Digest for the file "/file": user "me", password "päss".

    *lifetime*: seconds that a nonce is valid; with 0 it may be used once.
    """
    secret = hashlib.md5("me:a realm:päss".encode()).hexdigest()
    (folder / "users").write_text(f"me:a realm:{secret}\n")
    (folder / "files").mkdir()
    (folder / "files" / "file").write_bytes(PATTERN[:70_000])
    with running_apache(folder, DIGEST_APACHE, lifetime=lifetime) as server:
        yield server


DAV_APACHE = """
LoadModule dav_module {modules}/mod_dav.so
LoadModule dav_fs_module {modules}/mod_dav_fs.so
DavLockDB {folder}/locks
<Location />
Dav On
Require all granted
</Location>
"""


@contextmanager
def dav_apache(folder):
    """Apache httpd with WebDAV: files are kept below *folder*/files."""
    with running_apache(folder, DAV_APACHE) as server:
        yield server


DANTE = """
logoutput: {folder}/dante.log
internal: 127.0.0.1 port = {port}
external: lo
clientmethod: none
socksmethod: none
user.unprivileged: nobody
client pass {{ from: 127.0.0.0/8 to: 127.0.0.0/8 }}
socks block {{ from: 127.0.0.0/8 to: 127.0.0.3/32 }}
socks pass {{ from: 127.0.0.0/8 to: 127.0.0.0/8 command: connect }}
"""


@contextmanager
def dante(folder):
    """Dante: SOCKS5 and SOCKS4a without passwords, but not to 127.0.0.3."""
    executable = program("danted")
    port = free_port()
    config = folder / "danted.conf"
    config.write_text(DANTE.format(folder=folder, port=port))
    with running([executable, "-f", config], port, folder / "danted.log"):
        yield Server("danted", port, False, folder)


@contextmanager
def microsocks(folder, login):
    """microsocks: SOCKS5 with a password."""
    executable = program("microsocks")
    port = free_port()
    user, _, password = login.partition(":")
    command = [executable, "-i", "127.0.0.1", "-p", port, "-u", user, "-P", password]
    with running(command, port, folder / "microsocks.log"):
        yield Server("microsocks", port, False, folder)
