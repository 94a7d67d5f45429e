"""Two threads that import modules of ours never wait for each other.

Python locks each module while it loads, and it locks a module before the packages above it. A package that loads its own modules is
therefore dangerous: a thread that imports the package holds its lock and wants that of the module, while a thread that imports the module
holds the module's lock and wants that of the package. Python ends one of the two imports with an error then.
"""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
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


SCRIPT = """
import _frozen_importlib, importlib, importlib.abc, importlib.machinery, sys, threading, time

def is_waiting(thread):  # for the lock of a module
    return bool(_frozen_importlib._blocking_on.get(thread.ident))

class Slow(importlib.abc.MetaPathFinder):
    '''Lets the first thread create the package only when the other thread waits for it, or has ended.'''
    def find_spec(self, name, path, target=None):
        if name != package or threading.current_thread() is not first:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        def create_module(spec):  # the package's lock is held, and the package can't be found yet
            loading.set()
            while other.is_alive() and not is_waiting(other):
                time.sleep(0.001)
        spec.loader.create_module = create_module
        return spec

def load(name, public=()):
    try:
        module = importlib.import_module(name)
        for each in public:
            getattr(module, each)
    except BaseException as error:
        failed.append(f"{package}: {type(error).__name__}: {error}")

failed = []
sys.meta_path.insert(0, Slow())
package = None
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    public = module.__all__
    homes = {getattr(getattr(module, each), "__module__", "") for each in public}
    home = min((each for each in homes if each.startswith(name + ".")), default=None)
    if home is None:  # its own names alone
        continue
    for loaded in [each for each in sys.modules if each.partition(".")[0].startswith("novacron")]:
        del sys.modules[loaded]
    if "." in name:
        importlib.import_module(name.rpartition(".")[0])
    loading = threading.Event()
    first = threading.Thread(target=load, args=(name, public))
    other = threading.Thread(target=lambda: (loading.wait(60), load(home)))
    package = name
    other.start(); first.start(); first.join(); other.join()
    package = None
sys.exit("\\n".join(failed) or 0)
"""
"""Loads packages again and again: one thread the package with all of its public names, the other a module of it."""


def packages_with_names() -> list[str]:
    """Return the packages that have public names of their modules."""
    files = sources()
    return sorted(
        module
        for module, file in files.items()
        if file.name == "__init__.py"
        and any(
            isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{module}.")
            for node in ast.walk(ast.parse(file.read_text()))
        )
    )


def raced(*packages: str, path: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {[path] if path else []}\n{SCRIPT}", *packages],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stderr if done.returncode else ""


def test_a_thread_that_loads_a_package_and_one_that_loads_a_module_of_it_both_succeed():
    packages = packages_with_names()
    assert {"novacron.workflow", "novacron.hookspecs", "novacron.drivers.sim"} <= {*packages}
    assert raced(*packages) == ""


def test_the_race_ends_with_an_error_if_the_package_loads_its_modules(tmp_path):
    package = tmp_path / "novacron_eager"
    package.mkdir()
    (package / "__init__.py").write_text("from novacron_eager.part import first\n__all__ = ['first']\n")
    (package / "part.py").write_text("import time\ndef first(): pass\n")
    assert "novacron_eager: _DeadlockError" in raced("novacron_eager", path=str(tmp_path))
