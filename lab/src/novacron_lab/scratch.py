"""Temporary folders that belong to a process. What a killed process left is removed by the next one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from novacron_lab.running import ProcessIdentity

PREFIX = "novacron-scratch"


def make_folder(purpose: str, parent: Path | None = None) -> Path:
    """Make a folder that only this user can read; its name says which process it belongs to.

    Args:
        purpose: a word for the name.
        parent: where; the system's temporary folder by default.
    """
    owner = ProcessIdentity.of()
    where = parent or Path(tempfile.gettempdir())
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{owner.pid}-{owner.started}-{purpose}-", dir=where))


def remove_abandoned(parent: Path | None = None) -> list[Path]:
    """Remove this user's folders whose process has ended, kill the processes that were started for them, and unmount what is mounted there.

    A process belongs to a folder when its command line names it. A folder is kept if a file system in it can't be unmounted: its
    files may belong to somebody else. Returns the removed folders, sorted.
    """
    where = parent or Path(tempfile.gettempdir())
    removed = []
    for folder in filter(_abandoned, sorted(where.glob(f"{PREFIX}-*"))):
        _end_processes(folder)
        for mounted in reversed(_mounts(folder)):
            subprocess.run(["umount", "--lazy", mounted], check=False, capture_output=True)
        if not _mounts(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def _abandoned(folder: Path) -> bool:
    try:
        pid, started = folder.name.removeprefix(f"{PREFIX}-").split("-")[:2]
        identity = ProcessIdentity(int(pid), int(started))
        return folder.lstat().st_uid == os.geteuid() and not folder.is_symlink() and not identity.alive
    except (OSError, ValueError):
        return False  # another process removed it, or it only looks like one of ours


def _mounts(folder: Path) -> list[Path]:
    """Return where file systems are mounted in a folder, in the order in which they were mounted."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    places = (re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split(" ")[1]) for line in lines)
    return [place for place in map(Path, places) if place.is_relative_to(folder.resolve())]


def _end_processes(folder: Path, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while (pids := _processes(folder)) and time.monotonic() < deadline:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        time.sleep(0.02)


def _processes(folder: Path) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it has ended
            if any(word.startswith(os.fsencode(folder)) for word in words):
                found.append(int(entry))
    return found


__all__ = ["make_folder", "remove_abandoned"]
