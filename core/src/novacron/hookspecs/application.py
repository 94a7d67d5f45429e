"""The hooks of application plugins, which are not drivers. Many plugins may implement a hook; their results are combined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import pluggy

from novacron.hookspecs.operation import PROJECT
from novacron.records.alerts import Notification
from novacron.records.fencing import FenceTarget, PowerStatus
from novacron.records.series import MetricDefinition, Sample

_spec = pluggy.HookspecMarker(PROJECT)


class MetricSource(Protocol):
    """Metrics that a plugin measures. The collector calls `collect` once in each interval, in a thread, with a deadline.

    Attributes:
        name: the source's name for messages; the limit of series and the metrics about sources use it.
    """

    name: str

    def definitions(self) -> Sequence[MetricDefinition]:
        """Return what the source measures."""
        raise NotImplementedError

    def collect(self) -> Sequence[Sample]:
        """Return the current values. An exception makes the source unavailable for this interval and affects no other."""
        raise NotImplementedError


class AlertSink(Protocol):
    """Delivers notifications. `send` is called again with the same `Notification.key` until it returns.

    Attributes:
        name: the name that routes of alerts use.
    """

    name: str

    def send(self, notification: Notification) -> None:
        """Deliver a notification. An exception means that it was not delivered; it is then sent again later."""
        raise NotImplementedError


class FenceAgent(Protocol):
    """Switches nodes off through a kind of device. It never restarts a node: `off` only switches it off.

    Attributes:
        name: the agent's name, as `novacron fence set` uses it.
        required: the options that a device needs.
        optional: the other options; None accepts any.
    """

    name: str
    required: Sequence[str]
    optional: Sequence[str] | None

    def off(self, target: FenceTarget) -> None:
        """Switch the node off, also if it is off already. It may return before the node is off; `status` is then read until it is.

        Raises:
            NovaCronError: the device refused it or did not answer. The node may be off nevertheless.
        """
        raise NotImplementedError

    def status(self, target: FenceTarget) -> PowerStatus:
        """Return "off" only if the node has certainly no power, "on" if it has or still may have, otherwise "unknown".

        Raises:
            NovaCronError: the device can't be asked. This counts as "unknown".
        """
        raise NotImplementedError


class MetricExporter(Protocol):
    """Receives all samples of each interval, for example to write them to another database.

    Attributes:
        name: the exporter's name for messages.
    """

    name: str

    def export(self, at: float, samples: Sequence[Sample]) -> None:
        """Receive the samples of the interval that was measured `at` (seconds since 1970)."""
        raise NotImplementedError


class ShellExtension(Protocol):
    """What a plugin can add to a session of the interactive shell.

    Attributes:
        names: the Python names of the session; add to it or change it.
    """

    names: dict[str, Any]

    def add_command(self, command: Any) -> None:
        """Add a click command or group as a `:` command. Raises AlreadyExistsError if the shell has one of that name."""
        raise NotImplementedError

    def add_completer(self, name: str, complete: Callable[[str], Iterable[str]]) -> None:
        """Add a completer. It receives the text before the cursor, runs in a thread and has 0.25 s.

        Args:
            name: its name for messages.
            complete: returns texts that may stand in place of the word before the cursor.
        """
        raise NotImplementedError

    def add_display(self, kind: type, draw: Callable[[Any], Any]) -> None:
        """Show values of a class by what `draw` returns: text, or anything that rich can print; None for the usual display."""
        raise NotImplementedError

    def add_key(self, key: str, action: Callable[[], object], about: str) -> None:
        """Call `action` when a key is pressed, such as "f6" or "c-t" (as prompt_toolkit names them).

        Raises:
            InvalidSpecError: there is no such key.
        """
        raise NotImplementedError

    def add_toolbar_item(self, item: Callable[[], str]) -> None:
        """Show a text in the toolbar. `item` is called at each redraw, so it must return at once and do no I/O."""
        raise NotImplementedError


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
def extend_shell(shell: ShellExtension) -> None:
    """Add names, commands, completers, displays, keys and items of the toolbar to the interactive shell. Called when it starts."""
    raise NotImplementedError


@_spec
def secret_backends() -> Sequence[Callable[[str], str | None]]:
    """Return functions that look up secrets. Each takes a secret's name and returns its value, or None if it does not have it."""
    raise NotImplementedError


@_spec
def metric_sources() -> Sequence[MetricSource]:
    """Return sources of further metrics. Called when a collector starts."""
    raise NotImplementedError


@_spec
def metric_exporters() -> Sequence[MetricExporter]:
    """Return receivers of all collected samples. Called when a collector starts."""
    raise NotImplementedError


@_spec
def alert_sinks() -> Sequence[AlertSink]:
    """Return sinks that deliver notifications about alerts. Called when a notifier starts."""
    raise NotImplementedError


@_spec
def alert_rules() -> Sequence[dict[str, Any]]:
    """Return alert rules with the fields of `novacron.monitoring.rules.Rule`: `{"alert": ..., "expr": ..., "for": "5m"}`."""
    raise NotImplementedError


@_spec
def placement_filters() -> Sequence[Callable[..., str | None]]:
    """Return filters for placement: functions `filter(request, node, view)`.

    Each returns the reason why the node can't take the VM, or None if it can. `request.taker` is the VM (name, tags, amounts), `node` a
    `FleetNode`, and `view` a `FleetView`.
    """
    raise NotImplementedError


@_spec
def placement_weighers() -> Sequence[Callable[..., Sequence[float]]]:
    """Return weighers for placement: functions `weigher(request, nodes, view)` that return one score for each node; higher is better.

    The scores are scaled to 0..1 and multiplied by the function's attribute `weight`, or by 1.
    """
    raise NotImplementedError


@_spec
def balancers() -> Sequence[Callable[..., Iterable[tuple[str, str]]]]:
    """Return balancers: functions `balancer(group)` that propose migrations, for a group whose setting `balancer` is the function's name.

    `group` is a `novacron.fleets.balancers.BalancedGroup`. Each proposal is the id of a VM and the id of the node that it moves to, the
    most useful first. A proposal that a filter, a rule, the cool-down or a pre-check does not allow is left out.
    """
    raise NotImplementedError


@_spec
def forecasters() -> Sequence[Callable[[Sequence[float], int, int], Sequence[float]]]:
    """Return forecasters: functions `forecaster(values, count, season)` that continue values of equal steps.

    Each returns `count` values, or raises ValueError if there are too few. `season` is the number of values in a day. The function's
    name is the name of the method. The method with the smallest error on data that it has not seen is used.
    """
    raise NotImplementedError


@_spec
def fence_agents() -> Sequence[FenceAgent]:
    """Return fence agents, which switch nodes off before their VMs are restarted elsewhere."""
    raise NotImplementedError


@_spec
def plugin_startup() -> None:
    """Initialise the plugin. Called once when it is enabled."""
    raise NotImplementedError


@_spec
def plugin_shutdown() -> None:
    """Clean up. Called once when the plugin is disabled, reloaded or unloaded."""
    raise NotImplementedError
