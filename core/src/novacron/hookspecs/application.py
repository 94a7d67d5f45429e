"""The hooks of plugins that are no drivers. Each may be implemented by many plugins; the results are gathered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pluggy

from novacron.hookspecs.operation import PROJECT

_spec = pluggy.HookspecMarker(PROJECT)


@_spec
def register_drivers() -> Sequence[Any]:
    """Return driver providers (`novacron.plugins.DriverProvider`) for schemes that no entry point names."""
    raise NotImplementedError


@_spec
def register_policies() -> Sequence[Callable[..., Any]]:
    """Return policies, middleware `policy(call, proceed)` around every operation; `policy.stage` ("access", ...) orders them."""
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
    """Return places that secrets come from: each is asked with a secret's name and returns its value, or None when it has none."""
    raise NotImplementedError


@_spec
def plugin_startup() -> None:
    """Called once when the plugin is enabled."""
    raise NotImplementedError


@_spec
def plugin_shutdown() -> None:
    """Called once when the plugin is disabled, reloaded or unloaded."""
    raise NotImplementedError
