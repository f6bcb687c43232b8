"""The version of the library, as User-Agent tells it.

Not here: the versions of HTTP (h1/).
"""

from typing import Final

VERSION: Final = "0.1.0"
