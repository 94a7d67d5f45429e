"""The plugin by which the shell adds its policy to every host that is connected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from novacron.plugins import hookimpl
from novacron_shell.repl.watching import ProgressPolicy


class ShellPlugin:
    """Gives the shell's policy to every host that is connected from now on."""

    def __init__(self, progress: ProgressPolicy) -> None:
        self._progress = progress

    @hookimpl
    def register_policies(self) -> Sequence[Any]:
        """Return the progress policy."""
        return [self._progress]


__all__ = ["ShellPlugin"]
