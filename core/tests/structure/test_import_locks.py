"""Two threads that import modules of ours never wait for each other.

Python locks each module while it loads, and it locks a module before the packages above it. A package that loads its own modules is
therefore dangerous: a thread that imports the package holds its lock and wants that of the module, while a thread that imports the module
holds the module's lock and wants that of the package. Python ends one of the two imports with an error then.
"""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = [ROOT / folder for folder in ("core/src", "plugins/kvm/src", "plugins/vmware/src", "shell/src", "lab/src")]


def sources() -> dict[str, Path]:
    """Return the file of each module."""
    found = {}
    for folder in SOURCES:
        for file in folder.rglob("*.py"):
            parts = file.relative_to(folder).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def when_loaded(body: Iterable[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Return the imports of a module that happen while it loads: none of functions, none for type checkers alone."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from when_loaded(node.orelse)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for field in ("body", "orelse", "finalbody"):
                yield from when_loaded(getattr(node, field, ()))
            for handler in getattr(node, "handlers", ()):
                yield from when_loaded(handler.body)


def order_of_locks(files: dict[str, Path]) -> dict[str, set[str]]:
    """Return, for each module, the modules whose locks are taken while its own lock is held."""
    after = {}
    for module, file in files.items():
        wanted = {module.rpartition(".")[0]}
        for node in when_loaded(ast.parse(file.read_text()).body):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            else:
                assert not node.level, f"{module} has a relative import"
                wanted |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        after[module] = wanted & files.keys()
    return after


def circle(after: dict[str, set[str]]) -> list[str]:
    """Return the modules of one circle, empty if there is none."""
    try:
        tuple(graphlib.TopologicalSorter(after).static_order())
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_two_imports_can_wait_for_each_other():
    assert circle(order_of_locks(sources())) == [], "load the names of the package when they are used, as novacron.workflow does"


def test_a_package_that_loads_its_modules_is_found(tmp_path):
    files = {"eager": tmp_path / "__init__.py", "eager.part": tmp_path / "part.py"}
    files["eager.part"].write_text("")
    for source, expected in [
        ("import eager.part\n", True),
        ("from eager import part\n", True),
        ("try:\n    from eager.part import x\nexcept ImportError:\n    x = 1\n", True),
        ("def later():\n    import eager.part\n", False),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import eager.part\n", False),
    ]:
        files["eager"].write_text(source)
        assert bool(circle(order_of_locks(files))) is expected, source
