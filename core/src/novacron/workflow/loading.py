"""Loads code that an operator names: modules with steps, flows and functions that stored flows may use."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

from novacron.errors import PluginError


def load_code(name: str) -> None:
    """Import a module by its name, or a Python file by its path; the file becomes a module with the name of the file.

    Only the operator decides what is loaded: never call this with a name from a flow.

    Raises:
        PluginError: it is not there, its name is taken by another module, or it does not import.
    """
    file = Path(name)
    try:
        if file.suffix == ".py" or file.is_file():
            _load_file(file.resolve())
        else:
            importlib.import_module(name)
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(
            f"{name} can't be loaded: {type(error).__name__}: {error}",
            hint="give a Python file, or a module that can be imported",
        ) from error


def _load_file(file: Path) -> None:
    known = sys.modules.get(file.stem)
    if known is not None:
        if Path(getattr(known, "__file__", None) or "").resolve() == file:
            return
        raise PluginError(f"{file} can't be loaded: there is a module {file.stem!r} already", hint="rename the file")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise PluginError(f"{file} can't be loaded: it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[file.stem]
        raise


__all__ = ["load_code"]
