"""Attribute access, `repr`, `dir`, comparison and hash do no I/O: whoever types at a prompt or looks into a debugger waits for nothing."""

from __future__ import annotations

import inspect
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from novacron import DiskSpec, Site, VMSpec
from novacron.dispatch.dispatcher import Dispatcher
from novacron.fleets.fleet import Fleet
from novacron.handles.host import HostHandle
from novacron.workflow import steps

OURS = ("novacron", "novacron_kvm", "novacron_vmware", "novacron_shell", "novacron_lab")
CALLS = (
    (Dispatcher, "invoke"),
    (Dispatcher, "submit"),
    (Site, "connect"),
    (sa.Engine, "connect"),
    (sqlite3, "connect"),
    (subprocess, "Popen"),
    (socket.socket, "connect"),
)
"""What reaches a driver, a database, another process or the network."""

ALLOWED = {
    "Site.plugins": "loads the installed plugins at the first use",
}
"""Attributes that may do I/O, and why."""


@pytest.fixture
def calls(monkeypatch):
    """The calls that did I/O, since the list was last cleared. They still work."""
    seen: list[str] = []

    def counted(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            seen.append(f"{getattr(owner, '__name__', owner)}.{name}")
            return real(*arguments, **named)

        monkeypatch.setattr(owner, name, call)

    for owner, name in CALLS:
        counted(owner, name)
    return seen


@pytest.fixture
def objects(own_state) -> Iterator[list[Any]]:
    """One object of each public kind, of a site that has a VM with everything."""
    with Site(own_state) as site:
        site.fleet.add("lab", "sim://no-io")
        site.fleet.add("unconnected", "sim://no-io-2")
        host = site.fleet.hosts["lab"]
        vm = host.vms.create(VMSpec(name="web1", disks=[DiskSpec(size="1GiB")], nics=[{"network": "default"}]))
        vm.start()
        vm.snapshots.create("before")
        stored = site.fleet.runs[site.fleet.runs.submit(steps.snapshot("later"), [vm])]
        site.fleet.schedules.add("nightly", steps.snapshot("night"), cron="0 3 * * *", vms=[vm])
        yield [
            site,
            site.fleet,
            site.fleet.hosts,
            site.fleet.settings,
            host,
            vm,
            *vm.disks,
            *vm.nics,
            *vm.snapshots,
            vm.refresh(),
            *host.pools,
            host.pools.volumes("default"),
            *host.networks,
            host.devices,
            host.native,
            host.events(timeout=0),
            host.submit("host_ping"),
            *site.fleet.schedules.list(),
            site.fleet.vms.list(),
            host.vms.list(),
            steps,
            steps.snapshot("x"),
            steps.snapshot("x") >> steps.stop(),
            site.fleet.rules,
            site.fleet.runs,
            stored,
        ]


def is_ours(value: Any) -> bool:
    return (
        type(value).__module__.partition(".")[0] in OURS
        and not inspect.isclass(value)
        and not callable(getattr(value, "mro", None))
    )


def looked_at(root: Any, calls: list[str], problems: list[str], seen: dict[int, Any], depth: int = 0) -> None:
    """Look at an object in every way that must do no I/O, and at what its public attributes hold."""
    if id(root) in seen or depth > 4:
        return
    seen[id(root)] = root
    kind = type(root).__name__

    def look(what: str, act: Any) -> Any:
        calls.clear()
        try:
            return act()
        except Exception as error:  # noqa: BLE001 - an attribute may refuse, but not ask
            return error
        finally:
            if calls and what not in ALLOWED:
                problems.append(f"{what}: {', '.join(dict.fromkeys(calls))}")

    look(f"repr({kind})", lambda: repr(root))
    look(f"{kind} == itself", lambda: root == root)
    look(f"hash({kind})", lambda: hash(root))
    names = look(f"dir({kind})", lambda: dir(root))
    for name in names if isinstance(names, list) else ():
        if name.startswith("_"):
            continue
        value = look(f"{kind}.{name}", lambda name=name: getattr(root, name))
        if is_ours(value):
            looked_at(value, calls, problems, seen, depth + 1)


def test_looking_at_an_object_asks_neither_driver_nor_database(objects, calls):
    problems: list[str] = []
    seen: dict[int, Any] = {}
    for root in objects:
        looked_at(root, calls, problems, seen)
    kinds = {type(each) for each in seen.values()}
    assert {Fleet, HostHandle, Site} <= kinds
    assert len(kinds) > 60
    assert sorted({*problems}) == []


def test_an_attribute_that_asks_is_found(objects, calls):
    class Asking:
        def __init__(self, host: Any) -> None:
            self._host = host

        @property
        def vms(self) -> int:
            return len(self._host.vms)

        def __repr__(self) -> str:
            return f"<{self._host.info().name}>"

    Asking.__module__ = "novacron.asking"
    problems: list[str] = []
    looked_at(Asking(objects[4]), calls, problems, {})
    assert {each.partition(":")[0] for each in problems} == {"repr(Asking)", "Asking.vms"}
