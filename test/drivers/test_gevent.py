"""In a process that gevent has patched: the contract, and what is done with sockets and threads.

Not here: the driver in a process that is not patched (test_contract.py, test_drivers_http.py).
"""

import subprocess
import sys

import pytest
from kit.cases import rest_slow
from kit.support import ROOT

pytest.importorskip("gevent")
HERE = ROOT / "test"

# What cannot be so in such a process.
NO_SUCH_LOOP = {
    "asyncio": "its loop would run on a selector of gevent's, which gevent does not support",
    "AioFuture": "as asyncio",
    "aio": "as asyncio",
    "uvloop": "it stops all greenlets: libuv knows nothing of them",
    "trio": "it needs select.epoll, which gevent takes away",
    "epoll": "as trio",
}
NOT_SO = {
    "test_gevent_needs_no_patching": "it is patched",
    "test_number_of_no_descriptor_fails_or_resumes": "gevent's poll raises ValueError",
    "test_loop_lets_find_out_whose_descriptor_was_closed": "gevent's poll does not notice",
    "test_loop_cancels_one_direction_of_what_was_closed": "gevent's poll does not notice",
    "test_operation_closes_what_it_waited_for_in_both_directions": "gevent closes later, so that "
    "numbers are not used again at once",
    "test_threads_executor_that": "gevent opens descriptors of its own",
    "test_threads_executor_runs": "gevent opens descriptors of its own",
    "test_threads_leave_no_thread": "gevent opens descriptors of its own",
    "test_full_queue_is_waited_for": "gevent opens descriptors of its own",
    "test_bad_server_name": "gevent finds it out later, and the test has a socket that blocks",
}
FILES = {
    "contract": ["drivers/test_contract.py"],
    "http": ["drivers/patched_http.py"],
    "sockets": [
        "transport/tls/test_over_socket.py",
        "transport/connect/test_happy_eyeballs.py",
        "transport/connect/test_unix.py",
        "polling/test_wake.py",
    ],
}


@pytest.mark.parametrize("what", rest_slow(0, FILES, always="sockets".__eq__))
def test_everything_works_where_gevent_has_patched(what):
    wanted = [f"not {name}" for name in (*NO_SUCH_LOOP, *NOT_SO)]
    # The rewriting of assertions, and pretty tracebacks, compile: no greenlet may be left then.
    options = ["-q", "--assert=plain", "--tb=native", "-p", "no:cacheprovider", "-n", "0"]
    child = subprocess.run(
        [sys.executable, "kit/patched.py", *options, "-k", " and ".join(wanted), *FILES[what]],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert child.returncode == 0, child.stdout[-5000:] + child.stderr[-2000:]
