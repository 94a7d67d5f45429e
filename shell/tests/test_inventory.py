"""The shell's inventory: true without anybody asking, whatever hosts hang or come back."""

import itertools
import threading
import time

import pytest

import novacron
from novacron.errors import HostConnectionError, VMNotFoundError
from novacron_shell.repl import inventory
from novacron_shell.repl.inventory import Inventory, OpenHosts

WORLDS = itertools.count()


@pytest.fixture
def hosts():
    hosts = OpenHosts()
    names = [f"inventory-{next(WORLDS)}" for _ in range(2)]
    for name in names:
        hosts.add(novacron.connect(f"sim://{name}?vms=1&prefix={name}-"))
    yield hosts
    hosts.close()


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    waiting = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        waiting.wait(0.02)


def test_what_another_connection_changes_is_seen_without_a_command(hosts):
    vms = Inventory(hosts)
    vms.refresh()
    vms.keep_fresh()
    (first, _) = hosts
    with novacron.connect(f"sim://{first}") as other:
        other.vms.create(name="made-elsewhere")
    until(lambda: "made-elsewhere" in vms)
    vms.close()


def test_a_host_that_hangs_costs_its_own_vms_and_is_named(hosts, monkeypatch):
    monkeypatch.setattr(inventory, "PATIENCE", 3.0)
    vms, (first, second) = Inventory(hosts), hosts
    hung = threading.Event()
    monkeypatch.setattr(hosts[first].vms, "list", lambda: hung.wait(60))
    began = time.monotonic()
    vms.refresh()
    assert time.monotonic() - began < 30
    hung.set()
    assert list(vms.unreachable) == [first]
    assert [vm.host.name for vm in vms.values()] == [second]
    with pytest.raises(VMNotFoundError, match=f"no answer from {first}"):
        vms["nope"]


def test_a_host_that_was_down_at_the_start_comes_back(hosts, monkeypatch):
    name = f"inventory-{next(WORLDS)}"
    novacron.fleet().add(name, f"sim://{name}?vms=1&prefix=back-")
    back = []
    vms = Inventory(hosts, on_return=back.append)
    vms.unreachable = {name: "down"}
    real = novacron.fleet().hosts._connect

    def down(*_, **__):
        raise HostConnectionError("no route")

    monkeypatch.setattr(novacron.fleet().hosts, "_connect", down)
    vms.refresh()
    assert (list(vms.unreachable), back) == ([name], [])
    monkeypatch.setattr(novacron.fleet().hosts, "_connect", real)
    vms.refresh()
    assert (vms.unreachable, [host.name for host in back]) == ({}, [name])
    assert "back-00001" in vms
    novacron.fleet().remove(name)
