"""Gives `novacron lab` to the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from novacron.plugins import hookimpl


@hookimpl
def register_commands() -> Sequence[Any]:
    """Return the command group `lab`."""
    from novacron_lab.commands import lab

    return [lab]
