"""Runs a program for a node: on this machine without a shell, or on the node by SSH."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Literal

from novacron.errors import DriverError, HostConnectionError, OperationCancelledError, OperationTimeoutError
from novacron.plugins.driver import HostURI
from novacron.records.capacity import FleetNode
from novacron.redaction import redacted
from novacron.secrets import environment_without_secrets
from novacron.ssh.commands import login_argv
from novacron.ssh.target import jump_of
from novacron.text import printable

RunOn = Literal["node", "here"]
"""Where a program runs: on the node, or on this machine."""
SHOWN = 2000
"""How many of the last bytes of the output an error shows."""
POLL = 0.2
"""Seconds between two looks whether the program has ended or is to be stopped."""
GRACE = 10.0
"""Seconds that a program has after SIGTERM until it is killed."""
BOOT_ID = "/proc/sys/kernel/random/boot_id"
"""The file in which Linux has a new number after each start."""
SSH_FAILED = 255
"""The exit status of `ssh` if it could not connect or log in, or if the connection broke."""


def argv_for(command: Sequence[str], run_on: RunOn, uri: str) -> list[str] | None:
    """Return what to start on this machine so that a command runs; None if there is no way to run it on the node.

    Args:
        command: a program and its arguments.
        run_on: where it runs.
        uri: the URI of the node's host. One with SSH is logged in to, one without a host name is this machine.

    Example:
        >>> argv_for(["uptime"], "node", "qemu+ssh://root@kvm1/system")[-4:], argv_for(["uptime"], "node", "sim://a")
        (['root', '--', 'kvm1', 'uptime'], None)
    """
    jump = jump_of(uri)
    if run_on == "node" and jump is not None:
        return login_argv(jump, command)
    return [*command] if run_on == "here" or HostURI.parse(uri).host is None else None


def boot_id(node: FleetNode, uri: str, *, seconds: float = 20.0) -> str | None:
    """Return what differs after each restart of a node; None if its host is not reached by SSH, or its system does not tell.

    Args:
        node: the node.
        uri: the URI of its host.
        seconds: how long the answer may take.

    Raises:
        HostConnectionError: the login by SSH failed, or there was no answer.
    """
    jump = jump_of(uri)
    if jump is None:
        return None
    try:
        done = subprocess.run(
            login_argv(jump, ["cat", BOOT_ID]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
            env=environment_without_secrets(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostConnectionError(f"ssh to {node.name} failed: {type(error).__name__}", resource=node.name) from error
    if done.returncode == SSH_FAILED:
        why = printable(str(redacted(done.stderr.decode(errors="replace").strip()[-SHOWN:])))
        raise HostConnectionError(f"ssh to {node.name} failed: {why}", resource=node.name)
    return done.stdout.decode(errors="replace").strip() or None if done.returncode == 0 else None


def missing_program(argv: Sequence[str]) -> str | None:
    """Return why a command can't be started on this machine; None if it can."""
    return None if shutil.which(argv[0]) else f"this machine has no program {argv[0]}"


def run_program(
    argv: Sequence[str], node: FleetNode, *, seconds: float, stop: threading.Event, may_disconnect: bool = False
) -> None:
    """Run a command and wait for its end. Its environment names the node in NOVACRON_NODE and its host in NOVACRON_HOST.

    Args:
        argv: as `argv_for` returns it.
        node: the node.
        seconds: how long it may take.
        stop: ends the program when it is set.
        may_disconnect: a lost SSH connection is no failure, because the command restarts the node.

    Raises:
        DriverError: it could not be started, or its exit status is not 0. The message has the end of its output.
        HostConnectionError: the login by SSH failed, or the connection broke.
        OperationTimeoutError: it did not end in time, and was killed. By SSH it may still run on the node.
        OperationCancelledError: `stop` was set. It was killed; by SSH it may still run on the node.
    """
    environment = environment_without_secrets() | {"NOVACRON_NODE": node.name, "NOVACRON_HOST": node.host}
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                [*argv], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
            )
        except OSError as error:
            raise DriverError(f"{argv[0]} can't be started: {error}", resource=node.name, outcome="not_sent") from error
        try:
            status = _ended(process, node, seconds, stop)
        finally:
            _kill(process)
        said = _end_of(output)
    if status == SSH_FAILED and argv[0] == "ssh":
        if not may_disconnect:
            raise HostConnectionError(f"ssh to {node.name} failed: {said}", resource=node.name, outcome="unknown")
    elif status != 0:
        raise DriverError(f"the command ended with {status} for {node.name}: {said}", resource=node.name)


def _ended(process: subprocess.Popen[bytes], node: FleetNode, seconds: float, stop: threading.Event) -> int:
    """Wait for a program and return its exit status."""
    end = time.monotonic() + seconds
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(POLL)
        if stop.is_set():
            raise OperationCancelledError(f"the command for {node.name} was stopped", resource=node.name, outcome="unknown")
        if time.monotonic() > end:
            raise OperationTimeoutError(
                f"the command did not end within {seconds:g} s for {node.name}", resource=node.name, outcome="unknown"
            )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a program that still runs, with the processes that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)


def _end_of(output: IO[bytes]) -> str:
    output.seek(max(0, output.seek(0, os.SEEK_END) - SHOWN))
    text = output.read().decode(errors="replace").strip()
    return printable(str(redacted(text))) or "it wrote nothing"


__all__ = ["RunOn", "argv_for", "boot_id", "missing_program", "run_program"]
