"""Runs programs: argument lists only, output kept for the error."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from novacron.errors import NovaCronError


class LabError(NovaCronError):
    """The lab could not be brought up, changed or taken down."""

    exit_code = 30


def run(
    *argv: str | Path, check: bool = True, cwd: Path | None = None, stdin: bytes | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end (two minutes at most) and return what it printed.

    Raises:
        LabError: it is missing, failed, or did not end.
    """
    words: Sequence[str] = [str(word) for word in argv]
    try:
        done = subprocess.run(words, capture_output=True, cwd=cwd, input=stdin, timeout=120)
    except FileNotFoundError as error:
        raise LabError(f"{words[0]} is not installed", hint="`novacron lab up` says which packages are missing") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(words)} did not end") from error
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if check and done.returncode:
        raise LabError(f"{' '.join(words)} failed: {(err or out).strip()[-500:]}")
    return subprocess.CompletedProcess(words, done.returncode, out, err)


__all__ = ["LabError", "run"]
