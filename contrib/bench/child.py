"""The fresh process: measure one client once, and print the figures as JSON.

Started by run.py, not by people. A client that is not installed, or cannot do the job, is no
error: the answer says so.
"""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import Any

from .clients import BEFORE, OURS, library_of, load
from .clients.base import Target
from .jobs import Job, measure


def main() -> None:
    """Read what to do from the command line."""
    task: dict[str, Any] = json.loads(sys.argv[1])
    if task["folder"] is not None:
        sys.path.insert(0, task["folder"])  # contrib itself is loaded, and stays what it is
    try:
        client = load(task["client"])(Target(task["port"], task["ca"], task["http2"]))
    except ImportError as exc:
        if (exc.name or "").startswith(__package__):
            raise  # ours to mend
        answer = {"missing": f"cannot be imported: {exc}"}
    except NotImplementedError as exc:
        answer = {"missing": str(exc)}
    else:
        check_origin(task)
        try:
            job = Job(client, Path(task["root"]), task["count"], task["size"], task["sums"])
            answer = measure(job, task["job"])
        except NotImplementedError as exc:
            answer = {"missing": str(exc)}
        except OSError as exc:
            if exc.errno != errno.EMFILE:
                raise
            answer = {"missing": "needs more descriptors than the system allows"}
    print(json.dumps(answer))


def check_origin(task: dict[str, Any]) -> None:
    """See that this library comes from where it is said to be, if that is another checkout."""
    if library_of(task["client"]) == BEFORE:
        found = Path(sys.modules[OURS].__file__ or "")
        if not found.is_relative_to(task["folder"]):
            raise RuntimeError(f"{found} is not in {task['folder']}")


if __name__ == "__main__":
    main()
