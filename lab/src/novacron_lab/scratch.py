"""Temporary folders that belong to a process. What a killed process left is removed by the next one."""

from __future__ import annotations

import os
import shutil
import signal
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
    """Remove this user's folders whose process has ended, and kill the processes that were started for them.

    A process belongs to a folder when its command line names it. Returns the removed folders, sorted.
    """
    where = parent or Path(tempfile.gettempdir())
    abandoned = [folder for folder in sorted(where.glob(f"{PREFIX}-*")) if _abandoned(folder)]
    for folder in abandoned:
        _end_processes(folder)
        shutil.rmtree(folder, ignore_errors=True)
    return abandoned


def _abandoned(folder: Path) -> bool:
    try:
        pid, started = folder.name.removeprefix(f"{PREFIX}-").split("-")[:2]
        identity = ProcessIdentity(int(pid), int(started))
        return folder.lstat().st_uid == os.geteuid() and not folder.is_symlink() and not identity.alive
    except (OSError, ValueError):
        return False  # another process removed it, or it only looks like one of ours


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
