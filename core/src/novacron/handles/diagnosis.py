"""Diagnoses hosts and VMs of any driver with the operations of the contract, and adds what the driver itself finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from novacron.errors import GuestAgentError, InvalidStateError, NovaCronError, UnsupportedOperationError
from novacron.handles.addresses import addresses_of
from novacron.handles.waiting import ssh_banner
from novacron.records.diagnosis import Finding, ok, problem, warning
from novacron.ssh.target import jump_of
from novacron.units import format_size

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.handles.vm import VMHandle
    from novacron.records.pools import StoragePool

FULL, NEARLY_FULL = 0.02, 0.10
"""Free parts of a pool's capacity below which it is a problem, or a warning."""
LITTLE_MEMORY = 0.05
"""Free part of a host's memory below which there is a warning."""
SIMULATED = ("sim:", "test:")
"""How the URIs of hosts begin whose guests are simulated."""


def diagnose_host(host: HostHandle) -> list[Finding]:
    """Return the findings of all checks of a host. A check that fails with an error is a finding of its own."""
    checks: dict[str, Callable[[HostHandle], Iterator[Finding]]] = {
        "connection": _connection,
        "driver": lambda found: iter(found.invoke("host_diagnose") if found.supports("host_diagnose") else ()),
        "memory": _memory,
        "storage": _pools,
        "network": _networks,
    }
    return [finding for name, check in checks.items() for finding in _tried(name, host.name, lambda c=check: c(host))]  # type: ignore[misc]


def diagnose_vm(vm: VMHandle) -> list[Finding]:
    """Return the findings of all checks of a VM.

    Raises:
        VMNotFoundError: the VM no longer exists.
    """
    vm.refresh()
    checks: dict[str, Callable[[VMHandle], Iterator[Finding]]] = {
        "status": _status,
        "driver": lambda found: iter(found.host.invoke("vm_diagnose", vm=found.id) if found.host.supports("vm_diagnose") else ()),
        "guest agent": _agent,
        "address": _addresses,
    }
    return [finding for name, check in checks.items() for finding in _tried(name, vm.name, lambda c=check: c(vm))]  # type: ignore[misc]


def _tried(check: str, subject: str, findings: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from findings()
    except UnsupportedOperationError:
        return  # the driver has nothing of the kind
    except NovaCronError as error:
        yield problem(check, subject, f"this could not be checked: {error}", error.hint or "repair the other problems first")


def _connection(host: HostHandle) -> Iterator[Finding]:
    found = host.ping()
    if found.latency_seconds > 1:
        text = f"a round trip takes {found.latency_seconds:.1f} s"
        yield warning("connection", host.name, text, "check the load of the host and the network between")
    else:
        yield ok("connection", host.name, f"{host.driver_name} {found.version} answers in {found.latency_seconds * 1000:.1f} ms")


def _memory(host: HostHandle) -> Iterator[Finding]:
    stats = host.stats()
    free, size = stats.memory_free_bytes, stats.memory_bytes
    if free is None:
        return
    text = f"{format_size(free)} of {format_size(size)} are free"
    if free < size * LITTLE_MEMORY:
        yield warning("memory", host.name, text, "stop VMs or move them to another host before you start more")
    else:
        yield ok("memory", host.name, text)


def _pools(host: HostHandle) -> Iterator[Finding]:
    pools = host.pools.list()
    if not pools:
        hint = "create one: `novacron pool create default type=dir path=/var/lib/libvirt/images`"
        yield warning("storage", host.name, "there is no storage pool for new disks", hint)
    for pool in pools:
        yield _pool(pool)


def _pool(pool: StoragePool) -> Finding:
    if not pool.active:
        hint = f"start it: `novacron pool start {pool.name}`; check its source if it does not start"
        return warning("storage", pool.name, f"the storage pool {pool.name!r} is not active", hint)
    free, size = pool.available_bytes, pool.capacity_bytes
    if free is None or not size:
        return ok("storage", pool.name, f"the storage pool {pool.name!r} is active")
    text = f"the storage pool {pool.name!r} has {format_size(free)} of {format_size(size)} left"
    hint = "delete volumes or snapshots, enlarge the pool, or move disks: `novacron vm migrate-storage VM POOL`"
    if free < size * FULL:
        return problem("storage", pool.name, text, f"VMs are suspended when they can't write; {hint}")
    return warning("storage", pool.name, text, hint) if free < size * NEARLY_FULL else ok("storage", pool.name, text)


def _networks(host: HostHandle) -> Iterator[Finding]:
    for network in host.networks.list():
        if network.active:
            yield ok("network", network.name, f"the network {network.name!r} is active")
        else:
            text = f"the network {network.name!r} is not active; VMs with a NIC on it can't start"
            yield warning("network", network.name, text, f"start it: `novacron network start {network.name}`")


def _status(vm: VMHandle) -> Iterator[Finding]:
    record = vm.record
    reason = f" ({record.status_reason})" if record.status_reason else ""
    if record.status == "crashed":
        hint = f"look at its console and its serial log, then start it: `novacron start {vm.name}`"
        yield problem("status", vm.name, f"the VM crashed{reason}", hint)
    elif record.status == "unknown":
        yield problem("status", vm.name, f"the status of the VM is unknown{reason}", "run the diagnosis of its host")
    else:
        yield ok("status", vm.name, f"the VM is {record.status}{reason}")
    for question in vm.host.invoke("question_list") if vm.host.supports("question_list") else ():
        if question.vm == vm.id:
            hint = f"answer it: `novacron vm question answer {vm.name} {question.id} CHOICE`"
            yield problem("question", vm.name, f"the VM waits for an answer: {question.text}", hint)


def _agent(vm: VMHandle) -> Iterator[Finding]:
    if vm.status != "running" or not vm.host.supports("guest_info"):
        return
    try:
        found = vm.guest.info()
    except (GuestAgentError, InvalidStateError) as error:
        hint = "install and start qemu-guest-agent (open-vm-tools on vSphere) in the guest"
        yield warning("guest agent", vm.name, f"{error}", hint)
        return
    yield ok("guest agent", vm.name, f"the guest agent {found.agent_version or ''} answers".replace("  ", " "))


def _addresses(vm: VMHandle) -> Iterator[Finding]:
    if vm.status != "running":
        return
    if not vm.nics:
        yield warning("address", vm.name, "the VM has no NIC", f"attach one: `novacron nic attach {vm.name} network=default`")
        return
    for nic in vm.nics:
        if not nic.record.link_up:
            hint = f"connect it: `novacron nic link {vm.name} {nic.record.mac} up`"
            yield warning("address", vm.name, f"the NIC {nic.record.mac} is not connected", hint)
    found = addresses_of(vm)
    if not found:
        hint = "check the network and the DHCP client of the guest on its console; a guest agent reports addresses too"
        yield warning("address", vm.name, "no IP address of the VM is known", hint)
        return
    yield ok("address", vm.name, "the VM has " + ", ".join(each.address for each in found))
    if vm.host.uri.startswith(SIMULATED) or jump_of(vm.host.uri) is not None:
        return  # the address may belong to another machine here; only the host can reach it
    reached, seen = ssh_banner(found)
    if reached:
        yield ok("ssh", vm.name, f"an SSH server answers: {seen}")
    else:
        hint = f"start an SSH server in the guest, or use `novacron console {vm.name}`"
        yield warning("ssh", vm.name, f"no SSH server answers: {seen}", hint)


__all__ = ["diagnose_host", "diagnose_vm"]
