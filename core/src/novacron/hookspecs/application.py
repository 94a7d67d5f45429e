"""The hooks of application plugins, which are not drivers. Many plugins may implement a hook; their results are combined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pluggy

from novacron.hookspecs.operation import PROJECT

_spec = pluggy.HookspecMarker(PROJECT)


@_spec
def register_drivers() -> Sequence[Any]:
    """Return driver providers (`novacron.plugins.DriverProvider`) for URI schemes that have no entry point."""
    raise NotImplementedError


@_spec
def register_policies() -> Sequence[Callable[..., Any]]:
    """Return policies: functions `policy(call, proceed)` around every operation. `policy.stage` ("access", ...) sets their order."""
    raise NotImplementedError


@_spec
def register_steps() -> Sequence[Any]:
    """Return workflow steps."""
    raise NotImplementedError


@_spec
def register_commands() -> Sequence[Any]:
    """Return click commands or groups for the `novacron` command line."""
    raise NotImplementedError


@_spec
def extend_shell(namespace: dict[str, Any]) -> None:
    """Add names to the interactive shell."""
    raise NotImplementedError


@_spec
def secret_backends() -> Sequence[Callable[[str], str | None]]:
    """Return functions that look up secrets. Each takes a secret's name and returns its value, or None if it does not have it."""
    raise NotImplementedError


@_spec
def plugin_startup() -> None:
    """Initialise the plugin. Called once when it is enabled."""
    raise NotImplementedError


@_spec
def plugin_shutdown() -> None:
    """Clean up. Called once when the plugin is disabled, reloaded or unloaded."""
    raise NotImplementedError
