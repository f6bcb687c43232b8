"""The programs in contrib/ as modules, for the tests of what they do when they are imported."""

import importlib.util
import sys

from support import ROOT

CONTRIB = ROOT / "contrib"


def program(name):
    """Return a program as a module, the same each time; its neighbours have to come before it."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, CONTRIB / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
