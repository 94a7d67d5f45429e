"""The state directory: where NovaCron keeps its own files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from novacron.errors import StorageError


class StateDirectory:
    """A directory that only its owner can write to.

    Args:
        path: the directory. When None it is `$NOVACRON_STATE`, otherwise `novacron` in the user's state directory; the environment is
            read each time.

    Example:
        >>> StateDirectory("/var/lib/novacron").path / "state.db"
        PosixPath('/var/lib/novacron/state.db')
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._path = None if path is None else Path(path)

    @property
    def path(self) -> Path:
        """The directory. It may not exist yet."""
        return self._path or _of_environment()

    def __fspath__(self) -> str:
        return str(self.path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def __repr__(self) -> str:
        return f"<state directory {self.path}>"

    def create(self) -> Path:
        """Create the directory for its owner alone if it is missing, and return it.

        Raises:
            StorageError: it can't be created, belongs to another user, or other users can write to it.
        """
        path = self.path
        try:
            make_private(path)
            found = path.stat()
        except OSError as error:
            raise StorageError(f"can't create the state directory {path}: {error.strerror}", outcome="not_sent") from error
        if os.name == "posix":
            if found.st_uid not in (os.geteuid(), 0):
                raise StorageError(
                    f"the state directory {path} belongs to another user",
                    outcome="not_sent",
                    hint="set NOVACRON_STATE to one of yours",
                )
            if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise StorageError(
                    f"other users can write to the state directory {path}", outcome="not_sent", hint=f"chmod 700 {path}"
                )
        return path

    def private_file(self, name: str) -> Path:
        """Create an empty file that only its owner can read, if it is missing, and return its path. Links are not followed.

        Raises:
            StorageError: it can't be created, or is a link.
        """
        path = self.create() / name
        try:
            os.close(open_private(path, os.O_RDWR))
        except OSError as error:
            raise StorageError(
                f"can't open {path}: {error.strerror}", outcome="not_sent", hint="it must be a file, not a link"
            ) from error
        return path


def make_private(folder: Path) -> Path:
    """Create a folder, and the folders above it that are missing, for their owner alone, and return it. Raises OSError.

    `Path.mkdir(parents=True)` creates those above it as the umask says. Whoever can write to one of them can replace the folder.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def open_private(path: Path, flags: int) -> int:
    """Open or create a file that only its owner can read and write, and return its descriptor. Raises OSError; a link is an error."""
    descriptor = os.open(path, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if os.name == "posix" and os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def state_directory(*, create: bool = False) -> Path:
    """Return the state directory that the environment names."""
    directory = StateDirectory()
    return directory.create() if create else directory.path


def _of_environment() -> Path:
    if given := os.environ.get("NOVACRON_STATE"):
        return Path(given)
    return Path(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")) / "novacron"


__all__ = ["StateDirectory", "make_private", "open_private", "state_directory"]
