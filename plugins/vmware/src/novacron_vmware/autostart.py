"""VMs that a single ESXi starts when it boots. In a vCenter's clusters vSphere HA decides this and ignores the ESXi's list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection

Manager = vim.host.AutoStartManager


def autostarting(connection: VMwareConnection) -> set[Any] | None:
    """Return the VMs that are started with the ESXi; None where nobody can say."""
    if not connection.is_esxi:
        return None
    config = connection.read(_manager(connection), ["config"]).get("config")
    if config is None or not config.defaults or not config.defaults.enabled:
        return set()
    return {entry.key for entry in config.powerInfo or () if str(entry.startAction).lower() == "poweron"}


def set_autostart(connection: VMwareConnection, vm: Any, *, enabled: bool) -> None:
    """Start a VM with the ESXi, or not."""
    entry = Manager.AutoPowerInfo(
        key=vm,
        startOrder=-1,
        startDelay=-1,
        waitForHeartbeat="systemDefault",
        startAction="powerOn" if enabled else "none",
        stopDelay=-1,
        stopAction="systemDefault",
    )
    defaults = vim.host.AutoStartManager.SystemDefaults(enabled=True) if enabled else None
    _manager(connection).ReconfigureAutostart(Manager.Config(defaults=defaults, powerInfo=[entry]))


def _manager(connection: VMwareConnection) -> Any:
    (_, read), *_ = connection.collect(vim.HostSystem, ["configManager.autoStartManager"])
    return read["configManager.autoStartManager"]


__all__ = ["autostarting", "set_autostart"]
