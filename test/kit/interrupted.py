"""Interrupting an operation at each of its waits, and a call at each of its lines."""

import linecache
import sys

from kit.steps import PACKAGE
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


def begins_or_ends_a_block(frame):
    """Return whether the line is one of those at which no signal is ever looked at.

    A ``with`` comes again at the end. A ``try`` behind it does nothing, and what is raised there
    does not even leave the ``with`` in an orderly way: a lock would stay taken, also for the tests
    that follow. Python 3.12 and newer tell other lines.
    """
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    return line.lstrip().startswith(("with ", "try:"))


def interrupted_at_each_line(call):
    """Call *call* again and again, each time with KeyboardInterrupt one line further in.

    Yields the number of the line that was interrupted, and ends when the call comes to its end.
    """
    at = 0
    while True:
        at += 1
        left = at

        def trace(frame, event, arg):
            nonlocal left
            if PACKAGE not in frame.f_code.co_filename:
                return None
            if event == "line" and not begins_or_ends_a_block(frame):
                left -= 1
                if left == 0:
                    sys.settrace(None)
                    raise KeyboardInterrupt
            return trace

        sys.settrace(trace)
        try:
            call()
        except KeyboardInterrupt:
            yield at
        else:
            return
        finally:
            sys.settrace(None)
