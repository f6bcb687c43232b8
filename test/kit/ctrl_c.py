"""Ctrl-C at every place where Python looks for it: behind a call, and where a function begins."""

import dis
import functools
import sys


@functools.cache
def _handlers(code):
    return dis._parse_exception_table(code)


def _handler(code, at):
    """Return where *code* goes on after an exception at this offset; None if it ends."""
    for each in _handlers(code):
        if each.start <= at < each.end:
            return each.target
    return None


def _looks(code, at, after):
    """Return True if signals are looked at between the instructions of *code* at two offsets.

    That is so behind a call, which is where the exception comes from then. It can be raised at the
    second offset only, so that has to be in the same ``with`` and ``try``.
    """
    name = dis.opname[code.co_code[at]]
    if name == "RESUME" or name.startswith("CALL") or ("BACKWARD" in name and after < at):
        return _handler(code, at) == _handler(code, after)
    return False


def _is_finalizing(frame):
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None


def _press():
    raise KeyboardInterrupt


def ctrl_c_at_each_place(make, call, *modules, press=_press):
    """Call *call* with a new object of *make*, again and again, and press Ctrl-C one place later.

    The places are those in the code of *modules* where Python looks at signals, finalizers left
    out, where they are ignored. Each object is yielded when KeyboardInterrupt was raised, and when
    that is forgotten. *press* raises it, or sends a signal to a handler that may do it later.
    """
    files = {module.__file__ for module in modules}
    at = -1  # in the first round nowhere: Python 3.12 does not tell all places of it
    while True:
        thing = make()
        left = at
        last = {}

        def step(frame, event, _, last=last):
            nonlocal left
            frame.f_trace_opcodes = True
            if event == "return":
                last.pop(frame, None)
            if event == "opcode":
                before = last.get(frame)
                last[frame] = frame.f_lasti
                if before is not None and _looks(frame.f_code, before, frame.f_lasti):
                    if left == 0:
                        sys.settrace(None)
                        left = -1
                        press()
                    left -= 1
            return step

        def enter(frame, event, arg, step=step):
            if frame.f_code.co_filename not in files or _is_finalizing(frame):
                return None
            return step(frame, event, arg)

        sys.settrace(enter)
        pressed = False
        try:
            call(thing)
        except KeyboardInterrupt:
            pressed = True
        finally:
            sys.settrace(None)
            last.clear()
        if pressed:
            yield thing
        elif at >= 0:
            assert at > 0, "there was no place"
            return
        at += 1
