"""Counting what no machine changes: bytecodes, and calls of functions of Python.

Python 3.11 joins two bytecodes to one where it has seen the same types often enough. So a count may
be a tenth larger after other tests, which have used the same code in other ways: limits leave room
for that.
"""

import sys


class Steps:
    """Bytecodes and calls of functions in a ``with`` block, which no machine changes.

    Args:
        of: part of the names of the files whose code is counted.

    """

    def __init__(self, of=""):
        self._of = of

    def __enter__(self):
        self.codes = self.frames = 0
        sys.settrace(self._trace)
        return self

    def __exit__(self, *exc):
        sys.settrace(None)

    def _trace(self, frame, event, arg):
        if self._of not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.frames += event == "call"
        self.codes += event == "opcode"
        return self._trace
