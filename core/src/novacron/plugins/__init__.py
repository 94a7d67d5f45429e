"""The imports for plugin authors: the hook marker and the classes of a driver.

Example:
    >>> class Lifecycle:
    ...     @hookimpl
    ...     def vm_list(self, query): return []
    >>> provider = DriverProvider(name="toy", schemes=("toy",), connect=lambda uri, context: Driver([Lifecycle()]))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.lazy_names import lazy_names

if TYPE_CHECKING:
    from novacron.plugins.application import ApplicationPlugins
    from novacron.plugins.driver import ConnectContext, Destination, Driver, DriverProvider, HostURI, hookimpl
    from novacron.plugins.native import NativeArea

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "application": "ApplicationPlugins",
        "driver": "ConnectContext Destination Driver DriverProvider HostURI hookimpl",
        "native": "NativeArea",
    },
)

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
