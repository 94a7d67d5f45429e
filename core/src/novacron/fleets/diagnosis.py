"""Diagnoses this machine and the hosts of a fleet. A host that can't be reached is a finding that says why."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from novacron.errors import NovaCronError, StorageError
from novacron.fleets.asking import Askable
from novacron.plugins.discovery import DriverRegistry
from novacron.records.diagnosis import Finding, ok, problem, warning
from novacron.ssh.commands import login_argv
from novacron.ssh.target import JumpHost, jump_of
from novacron.state import StateDirectory
from novacron.units import format_size

HERE = "this machine"
MIB = 2**20
LEAST_SPACE, LITTLE_SPACE = 50 * MIB, 1024 * MIB
"""Free bytes beside the state directory below which it is a problem, or a warning."""
SSH_SECONDS = 10


def diagnose_fleet(fleet: Askable, *, timeout: float | str | None) -> list[Finding]:
    """Return the findings of all hosts of a fleet, host by host in the order of their names."""
    hosts = fleet.list()
    answers = fleet.ask([host.name for host in hosts], lambda host: host.diagnose(), timeout=timeout)
    found: list[Finding] = []
    for host, answer in zip(hosts, answers, strict=True):
        found += answer.value if answer.error is None else unreachable(host.name, host.uri, answer.error)
    return found


def diagnose_machine(state: StateDirectory, drivers: DriverRegistry) -> list[Finding]:
    """Return the findings of this machine: state directory, drivers, and the programs and keys of SSH."""
    return [*_state(state), *_drivers(drivers), *_ssh_client()]


def unreachable(name: str, uri: str, error: NovaCronError) -> list[Finding]:
    """Return the findings of a host that can't be connected to. If its URI uses SSH, a login tells which part fails."""
    hint = error.hint or "check the URI, and that the host is up: `novacron host list --ping`"
    found = [problem("connection", name, f"the host can't be reached: {error}", hint)]
    jump = jump_of(uri)
    return found if jump is None else [*found, _login(name, jump)]


def _state(state: StateDirectory) -> Iterator[Finding]:
    path = state.path
    if not path.exists():
        yield ok("state directory", HERE, f"{path} is created at the first use")
        return
    try:
        state.create()
    except StorageError as error:
        yield problem("state directory", HERE, str(error), error.hint or f"chmod 700 {path}")
        return
    readable = [each.name for each in sorted(path.iterdir()) if each.is_file() and _others_read(each)]
    if _others_enter(path) and readable:
        text = f"other users can read files in the state directory {path}: {', '.join(readable[:5])}"
        yield warning("state directory", HERE, text, f"chmod 700 {path}")
    else:
        yield ok("state directory", HERE, f"only its owner can read {path}")
    free = shutil.disk_usage(path).free
    text = f"{format_size(free)} are free beside the state directory {path}"
    hint = "make space, or set NOVACRON_STATE to another file system; metrics take most: `novacron monitor --help`"
    if free < LEAST_SPACE:
        yield problem("state directory", HERE, text, hint)
    else:
        yield warning("state directory", HERE, text, hint) if free < LITTLE_SPACE else ok("state directory", HERE, text)


def _others_read(file: Path) -> bool:
    return bool(file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def _others_enter(folder: Path) -> bool:
    return bool(folder.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH))


def _drivers(drivers: DriverRegistry) -> Iterator[Finding]:
    for scheme in drivers.schemes():
        try:
            provider = drivers.provider_for(scheme)
        except NovaCronError as error:
            yield problem("driver", scheme, str(error), error.hint or "install the driver again: `novacron plugin list`")
            continue
        if scheme == provider.schemes[0]:
            yield ok("driver", provider.name, f"the driver {provider.name!r} serves {', '.join(provider.schemes)}")


def _ssh_client() -> Iterator[Finding]:
    if shutil.which("ssh") is None:
        yield warning(
            "ssh", HERE, "there is no ssh, which URIs such as qemu+ssh:// and `novacron ssh` use", "install openssh-client"
        )
        return
    folder = Path.home() / ".ssh"
    keys = sorted(folder.glob("id_*.pub")) if folder.is_dir() else []
    if os.environ.get("SSH_AUTH_SOCK"):
        yield ok("ssh", HERE, "ssh is installed and an agent is set")
    elif keys:
        yield ok("ssh", HERE, f"ssh is installed and has the key {keys[0].stem}")
    else:
        text = "ssh has no agent and no key, so that no new VM can be logged in to with a key"
        yield warning("ssh", HERE, text, "create a key: `ssh-keygen -t ed25519`")


def _login(name: str, jump: JumpHost) -> Finding:
    """Log in to a host by SSH with the user's own settings, without asking anything."""
    argv = login_argv(jump, ["true"], seconds=SSH_SECONDS)
    try:
        done = subprocess.run(argv, capture_output=True, timeout=2 * SSH_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return problem("ssh", name, f"ssh to {jump} failed: {error}", "install openssh-client, or check the network")
    if done.returncode == 0:
        hint = "check that libvirtd runs on the host, and that the user is in its group `libvirt`"
        return warning("ssh", name, f"a login to {jump} by SSH works, so the hypervisor's daemon does not", hint)
    said = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
    hint = f"log in by hand to accept the host key and to install your key: `ssh-copy-id {jump}`"
    return problem("ssh", name, f"ssh to {jump} failed: {said}", hint)


__all__ = ["diagnose_fleet", "diagnose_machine", "unreachable"]
