"""Where NovaCron keeps what is its own: the state directory."""

from __future__ import annotations

import os
from pathlib import Path


def state_directory(*, create: bool = False) -> Path:
    """Return `$NOVACRON_STATE`, otherwise `novacron` in the user's state directory; readable by the user alone when made."""
    told = os.environ.get("NOVACRON_STATE")
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    path = Path(told) if told else Path(base) / "novacron"
    if create:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


__all__ = ["state_directory"]
