"""Control groups of a host's own: the part of this machine's that its libvirtd may divide among its VMs.

Only version 1 is given, with which groups can be made below any other. In version 2 a group that has processes can't hand controllers on;
a host has none there, as on a machine without control groups, and its limits hold in definitions alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

CONTROLLERS = ("blkio", "cpu", "cpuacct", "cpuset", "memory")
"""What libvirt limits VMs with."""
INHERITED = ("cpuset.cpus", "cpuset.mems")
"""What a group of `cpuset` needs before a process may enter it."""
REMOVAL = 10.0
"""Seconds within which the kernel releases the control groups of ended processes."""


def available() -> bool:
    """Whether this process may make groups of all controllers."""
    own = _own()
    return own.keys() == set(CONTROLLERS) and all(os.access(folder, os.W_OK) for folder in own.values())


def make(name: str) -> dict[str, str]:
    """Make a group of each controller below this process's own; return controller to folder, nothing where that can't be."""
    made: dict[str, str] = {}
    for controller, group in _own().items():
        folder = group / name
        made[controller] = str(folder)
        try:
            folder.mkdir(exist_ok=True)
            for file in INHERITED:
                if (folder / file).exists():
                    (folder / file).write_text((group / file).read_text())
        except OSError:
            remove(made)
            return {}
    return made


def entering(groups: Mapping[str, str]) -> list[str]:
    """Return the beginning of a command line: what follows it runs in these groups."""
    enter = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit; shift; done; shift; exec "$@"'
    return ["sh", "-c", enter, "sh", *groups.values(), "--"]


def remove(groups: Mapping[str, str]) -> None:
    """Remove groups with all below them; their processes have ended."""
    deadline = time.monotonic() + REMOVAL
    for folder in groups.values():
        while not _removed(Path(folder)) and time.monotonic() < deadline:
            time.sleep(0.02)


def _removed(folder: Path) -> bool:
    try:
        below = [path for path in folder.rglob("*") if path.is_dir()] if folder.is_dir() else []
        for path in sorted(below, key=lambda p: -len(p.parts)):
            path.rmdir()
        folder.rmdir()
    except FileNotFoundError:
        return not folder.exists()  # libvirtd, or another process that removes abandoned labs, removed a group meanwhile
    except OSError:
        return False  # a process is about to end
    return True


def _own() -> dict[str, Path]:
    """Return the folder of this process's group for each controller of version 1."""
    groups = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    found = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, options = line.split()[:4]
        for controller in set(options.split(",")) & set(CONTROLLERS) if kind == "cgroup" else ():
            group = next((path for names, path in groups.items() if controller in names.split(",")), None)
            if group is not None:
                found[controller] = Path(point) / group.lstrip("/")
    return found


__all__ = ["CONTROLLERS", "available", "entering", "make", "remove"]
