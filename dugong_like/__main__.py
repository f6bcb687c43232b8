"""The command line: ``python3 -m dugong_like get`` and other commands; ``demo``.

Signals are taken care of first: importing the commands takes as long as a short command, and Ctrl-C
would be a traceback of an import until then.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import Final

from .cli.standard import occupy_closed
from .cli.stopping import stop_on_signals

# New objects between two looks for cycles of them, which are few: the counts of references free
# nearly all. By default (700) these looks are 5 % of the processor time of ``sync``.
OBJECTS: Final = 20_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (that of the process if None); return the exit status.

    Raises:
        SystemExit: for --help and --version, and wrong arguments.

    """
    occupy_closed()
    with stop_on_signals():
        from .cli.commands import run_command  # noqa: PLC0415 - see above

        return run_command(argv)


def run_process() -> int:
    """Do what `main` does, as the program of this process; return the exit status.

    It is called once, by ``python3 -m dugong_like`` and by the installed command.
    """
    gc.set_threshold(OBJECTS)  # here, as elsewhere it is the program of others
    return main()


if __name__ == "__main__":
    sys.exit(run_process())
