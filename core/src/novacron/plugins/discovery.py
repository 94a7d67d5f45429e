"""Finds drivers by URI scheme and imports only the required one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from novacron.errors import PluginError, UnsupportedOperationError
from novacron.hookspecs import API_VERSION
from novacron.plugins.driver import DriverProvider
from novacron.plugins.entry_points import InstalledEntryPoint, InstalledEntryPoints, installed_entry_points
from novacron.plugins.names import by_name

DRIVER_GROUP = "novacron.drivers"
KNOWN_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {"qemu": "novacron-kvm", "test": "novacron-kvm", "vsphere": "novacron-vmware", "esx": "novacron-vmware"}
)
"""The distributions of drivers that are not installed with the core, by scheme."""

_log = logging.getLogger(__name__)


class DriverRegistry:
    """The drivers of a site: registered ones, installed ones (entry points), and those of application plugins.

    Args:
        offered: returns the current providers of application plugins.
    """

    def __init__(self, offered: Callable[[], Iterable[DriverProvider]] = tuple) -> None:
        self._registered: dict[str, DriverProvider] = {}
        self._offered = offered
        self._installed: InstalledEntryPoints | None = None
        self.checked: set[tuple[type, ...]] = set()

    def __repr__(self) -> str:
        return f"<DriverRegistry, {len(self._registered)} registered>"

    def register(self, provider: DriverProvider) -> None:
        """Register a provider for its schemes, for tests and scripts. It takes precedence over installed ones.

        Raises:
            PluginError: it is not a provider, or it needs another version of the contract.
        """
        check_provider(provider, f"driver {getattr(provider, 'name', provider)!r}")
        for scheme in provider.schemes:
            self._registered[scheme] = provider

    def unregister(self, provider: DriverProvider) -> None:
        """Remove a provider that was registered with `register`."""
        for scheme in [s for s, p in self._registered.items() if p is provider]:
            del self._registered[scheme]

    def entry_points(self) -> InstalledEntryPoints:
        """Return NovaCron's entry points of all installed distributions. They are read once."""
        if self._installed is None:
            self._installed = installed_entry_points()
        return self._installed

    def by_scheme(self) -> dict[str, list[InstalledEntryPoint]]:
        """Return the entry points of each scheme; several if more than one distribution provides it."""
        points: dict[str, list[InstalledEntryPoint]] = {}
        for point in self.entry_points().select(group=DRIVER_GROUP):
            points.setdefault(point.name, []).append(point)
        return points

    def schemes(self) -> list[str]:
        """Return the schemes of all drivers, sorted."""
        return sorted({*self._registered, *self.by_scheme(), *self._of_plugins()})

    def provider_for(self, scheme: str) -> DriverProvider:
        """Return the provider of a URI scheme.

        Raises:
            UnsupportedOperationError: no driver supports the scheme. For known drivers the hint is the pip command.
            PluginError: two distributions provide it, or the driver is broken or needs another version of the contract.
        """
        if scheme in self._registered:
            return self._registered[scheme]
        installed = self.by_scheme()
        points = installed.get(scheme, [])
        if not points:
            offered = self._of_plugins()
            if scheme in offered:
                return offered[scheme]
            raise self._unknown(scheme, installed, offered)
        if len(points) > 1:
            owners = ", ".join(sorted(p.dist.name if p.dist else p.value for p in points))
            raise PluginError(f"the scheme {scheme!r} is claimed by {owners}", hint="uninstall all but one of them")
        try:
            provider: Any = points[0].load()
        except Exception as error:
            raise PluginError(f"driver {points[0].value!r} can't be imported: {error}", hint="reinstall it") from error
        check_provider(provider, f"driver {points[0].value!r}")
        checked: DriverProvider = provider
        return checked

    def _unknown(
        self, scheme: str, installed: dict[str, list[InstalledEntryPoint]], offered: dict[str, DriverProvider]
    ) -> UnsupportedOperationError:
        import difflib

        schemes = sorted({*installed, *self._registered, *offered})
        known = KNOWN_ELSEWHERE.get(scheme.partition("+")[0])
        near = difflib.get_close_matches(scheme, schemes, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "drivers are installed with pip, as novacron-SOMETHING"
        if known and known not in {p.dist.name for points in installed.values() for p in points if p.dist}:
            hint = f"pip install {known}"
        message = f"no driver for the scheme {scheme!r}; installed: {', '.join(schemes) or 'none'}"
        return UnsupportedOperationError(message, hint=hint, outcome="not_sent")

    def _of_plugins(self) -> dict[str, DriverProvider]:
        """Return the providers of application plugins by scheme. Incompatible ones are logged and omitted."""
        found: list[tuple[str, DriverProvider]] = []
        for provider in self._offered():
            try:
                check_provider(provider, f"driver {getattr(provider, 'name', provider)!r}")
            except PluginError:
                _log.exception("a plugin offers a driver that does not fit")
                continue
            found += [(scheme, provider) for scheme in provider.schemes]
        return {scheme: provider for scheme, (_, provider) in by_name("driver", found, name_of=itemgetter(0)).items()}


def check_provider(provider: Any, what: str) -> None:
    """Reject objects that are not providers, and providers for another version of the contract.

    Raises:
        PluginError
    """
    missing = [a for a in ("name", "schemes", "connect", "api") if not hasattr(provider, a)]
    if missing:
        raise PluginError(f"{what} is not a DriverProvider: it lacks {', '.join(missing)}")
    if not _supports(provider.api):
        raise PluginError(
            f"{what} supports the contract {provider.api}, this is {API_VERSION}",
            hint="install matching versions of both",
        )


def _supports(wanted: str) -> bool:
    here = tuple(map(int, API_VERSION.split(".")))
    compare = {">=": "__ge__", "<=": "__le__", "==": "__eq__", ">": "__gt__", "<": "__lt__"}
    for clause in wanted.split(","):
        operator = next((o for o in compare if clause.strip().startswith(o)), None)
        try:
            bound = tuple(map(int, clause.strip().removeprefix(operator or "").split(".")))
        except ValueError:
            return False
        padded = bound + (0,) * (len(here) - len(bound))
        if not operator or not getattr(here, compare[operator])(padded):
            return False
    return True


__all__ = ["DRIVER_GROUP", "DriverRegistry", "check_provider"]
