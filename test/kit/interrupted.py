"""Interrupting an operation at each of its waits."""

from kit.support import open_descriptors, wait_until


def interrupted_everywhere(make):
    """Give up the connecting of what *make* returns after 0, 1, 2… steps; nothing stays open."""
    before = open_descriptors()
    for steps in range(1000):
        conn = make()
        operation = conn.co_connect()
        done = False
        for _ in range(steps):
            try:
                need = next(operation)
            except StopIteration:
                done = True
                break
            need.poll(1)
        operation.close()
        if done:
            conn.close()
            return
        conn.close()
        wait_until(lambda: open_descriptors() <= before)  # those of the server are here, too
    raise AssertionError("it never ended")
