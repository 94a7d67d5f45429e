"""Entries for `ssh_config`: for VMs, and for jump hosts that need a key of their own."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.ssh.target import JumpHost, SSHTarget
from novacron.state import open_private


def host_entry(target: SSHTarget, name: str | None = None) -> str:
    """Return the entry of a VM for `~/.ssh/config`.

    Args:
        target: The VM.
        name: The name of the entry; the VM's name when None.

    Raises:
        InvalidSpecError: The name can't be the name of an entry: it has blanks or the characters `* ? ! " ,`.

    Example:
        >>> vm = SSHTarget(name="web1", id="6b1f", address="192.0.2.5", known_hosts=Path("/state/known_hosts"), user="ann")
        >>> print(host_entry(vm), end="")
        Host web1
            HostName 192.0.2.5
            User ann
            HostKeyAlias novacron-6b1f
            UserKnownHostsFile "/state/known_hosts"
            StrictHostKeyChecking accept-new
            CheckHostIP no
    """
    entry = name or target.name
    if not re.fullmatch(r"[^\s*?!\",#-][^\s*?!\",#]*", entry) or not entry.isprintable():
        problem = SpecProblem("name", entry, 'a name without blanks and * ? ! " , #')
        raise InvalidSpecError("the VM can't be an entry of ssh_config", problems=[problem], outcome="not_sent")
    lines: dict[str, str | None] = {
        "HostName": target.address,
        "User": target.user,
        "Port": str(target.port) if target.port != 22 else None,
        "IdentityFile": quoted(target.identity) if target.identity else None,
        "ProxyJump": str(target.jump) if target.jump else None,
        "HostKeyAlias": target.alias,
        "UserKnownHostsFile": quoted(str(target.known_hosts)),
        "StrictHostKeyChecking": "accept-new",
        "CheckHostIP": "no",
    }
    return f"Host {entry}\n" + "".join(f"    {key} {value}\n" for key, value in lines.items() if value is not None)


def jump_config(jump: JumpHost, folder: Path) -> list[str]:
    """Return the options of `ssh` for a jump host.

    `-J` can't name files. For a jump host with a key or host keys of its own, a configuration file is written to `folder`. It includes
    the user's own configuration.
    """
    if not (jump.keyfile or jump.known_hosts):
        return ["-J", str(jump)]
    name = "novacron-jump-" + hashlib.sha256(repr(jump).encode()).hexdigest()[:16]
    lines = [f"Host {name}", f"    HostName {jump.address}"]
    lines += [f"    IdentityFile {quoted(jump.keyfile)}"] if jump.keyfile else []
    lines += [f"    UserKnownHostsFile {quoted(jump.known_hosts)}"] if jump.known_hosts else []
    lines += [f"    User {jump.user}"] if jump.user else []
    lines += [f"    Port {jump.port}"] if jump.port else []
    lines += ["Match all", "    Include ~/.ssh/config", "    Include /etc/ssh/ssh_config", ""]
    file = folder / f"{name}.conf"
    part = file.with_suffix(f".{os.getpid()}")
    with open(open_private(part, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as target:
        target.write("\n".join(lines))
    part.replace(file)
    return ["-F", str(file), "-J", name]


def quoted(path: str) -> str:
    """Return a path as a value of `ssh_config`. Raises InvalidSpecError for one with quotes or line ends."""
    if '"' in path or not path.isprintable():
        raise InvalidSpecError("invalid path", problems=[SpecProblem("path", path, "a path without quotes and line ends")])
    return '"' + path.replace("%", "%%") + '"'


__all__ = ["host_entry", "jump_config", "quoted"]
