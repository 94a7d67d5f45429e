"""What libvirtd found out about each QEMU of this machine, shared by the hosts of all labs.

libvirtd starts every emulator once to learn what it can do. There are some twenty, and a host spends seconds of CPU time on them.
libvirtd compares what it kept with the emulator, the kernel and itself, and asks again when one has changed.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

SEEN = "/var/cache/libvirt/qemu/capabilities"
"""Where libvirtd keeps it."""
PROGRAMS = Path("/usr/bin")


def folder() -> Path:
    """Return the folder with it, without what is known about emulators that tests made for themselves."""
    kept = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "novacron" / "emulators"
    kept.mkdir(parents=True, exist_ok=True)
    wanted = {_name(program) for program in PROGRAMS.glob("qemu-system-*")}
    for file in kept.iterdir():
        if file.name not in wanted:
            file.unlink(missing_ok=True)
    return kept


def _name(program: Path) -> str:
    """Return the name of libvirtd's file about a program."""
    return f"{hashlib.sha256(os.fsencode(program)).hexdigest()}.xml"


__all__ = ["SEEN", "folder"]
