"""The guest: a few programs, a few files, and an agent that answers while the VM runs."""

from __future__ import annotations

import time
from collections.abc import Callable

from novacron.drivers.sim.area import Area, simulated
from novacron.drivers.sim.state.machine import SimVM
from novacron.drivers.sim.state.nics import addressed
from novacron.errors import GuestAgentError, GuestAgentUnavailableError, InvalidStateError, OperationTimeoutError
from novacron.jobs import Job
from novacron.records.guest import ExecResult, GuestInfo
from novacron.records.vm import VM

POLL = 0.02
"""Seconds between two checks of a sleeping program."""


class SimGuest(Area):
    """Simulates the guest agent."""

    @simulated
    def guest_info(self, vm: str) -> GuestInfo:
        """Return the guest's host name, operating system and addresses."""
        with self.world.lock:
            sim_vm = self._answering(vm)
            addresses = tuple(address for nic in addressed(self.world, sim_vm) for address in nic.addresses)
            return GuestInfo(
                vm=sim_vm.id,
                hostname=sim_vm.name,
                os="Simulated Linux",
                kernel="6.1.0-sim",
                addresses=addresses,
                agent_version="1.0",
            )

    @simulated
    def guest_exec(self, vm: str, argv: list[str], stdin: bytes, seconds: float, job: Job[ExecResult]) -> ExecResult:
        """Run `echo`, `cat`, `hostname`, `true`, `false` or `sleep`. There are no other programs."""
        with self.world.lock:
            sim_vm = self._answering(vm)
            program = argv[0].rpartition("/")[2] if argv else ""
            if program not in _PROGRAMS and program != "sleep":
                raise GuestAgentError(
                    f"the guest of {sim_vm.name!r} has no program {argv[0] if argv else ''!r}",
                    resource=sim_vm.name,
                    hint=f"it has: {', '.join(sorted([*_PROGRAMS, 'sleep']))}",
                )
            if program != "sleep":
                return _PROGRAMS[program](sim_vm, argv[1:], stdin)
        try:
            wanted = float(argv[1])
        except (IndexError, ValueError):
            return ExecResult(exit_status=1, stderr=b"sleep: not a number\n")
        began = time.monotonic()
        while (slept := time.monotonic() - began) < wanted:
            if slept >= seconds:
                raise OperationTimeoutError(f"{argv[0]} did not end within {seconds:g} s", resource=sim_vm.name)
            job.wait_cancelled(max(0.0, min(POLL, wanted - slept, seconds - slept)))
            job.raise_if_cancelled()
        return ExecResult(exit_status=0)

    @simulated
    def guest_file_read(self, vm: str, path: str) -> bytes:
        """Read a file."""
        with self.world.lock:
            sim_vm = self._answering(vm)
            if path not in sim_vm.files:
                raise GuestAgentError(
                    f"the guest of {sim_vm.name!r} has no file {path!r}",
                    resource=sim_vm.name,
                    hint="check the path: it is that of a file within the guest",
                )
            return sim_vm.files[path]

    @simulated
    def guest_file_write(self, vm: str, path: str, data: bytes) -> VM:
        """Write a file. It belongs to the VM's disks, so snapshots, clones and migrations include it."""
        with self.world.lock:
            self._answering(vm)
            sim_vm = self.changing(vm, "write a file in")
            sim_vm.files = {**sim_vm.files, path: bytes(data)}
            return self.record(sim_vm)

    @simulated
    def guest_freeze(self, vm: str) -> VM:
        """Freeze the file systems. Until they are thawed, the agent rejects everything else."""
        with self.world.lock:
            self._answering(vm)
            sim_vm = self.changing(vm, "freeze")
            sim_vm.frozen = True
            return self.record(sim_vm)

    @simulated
    def guest_thaw(self, vm: str) -> VM:
        """Thaw the file systems. Does nothing if they are not frozen."""
        with self.world.lock:
            self._answering(vm, frozen=True)
            sim_vm = self.changing(vm, "thaw")
            sim_vm.frozen = False
            return self.record(sim_vm)

    @simulated
    def guest_password_set(self, vm: str, user: str, password: str) -> VM:
        """Accept a password without storing it."""
        with self.world.lock:
            self._answering(vm)
            self._refuse_unknown(vm, user)
            return self.record(self.changing(vm, "set a password in"))

    @simulated
    def guest_ssh_keys_set(self, vm: str, user: str, keys: tuple[str, ...]) -> VM:
        """Write the user's authorized_keys."""
        with self.world.lock:
            self._answering(vm)
            self._refuse_unknown(vm, user)
            sim_vm = self.changing(vm, "set SSH keys in")
            sim_vm.files = {**sim_vm.files, _HOMES[user] + "/.ssh/authorized_keys": "".join(f"{key}\n" for key in keys).encode()}
            return self.record(sim_vm)

    def _refuse_unknown(self, vm: str, user: str) -> None:
        if user not in _HOMES:
            raise GuestAgentError(
                f"the guest of {vm!r} has no user {user!r}", resource=vm, hint=f"it has: {', '.join(sorted(_HOMES))}"
            )

    def _answering(self, key: str, *, frozen: bool = False) -> SimVM:
        sim_vm = self.look(key)
        if sim_vm.status != "running" or not sim_vm.agent:
            why = "it was made without one" if not sim_vm.agent else f"it is {sim_vm.status}"
            raise GuestAgentUnavailableError(f"no guest agent answers in {sim_vm.name!r}: {why}", resource=sim_vm.name)
        if sim_vm.frozen and not frozen:
            raise InvalidStateError(f"the guest of {sim_vm.name!r} is frozen", resource=sim_vm.name, hint="thaw it first")
        return sim_vm


def _echo(vm: SimVM, arguments: list[str], stdin: bytes) -> ExecResult:
    return ExecResult(exit_status=0, stdout=" ".join(arguments).encode() + b"\n")


def _cat(vm: SimVM, arguments: list[str], stdin: bytes) -> ExecResult:
    missing = [path for path in arguments if path not in vm.files]
    if missing:
        return ExecResult(exit_status=1, stderr=f"cat: {missing[0]}: No such file or directory\n".encode())
    return ExecResult(exit_status=0, stdout=b"".join(vm.files[path] for path in arguments) if arguments else stdin)


def _hostname(vm: SimVM, arguments: list[str], stdin: bytes) -> ExecResult:
    return ExecResult(exit_status=0, stdout=vm.name.encode() + b"\n")


_HOMES = {"root": "/root", "admin": "/home/admin"}
"""The users of a simulated guest, and where they live."""

_PROGRAMS: dict[str, Callable[[SimVM, list[str], bytes], ExecResult]] = {
    "cat": _cat,
    "echo": _echo,
    "false": lambda vm, arguments, stdin: ExecResult(exit_status=1),
    "hostname": _hostname,
    "true": lambda vm, arguments, stdin: ExecResult(exit_status=0),
}

__all__ = ["SimGuest"]
