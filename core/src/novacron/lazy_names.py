"""Public names of a package that are loaded when they are first used.

A package that imported its modules by itself would load all of them for each of its names. Two threads could also wait for each other:
the one that imports the package holds its lock and wants that of the module, the one that imports the module the other way round.
Python would end one of the two imports with an error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the functions `__getattr__` and `__dir__` of a package.

    Args:
        package: the package's `__name__`.
        homes: the public names of each module, separated by spaces. A module that is a public name itself has no names here.
    """
    home = {name: module for module, names in homes.items() for name in names.split()}
    whole = {module for module, names in homes.items() if not names}

    def load(name: str) -> Any:
        if name not in home and name not in whole:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        module = import_module(f"{package}.{home.get(name, name)}")
        value = getattr(module, name) if name in home else module
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted(vars(sys.modules[package])["__all__"])

    return load, names


__all__ = ["lazy_names"]
