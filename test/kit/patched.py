"""Runs tests in a process that gevent has patched: ``python patched.py`` and arguments of pytest.

Patched is first of all, as gevent demands. So every socket, thread, lock, queue and name that the
tests and the library use is one of gevent's, and the servers of the tests run in greenlets, too.
"""

import sys

from gevent import monkey

monkey.patch_all()

import pytest  # noqa: E402 - see above

if __name__ == "__main__":
    sys.exit(pytest.main(sys.argv[1:]))
