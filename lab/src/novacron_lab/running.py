"""Runs programs, as argument lists only, and recognises processes again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec

from novacron.errors import NovaCronError


class LabError(NovaCronError):
    """The lab could not be brought up, changed or taken down."""

    exit_code = 30


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A process and when it started: the kernel gives a pid again, but never with the same start time.

    Attributes:
        pid: its number.
        started: clock ticks between the boot of the machine and the start of the process.
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int | None = None) -> Self:
        """Return the identity of a process that runs, by default of this one."""
        number = os.getpid() if pid is None else pid
        return cls(number, _start_time(number))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote. Raises ValueError."""
        pid, started = text.split()
        return cls(int(pid), int(started))

    @property
    def alive(self) -> bool:
        """Whether this process still runs. A zombie does not."""
        return self.started == _start_time(self.pid) != -1

    def __str__(self) -> str:
        return f"{self.pid} {self.started}"


def run(
    *argv: str | Path, check: bool = True, cwd: Path | None = None, stdin: bytes | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it printed. `timeout` is in seconds.

    Raises:
        LabError: it is missing, failed, or did not end.
    """
    words: Sequence[str] = [str(word) for word in argv]
    try:
        done = subprocess.run(words, capture_output=True, cwd=cwd, input=stdin, timeout=timeout)
    except FileNotFoundError as error:
        raise LabError(f"{words[0]} is not installed", hint="`novacron lab up` says which packages are missing") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(words)} did not end") from error
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if check and done.returncode:
        raise LabError(f"{' '.join(words)} failed: {(err or out).strip()[-500:]}")
    return subprocess.CompletedProcess(words, done.returncode, out, err)


def _start_time(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; -1 when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return -1
    return -1 if fields[0] in "ZX" else int(fields[19])


__all__ = ["LabError", "ProcessIdentity", "run"]
