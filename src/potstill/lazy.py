"""A package's public names, each imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the module function ``__getattr__`` (PEP 562) of a package that imports lazily.

    ``homes`` says of each public name which module of the package has it: ``module``, or
    ``module:attribute`` where it is called otherwise there. For any other name the function raises
    AttributeError.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, attribute = homes[name].partition(":")
        return getattr(import_module(f"{package}.{module}"), attribute or name)

    return get
