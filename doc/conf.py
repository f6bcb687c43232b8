"""Settings of Sphinx. Build: ``python3 -m sphinx -W -b html doc doc/_build/html``."""

import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

from dugong_like import __version__

project = "dugong_like"
author = "The dugong_like authors"
project_copyright = author
version = release = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "from_source"]
exclude_patterns = ["_build"]
default_role = "py:obj"
rst_prolog = ".. currentmodule:: dugong_like\n"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_mock_imports = [name for name in ("trio", "gevent") if find_spec(name) is None]
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"dugong_like {version}"
