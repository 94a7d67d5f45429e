"""Operations inside the guest, through its guest agent. Every one raises GuestAgentUnavailableError if no agent answers."""

from __future__ import annotations

from novacron.hookspecs.operation import operation
from novacron.jobs import Job
from novacron.records.guest import ExecResult, GuestInfo
from novacron.records.vm import VM


@operation(kind="read", statuses="running")
def guest_info(vm: str) -> GuestInfo:
    """Return what the guest agent reports: host name, operating system and IP addresses.

    Args:
        vm: UUID or name of the VM.
    Returns:
        The guest's record.
    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the agent refused, or answered against its protocol.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running.
    """
    raise NotImplementedError


@operation(kind="job", statuses="running")
def guest_exec(vm: str, argv: list[str], stdin: bytes, seconds: float, job: Job[ExecResult]) -> ExecResult:
    """Run a program in the guest, without a shell, and wait for its end.

    Args:
        vm: UUID or name of the VM.
        argv: Program and arguments.
        stdin: Bytes for the standard input of the program.
        seconds: Longest time to wait for the program's end, in seconds.
        job: The running job.
    Returns:
        Exit code, standard output and standard error.
    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the program can't be started, or the agent answered against its protocol.
        OperationTimeoutError: the program did not end; it was killed if the agent can do that, otherwise the hint says that it continues.
        OperationCancelledError: the job was cancelled.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running.
    """
    raise NotImplementedError


@operation(kind="read", statuses="running")
def guest_file_read(vm: str, path: str) -> bytes:
    """Read a file in the guest.

    Args:
        vm: UUID or name of the VM.
        path: Absolute path in the guest.
    Returns:
        The content of the file.
    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the file can't be read, is too large, or the agent answered against its protocol.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, statuses="running")
def guest_file_write(vm: str, path: str, data: bytes) -> VM:
    """Write a file in the guest. An existing file is replaced.

    Args:
        vm: UUID or name of the VM.
        path: Absolute path in the guest.
        data: The content.
    Returns:
        The record of the VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the file can't be written, or the agent answered against its protocol.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running.
    """
    raise NotImplementedError


@operation(kind="change", locks="vm", statuses="running")
def guest_freeze(vm: str) -> VM:
    """Freeze the guest's file systems. The caller must call `guest_thaw` afterwards.

    Args:
        vm: UUID or name of the VM.
    Returns:
        The record of the VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the agent refused, or answered against its protocol.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, locks="vm", statuses="running")
def guest_thaw(vm: str) -> VM:
    """Thaw the guest's file systems.

    Args:
        vm: UUID or name of the VM.
    Returns:
        The record of the VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the agent refused, or answered against its protocol.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, statuses="running")
def guest_password_set(vm: str, user: str, password: str) -> VM:
    """Set the password of a user in the guest. NovaCron does not store the password.

    Args:
        vm: UUID or name of the VM.
        user: Name of an existing user.
        password: The new password.
    Returns:
        The record of the VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the guest has no such user.
        UnsupportedOperationError: the agent can't set passwords.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running.
    """
    raise NotImplementedError


@operation(kind="change", idempotent=True, statuses="running")
def guest_ssh_keys_set(vm: str, user: str, keys: tuple[str, ...]) -> VM:
    """Replace the SSH public keys that may log in as a user of the guest.

    Args:
        vm: UUID or name of the VM.
        user: Name of an existing user.
        keys: All keys, one line of `authorized_keys` each.
    Returns:
        The record of the VM.
    Raises:
        VMNotFoundError: the host has no such VM.
        GuestAgentUnavailableError: the guest has no agent, or the agent does not answer.
        GuestAgentError: the guest has no such user.
        UnsupportedOperationError: the agent, or the host, can't set keys.
        HostConnectionError: the host can't be reached, or the connection was lost.

    When: running.
    """
    raise NotImplementedError
