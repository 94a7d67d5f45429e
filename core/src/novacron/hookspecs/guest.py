"""The guest from inside, through its agent. Raises GuestAgentUnavailableError without one."""

from __future__ import annotations

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.guest import ExecResult, GuestInfo
from novacron.records.vm import VM


@operation(kind="read", statuses="running")
def guest_info(vm: str) -> GuestInfo:
    """Ask the guest for its host name, operating system and addresses.

    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the agent refused, or answered against its protocol.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="job", statuses="running")
def guest_exec(vm: str, argv: list[str], stdin: bytes, seconds: float, job: Job[ExecResult]) -> ExecResult:
    """Run a program in the guest, without a shell, and wait at most `seconds` for its end.

    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the program can't be started, or the agent answered against its protocol.
        OperationTimeoutError: the program did not end; it was killed if the agent can do that, otherwise the hint says that it continues.
        OperationCancelledError: the job was cancelled.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="read", statuses="running")
def guest_file_read(vm: str, path: str) -> bytes:
    """Read a file in the guest.

    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the file can't be read, is too large, or the agent answered against its protocol.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, statuses="running")
def guest_file_write(vm: str, path: str, data: bytes) -> VM:
    """Write a file in the guest.

    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the file can't be written, or the agent answered against its protocol.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running")
def guest_freeze(vm: str) -> VM:
    """Freeze the guest's file systems; `guest_thaw` must follow.

    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the agent refused, or answered against its protocol.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running")
def guest_thaw(vm: str) -> VM:
    """Thaw the guest's file systems.

    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the agent refused, or answered against its protocol.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, statuses="running")
def guest_password_set(vm: str, user: str, password: str) -> VM:
    """Set a user's password in the guest. NovaCron stores the password nowhere.

    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the guest has no such user.
        UnsupportedOperationError: the agent can't set passwords.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, statuses="running")
def guest_ssh_keys_set(vm: str, user: str, keys: tuple[str, ...]) -> VM:
    """Let exactly these SSH public keys log in as a user of the guest.

    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the guest has no such user.
        UnsupportedOperationError: the agent, or the host, can't set keys.
        HostConnectionError: the host can't be reached, or the connection was lost.
    """
    raise NotImplementedError
