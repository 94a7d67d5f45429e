"""The imports for plugin authors: the hook marker and the classes of a driver.

Example:
    >>> class Lifecycle:
    ...     @hookimpl
    ...     def vm_list(self, query): return []
    >>> provider = DriverProvider(name="toy", schemes=("toy",), connect=lambda uri, context: Driver([Lifecycle()]))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.plugins.driver import ConnectContext, Destination, Driver, DriverProvider, HostURI, hookimpl
from novacron.plugins.native import NativeArea

if TYPE_CHECKING:
    from novacron.plugins.application import ApplicationPlugins


def __getattr__(name: str) -> Any:
    if name == "ApplicationPlugins":
        from novacron.plugins import application

        return getattr(application, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ApplicationPlugins",
    "ConnectContext",
    "Destination",
    "Driver",
    "DriverProvider",
    "HostURI",
    "NativeArea",
    "hookimpl",
]
