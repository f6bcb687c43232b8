"""Counting what no machine changes: bytecodes, and calls of functions of Python.

Python 3.11 joins two bytecodes to one where it has seen the same types often enough. So a count may
be a tenth larger after other tests, which have used the same code in other ways: limits leave room
for that.

Python 3.13 tells a trace function nothing of the bytecodes of a generator that was suspended
before, and not all of those of code that runs for the first time. So from there on they are counted
by `sys.monitoring`.
"""

import os
import sys
import threading
from pathlib import Path

import dugong_like

# The folder of the code that is counted. By its whole name: the folder in which somebody keeps the
# project, with its tests, may have the name of the package as well.
PACKAGE = str(Path(dugong_like.__file__).parent) + os.sep
TOOL = 4  # a number that debuggers, coverage and profilers leave free


class Steps:
    """Bytecodes and calls of functions in a ``with`` block, which no machine changes.

    Args:
        of: part of the names of the files whose code is counted.

    """

    def __init__(self, of=""):
        self._of = of

    def __enter__(self):
        self.codes = self.frames = 0
        if sys.version_info >= (3, 13):
            self._monitor()
        else:
            sys.settrace(self._trace)
        return self

    def __exit__(self, *exc):
        if sys.version_info >= (3, 13):
            sys.monitoring.set_events(TOOL, 0)
            sys.monitoring.free_tool_id(TOOL)
        else:
            sys.settrace(None)

    def _monitor(self):
        monitoring, thread = sys.monitoring, threading.get_ident()
        block = sys._getframe(2).f_code  # of which no trace function is told

        def is_counted(code):
            return (
                self._of in code.co_filename and code.co_filename != __file__ and code is not block
            )

        def at_code(code, _):
            if not is_counted(code):
                return monitoring.DISABLE
            self.codes += threading.get_ident() == thread
            return None

        def at_call(code, *_):
            if is_counted(code):
                self.frames += threading.get_ident() == thread

        events = monitoring.events
        monitoring.use_tool_id(TOOL, "steps")
        monitoring.register_callback(TOOL, events.INSTRUCTION, at_code)
        for event in (events.PY_START, events.PY_RESUME, events.PY_THROW):
            monitoring.register_callback(TOOL, event, at_call)
        monitoring.restart_events()
        monitoring.set_events(
            TOOL, events.INSTRUCTION | events.PY_START | events.PY_RESUME | events.PY_THROW
        )

    def _trace(self, frame, event, arg):
        if self._of not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.frames += event == "call"
        self.codes += event == "opcode"
        return self._trace


# Functions of C that are one call of the system each, those of reading and writing streams apart.
SYSTEM_CALLS = {"fstat", "lseek", "lstat", "open", "poll", "stat"} | {
    *("recv", "recv_into", "seek", "send", "sendfile", "sendmsg", "tell")
}


def system_calls(function, of=""):
    """Call *function* in this thread; return the names of the system calls made from Python.

    Those of `SYSTEM_CALLS`, in order, from code of files whose names have *of*. What `open` does
    itself is not seen.
    """
    names = []

    def note(frame, event, function):
        is_counted = event == "c_call" and of in frame.f_code.co_filename
        if is_counted and function.__name__ in SYSTEM_CALLS:
            names.append(function.__name__)

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return names
