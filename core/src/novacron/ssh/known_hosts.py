"""The file with the SSH host keys of VMs, by UUID: an address that another VM had before is no obstacle, and no risk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from novacron.ssh.target import key_alias
from novacron.state import StateDirectory, open_private

FILE = "ssh/known_hosts"
KEY_FILES = tuple(f"/etc/ssh/ssh_host_{kind}_key.pub" for kind in ("ed25519", "ecdsa", "rsa"))
"""Where an OpenSSH server keeps its public keys."""


class KnownHosts:
    """The host keys of VMs in a file of OpenSSH's format.

    Args:
        state: the state directory that holds the file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     known = KnownHosts(StateDirectory(folder))
        ...     known.add("6b1f", ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxx root@web1"]), known.has("6b1f"), known.forget("6b1f")
        (1, True, True)
    """

    def __init__(self, state: StateDirectory | None = None) -> None:
        self._state = state or StateDirectory()

    def __repr__(self) -> str:
        return "<known host keys of VMs>"

    @property
    def file(self) -> Path:
        """The file. Its folder is created, the file may be missing."""
        file = self._state.create() / FILE
        file.parent.mkdir(mode=0o700, exist_ok=True)
        return file

    def has(self, vm_id: str) -> bool:
        """Return whether a key of the VM is known."""
        return any(_belongs(line, vm_id) for line in self._lines())

    def add(self, vm_id: str, keys: Iterable[str]) -> int:
        """Store public keys of a VM, and return their number. What is no public key is ignored."""
        found = [f"{key_alias(vm_id)} {' '.join(key.split()[:2])}\n" for key in keys if _is_key(key)]
        with open(open_private(self.file, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8") as target:
            target.write("".join(found))
        return len(found)

    def forget(self, vm_id: str) -> bool:
        """Remove the keys of a VM, for example after it was installed again. Returns whether there were any."""
        lines = self._lines()
        kept = [line for line in lines if not _belongs(line, vm_id)]
        if len(kept) == len(lines):
            return False
        part = self.file.with_name(f"known_hosts.{os.getpid()}")
        with open(open_private(part, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as target:
            target.write("".join(f"{line}\n" for line in kept))
        part.replace(self.file)
        return True

    def _lines(self) -> list[str]:
        try:
            return self.file.read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []


def _belongs(line: str, vm_id: str) -> bool:
    return line.partition(" ")[0] == key_alias(vm_id)


def _is_key(text: str) -> bool:
    from pydantic import TypeAdapter, ValidationError

    from novacron.specs.cloud_init import SSHKey  # pydantic is slow to load, and few connections need it

    try:
        TypeAdapter(SSHKey).validate_python(text)
    except ValidationError:
        return False
    return True


__all__ = ["KEY_FILES", "KnownHosts"]
