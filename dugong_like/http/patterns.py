"""Regular expressions that few programs need: compiled when one is first used.

Compiling takes 0.1 to 0.5 ms each, which every import would cost.

Not here: the patterns, which are beside what uses them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import AnyStr


def compiled_later(pattern: AnyStr, flags: int = 0) -> Callable[[], re.Pattern[AnyStr]]:
    """Return a function that returns *pattern*, which it compiles when it is first called."""
    return functools.cache(functools.partial(re.compile, pattern, flags))
