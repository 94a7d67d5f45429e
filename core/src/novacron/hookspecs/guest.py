"""The guest from inside, through its agent. Raises GuestAgentUnavailableError without one."""

from __future__ import annotations

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.guest import ExecResult, GuestInfo
from novacron.records.vm import VM


@operation(kind="read", statuses="running")
def guest_info(vm: str) -> GuestInfo:
    """Ask the guest who it is: host name, OS, addresses."""
    raise NotImplementedError


@operation(kind="job", statuses="running")
def guest_exec(vm: str, argv: list[str], stdin: bytes, seconds: float, job: Job[ExecResult]) -> ExecResult:
    """Run a program in the guest (no shell) and wait at most `seconds` for its end.

    Raises OperationTimeoutError when it did not end: it was killed where the agent can, else the hint says that it goes on.
    """
    raise NotImplementedError


@operation(kind="read", statuses="running")
def guest_file_read(vm: str, path: str) -> bytes:
    """Read a file in the guest."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, statuses="running")
def guest_file_write(vm: str, path: str, data: bytes) -> VM:
    """Write a file in the guest."""
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running")
def guest_freeze(vm: str) -> VM:
    """Freeze the guest's file systems; `guest_thaw` must follow."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running")
def guest_thaw(vm: str) -> VM:
    """Thaw the guest's file systems."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, statuses="running")
def guest_password_set(vm: str, user: str, password: str) -> VM:
    """Set a user's password in the guest. The password is kept nowhere."""
    raise NotImplementedError


@operation(kind="change", idempotent=True, statuses="running")
def guest_ssh_keys_set(vm: str, user: str, keys: tuple[str, ...]) -> VM:
    """Let exactly these SSH public keys log in as a user of the guest."""
    raise NotImplementedError
