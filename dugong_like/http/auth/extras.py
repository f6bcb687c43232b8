"""Errors for libraries that some schemes need and that are not installed."""

from __future__ import annotations


def missing_extra(scheme: str, library: str, extra: str) -> ModuleNotFoundError:
    """Return the error for *scheme*, which needs a *library* that *extra* of this one installs."""
    return ModuleNotFoundError(
        f"{scheme} needs {library}: install 'dugong-like[{extra}]'", name=library
    )
