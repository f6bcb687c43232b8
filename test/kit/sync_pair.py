"""A folder, a server that keeps files in memory, and both together."""

import os
from contextlib import contextmanager

from kit.sync_server import BASE

OLD = 1_600_000_000_123_456_789  # nanoseconds: a file that rests


class Pair:
    """A local folder and a `Store`.

    Args:
        folder: for the local folder, the record, and one to restore to.
        store: the server.

    """

    def __init__(self, folder, store):
        self.root = folder / "root"
        self.root.mkdir()
        self.back = folder / "back"
        self.record = folder / "state" / "record"
        self.store = store
        self.client = store.client()
        self.steps = []

    def write(self, path, data=b"data", mtime_ns=OLD):
        """Write a local file that has a time."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        os.utime(file, ns=(mtime_ns, mtime_ns))

    def up(self, source=None, target=BASE, **options):
        """Upload; return the result."""
        self.steps.clear()
        self.store.seen.clear()
        options = {"record": self.record, "on_step": self.steps.append, **options}
        return self.client.sync(source or self.root, target, **options)

    def down(self, source=BASE, target=None, **options):
        """Download; return the result."""
        self.steps.clear()
        self.store.seen.clear()
        record = self.record.with_name("record-back")
        options = {"record": record, "on_step": self.steps.append, **options}
        return self.client.sync(source, target or self.back, **options)

    def errors(self):
        return {step.path: step.error for step in self.steps if step.error is not None}

    def kinds(self):
        return {step.path: step.kind.value for step in self.steps}


def tree_of(folder):
    """Return the bytes of all files, and names of anything else that is no folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_dir() or path.is_symlink():
            name = path.relative_to(folder).as_posix()
            found[name] = path.read_bytes() if path.is_file() else None
    return found


@contextmanager
def pair_of(folder, store):
    """Yield a `Pair`, and close its client."""
    pair = Pair(folder, store)
    with pair.client:
        yield pair
