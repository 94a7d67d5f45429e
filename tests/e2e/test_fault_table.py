"""The fault table: what is left of a VM is known, and truly, within seconds; nothing hangs, and nothing runs twice."""

import os
import signal
import threading
import time
from pathlib import Path

import libvirt
import pytest

from novacron import errors

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

KNOWN = 15
"""Seconds within which the state is known."""


def qemu(host, vm):
    """Return the pid of a VM's QEMU on a host of the lab."""
    return next(pid for pid in host.processes() if vm.id.encode() in Path(f"/proc/{pid}/cmdline").read_bytes())


def ended(what, host, vm, limit=KNOWN):
    """Wait for a VM's status, asked anew each time; return the seconds it took."""
    began = time.monotonic()
    while host.vms[vm.id].status not in what:
        assert time.monotonic() - began < limit, host.vms[vm.id]
        time.sleep(0.1)
    return time.monotonic() - began


def really_running(lab, vm):
    """Return the hosts on which libvirt itself says that a VM runs."""
    found = []
    for host in lab.hosts:
        raw = libvirt.open(host.uri)
        found += [
            host.name for d in raw.listAllDomains() if d.UUIDString() == vm.id and d.state()[0] == libvirt.VIR_DOMAIN_RUNNING
        ]
        raw.close()
    return found


def moving(vm, to, **options):
    """Begin a migration that takes long; return its job once memory flows."""
    job = vm.migrate(to, wait=False, **({"bandwidth": "2MiB/s", "deadline": 60} | options))
    flows = threading.Event()
    job.listen(lambda p: flows.set() if p.details.get("transferred_bytes") else None)
    assert flows.wait(30)
    return job


def test_a_killed_qemu_is_known_at_once_and_told(lab, lab_hosts, boot):
    a = lab_hosts[0]
    heard = []
    subscription = a.subscribe(heard.append)
    vm = boot(a, "struck-down", ticks=0)
    os.kill(qemu(lab.hosts[0], vm), signal.SIGKILL)
    ended(("crashed", "stopped"), a, vm)
    deadline = time.monotonic() + KNOWN
    while not any(e.id == vm.id and e.status in ("crashed", "stopped") for e in heard):
        assert time.monotonic() < deadline, heard
        time.sleep(0.05)
    subscription.close()
    assert vm.start().status == "running"


@pytest.mark.parametrize("side", [0, 1], ids=["source", "destination"])
def test_a_qemu_killed_in_a_migration_leaves_one_truth(lab, lab_hosts, boot, side):
    a, b = lab_hosts
    vm = boot(a, f"torn-{side}", load=40)
    job = moving(vm, b)
    os.kill(qemu(lab.hosts[side], vm), signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(errors.NovaCronError) as caught:
        job.result(90)
    assert time.monotonic() - began < 2 * KNOWN
    assert caught.value.hint
    assert vm.id not in {found.id for found in b.vms.list()}
    if side == 0:
        assert a.vms[vm.id].status in ("crashed", "stopped")
        assert a.vms[vm.id].start().status == "running"
    else:
        assert caught.value.outcome == "failed"
        assert a.vms[vm.id].status == "running"
        vm.console.wait_for_more_ticks()
    assert really_running(lab, vm) == [lab.hosts[0].name]


@pytest.mark.parametrize("peer_to_peer", [True, False], ids=["peer to peer", "direct"])
def test_a_link_cut_at_the_finish_step_never_runs_a_vm_twice(lab, lab_hosts, boot, mended, peer_to_peer):
    """The disk is lockable storage: the copy that may not have it stays halted, and an end that is not clear is called unknown."""
    a, b = lab_hosts
    vm = boot(a, f"finish-{'p2p' if peer_to_peer else 'direct'}", load=20)
    watch, stop = libvirt.open(lab.hosts[1].uri), threading.Event()
    job = vm.migrate(b, wait=False, peer_to_peer=peer_to_peer, deadline=40)

    def cut_when_resumed():
        while not stop.is_set():
            for domain in watch.listAllDomains():
                if domain.UUIDString() == vm.id and domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING:
                    lab.hosts[1].cut_link()
                    return
            stop.wait(0.002)

    watcher = threading.Thread(target=cut_when_resumed, daemon=True)
    watcher.start()
    error = None
    try:
        job.result(200)
    except errors.NovaCronError as raised:
        error = raised
    stop.set()
    watcher.join(30)
    lab.hosts[1].mend_link()
    deadline = time.monotonic() + 60
    while True:
        try:
            assert len(running := really_running(lab, vm)) <= 1, "it runs twice"
            break
        except libvirt.libvirtError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    if error is None:
        assert running == [lab.hosts[1].name]
    elif error.outcome == "unknown":
        assert error.hint
        assert {a.name, b.name} <= {name for name in (a.name, b.name) if name in str(error)}
    else:
        assert running == [lab.hosts[0].name]
    assert running, "it runs nowhere"
    watch.close()
