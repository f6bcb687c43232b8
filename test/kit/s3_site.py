"""An S3 service, that of moto, in this process; and clients of boto3, which are told nothing else.

moto closes each connection after one response. Each request is real HTTP, and each signature is
made, but not checked.
"""

import logging
import threading
import warnings
from contextlib import ExitStack, contextmanager

from kit.support import ScriptedServer, installed
from kit.tls_relay import relay

LOGIN = {
    "aws_access_key_id": "me",
    "aws_secret_access_key": "secret",
    "region_name": "us-east-1",
}


@contextmanager
def s3_site(certificate):
    """Yield the URLs of one service, without and with TLS."""
    installed("moto", "sdk")
    installed("flask_cors", "sdk")
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server(
        "127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True
    )
    server.daemon_threads = True
    going = threading.Thread(target=server.serve_forever, args=(0.05,))
    going.start()
    with ExitStack() as stack:
        stack.callback(going.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        port = server.server_port
        secure = ScriptedServer(relay(port), tls=certificate.server_context())
        stack.enter_context(secure)
        yield {"http": f"http://127.0.0.1:{port}", "https": f"https://127.0.0.1:{secure.port}"}


def new_session():
    """Return a session of boto3 that reads no files and no environment for its credentials."""
    boto3 = installed("boto3", "sdk")
    return boto3.Session(**LOGIN)


def new_client(session, url, **options):
    """Return a client for the service at *url*; *options* of `Config`, and *verify*."""
    from botocore.config import Config

    verify = options.pop("verify", None)
    options.setdefault("retries", {"total_max_attempts": 1})
    s3 = {"addressing_style": "path"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python, about parts of botocore
        return session.client(
            "s3", endpoint_url=url, verify=verify, config=Config(s3=s3, **options)
        )
