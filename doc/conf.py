"""Settings of Sphinx. Build: ``python3 -m sphinx -W -b html doc doc/_build/html``."""

import sys
from importlib.util import find_spec
from inspect import cleandoc
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

from dugong_like import __version__

project = "dugong_like"
author = "The dugong_like authors"
project_copyright = author
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "from_source",
    "figures",
    "picture",
]
exclude_patterns = ["_build"]
default_role = "py:obj"
rst_prolog = ".. currentmodule:: dugong_like\n"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
maximum_signature_line_length = 100  # a longer one has a line for each parameter
autodoc_mock_imports = [name for name in ("botocore", "gevent", "trio") if find_spec(name) is None]
napoleon_google_docstring = True
napoleon_numpy_docstring = False


def keep_twins_short(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Leave out of a twin's docstring what its operation, on the same page, has already."""
    if own := getattr(obj, "own_doc", None):
        lines[:] = cleandoc(own).splitlines()


def setup(app: Sphinx) -> None:
    """Connect the handlers of this file."""
    app.connect("autodoc-process-docstring", keep_twins_short, priority=1)


html_theme = "furo"  # light or dark, as the reader's system says
pygments_dark_style = "github-dark"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
html_title = f"dugong_like {version}"
