"""The host that commands use when none is named: `novacron host use NAME`."""

from __future__ import annotations

import os
from pathlib import Path


def current_host() -> str | None:
    """Return the name of the host that was chosen with `host use`, None if none was."""
    try:
        return _file().read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def use_host(name: str | None) -> None:
    """Let later commands use a host; None makes them use the whole fleet again."""
    from novacron.state import StateDirectory, open_private

    if name is None:
        _file().unlink(missing_ok=True)
        return
    part = StateDirectory().create() / f"context.{os.getpid()}"
    with open(open_private(part, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as target:
        target.write(f"{name}\n")
    part.replace(_file())


def _file() -> Path:
    from novacron.state import state_directory

    return state_directory(create=False) / "context"


__all__ = ["current_host", "use_host"]
