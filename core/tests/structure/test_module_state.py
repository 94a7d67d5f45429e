"""No module holds state: what a process needs belongs to a site."""

import importlib
import inspect
import pkgutil
import threading
import types
from collections.abc import Mapping
from contextvars import ContextVar

import click
import pytest

PACKAGES = ("novacron", "novacron_kvm", "novacron_vmware", "novacron_shell", "novacron_lab")

ALLOWED = {
    "novacron.site._default": "holds the default site, the one exception",
    "novacron.conversion._collecting": "msgspec collects what it knows of types once for the process, and must do so in one thread",
    "novacron.drivers.sim.state.world._worlds": "simulated hosts: like real hosts, they are outside of every site that connects to them",
    "novacron_kvm.event_loop._started": "libvirt has one event loop for the process",
}
"""What may stay, and why."""

IMMUTABLE = (
    str,
    bytes,
    int,
    float,
    complex,
    bool,
    type(None),
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.GenericAlias,
    types.UnionType,
    property,
    range,
    slice,
    click.Command,  # the tree of commands, which decorators declare
)
MUTABLE = (list, dict, set, bytearray, threading.local, threading.Event, threading.Condition, type(threading.Lock()), ContextVar)


def modules():
    for package in PACKAGES:
        root = importlib.import_module(package)
        yield root
        for info in pkgutil.walk_packages(root.__path__, f"{package}."):
            if not info.name.endswith("__main__"):
                yield importlib.import_module(info.name)


def writes(module, name):
    """Return whether the source writes to a global name: declares it global, assigns to an item of it or calls a method that writes."""
    source = inspect.getsource(module)
    calls = ("append", "add", "update", "setdefault", "pop", "clear", "remove", "extend", "discard", "popitem", "insert")
    return f"global {name}" in source or any(f"{name}.{call}(" in source for call in calls) or f"\n    {name}[" in source


def is_state(module, name, value):
    if isinstance(value, IMMUTABLE) or inspect.isclass(value) or name.startswith("__"):
        return False
    if hasattr(value, "cache_clear"):
        return not inspect.signature(value).parameters
    if isinstance(value, (list, dict, set)):  # a table is a constant unless the module writes to it
        return writes(module, name)
    if isinstance(
        value, (threading.local, threading.Event, threading.Condition, type(threading.Lock()), type(threading.RLock()))
    ):
        return True
    ours = type(value).__module__.partition(".")[0] in PACKAGES
    if not ours or isinstance(value, (tuple, frozenset, Mapping)) or getattr(type(value), "__struct_config__", None):
        return False
    held = vars(value).values() if hasattr(value, "__dict__") else ()
    return any(isinstance(part, MUTABLE) for part in held)


def state():
    seen = set()
    for module in modules():
        for name, value in list(vars(module).items()):
            home = getattr(value, "__module__", module.__name__)
            if (
                isinstance(home, str)
                and home.partition(".")[0] in PACKAGES
                and hasattr(value, "cache_clear")
                and home != module.__name__
            ):
                continue
            if is_state(module, name, value) and id(value) not in seen:
                seen.add(id(value))
                yield f"{module.__name__}.{name}"


def test_no_module_holds_state():
    assert sorted(set(state()) - set(ALLOWED)) == [], "give it to novacron.site.Site, or to the connection that needs it"


def test_everything_that_is_allowed_is_still_there():
    for path in ALLOWED:
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    "source",
    [
        "_seen = {}\ndef remember(x):\n    _seen[x] = 1\n",
        "_all = []\ndef remember(x):\n    _all.append(x)\n",
        "import threading\n_guard = threading.Lock()\n",
        "import functools\n@functools.lru_cache\ndef engine():\n    return []\n",
        "_on = set()\ndef remember(x):\n    _on.add(x)\n",
    ],
)
def test_a_module_with_state_is_found(source, tmp_path, monkeypatch):
    (tmp_path / "stateful_module.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "stateful_module", raising=False)
    module = importlib.import_module("stateful_module")
    found = [name for name, value in vars(module).items() if is_state(module, name, value)]
    assert len(found) == 1
