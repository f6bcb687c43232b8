"""What the garbage collector and handlers of signals do: something in the middle of a call."""

import sys
from itertools import count


def in_the_middle(make, call, action, *modules):
    """Call *call* with a new object of *make*, again and again, each time with an interruption.

    At the first step of the code of *modules* (an opcode of Python), in the next round at the
    second, and so on until there is no further step, *action* is called with the same object, in
    the same thread. The object is yielded after each round.
    """
    files = {module.__file__ for module in modules}
    for at in count(-1):  # in the first round nothing: Python 3.12 does not count all steps of it
        thing = make()
        steps = 0

        def step(frame, event, _, thing=thing, at=at):
            nonlocal steps
            frame.f_trace_opcodes = True
            if event == "opcode":
                steps += 1
                if steps > at >= 0:
                    action(thing)
                    sys.settrace(None)  # the rest of the call need not be followed
            return step

        def enter(frame, event, arg, step=step):
            return step(frame, event, arg) if frame.f_code.co_filename in files else None

        before = sys.gettrace()
        sys.settrace(enter)
        try:
            call(thing)
        finally:
            sys.settrace(before)
        yield thing
        if at >= 0 and steps <= at:
            assert at > 0, "no step was taken"
            return
