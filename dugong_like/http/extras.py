"""Errors for libraries that some features need and that are not installed."""

from __future__ import annotations


def missing_extra(feature: str, library: str, extra: str) -> ModuleNotFoundError:
    """Return the error for *feature*, which needs a *library* that *extra* of this one installs."""
    return ModuleNotFoundError(
        f"{feature} needs {library}: install 'dugong-like[{extra}]'", name=library
    )
