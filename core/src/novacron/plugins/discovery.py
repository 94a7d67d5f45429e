"""Finds drivers by URI scheme, importing only the one that serves it."""

from __future__ import annotations

import difflib
import logging
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, TypeGuard

from novacron.errors import PluginError, UnsupportedOperationError
from novacron.hookspecs import API_VERSION
from novacron.plugins.driver import DriverProvider

DRIVER_GROUP = "novacron.drivers"
KNOWN_ELSEWHERE = {
    "qemu": "novacron-kvm", "test": "novacron-kvm", "vsphere": "novacron-vmware", "esx": "novacron-vmware",
}  # fmt: skip

_log = logging.getLogger(__name__)
_registered: dict[str, DriverProvider] = {}


def register_driver(provider: DriverProvider) -> None:
    """Make a provider known for its schemes, before any entry point; for tests and scripts."""
    check_provider(provider, f"driver {getattr(provider, 'name', provider)!r}")
    for scheme in provider.schemes:
        _registered[scheme] = provider


def unregister_driver(provider: DriverProvider) -> None:
    """Forget a provider registered with `register_driver`."""
    for scheme in [s for s, p in _registered.items() if p is provider]:
        del _registered[scheme]


@lru_cache(maxsize=1)
def installed_entry_points() -> EntryPoints:
    """Return the entry points of all installed distributions, read once: looking through them all takes milliseconds."""
    found: EntryPoints = entry_points()  # type: ignore[assignment]  # declared as what Python 3.9 returned
    return found


def is_entry_point(origin: object) -> TypeGuard[EntryPoint]:
    """Whether something is an entry point. Libraries bring a backport of importlib.metadata along, which makes its own kind of them."""
    return isinstance(origin, EntryPoint) or all(hasattr(origin, name) for name in ("group", "value", "load"))


@lru_cache(maxsize=1)
def driver_entry_points() -> dict[str, list[EntryPoint]]:
    """Return the entry points of each scheme; more than one where two distributions claim it."""
    found: dict[str, list[EntryPoint]] = {}
    for point in installed_entry_points().select(group=DRIVER_GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def provider_for(scheme: str) -> DriverProvider:
    """Return the provider of a URI scheme.

    Raises:
        UnsupportedOperationError: nobody serves it; the hint names the pip command for known others.
        PluginError: two distributions claim it, or the driver is broken or of another contract version.
    """
    if scheme in _registered:
        return _registered[scheme]
    points = driver_entry_points().get(scheme, [])
    if not points:
        offered = _offered_by_plugins()
        if scheme in offered:
            return offered[scheme]
        installed = sorted({*driver_entry_points(), *_registered, *offered})
        known = KNOWN_ELSEWHERE.get(scheme.partition("+")[0])
        near = difflib.get_close_matches(scheme, installed, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "drivers are installed with pip, as novacron-SOMETHING"
        if known and known not in {p.dist.name for points in driver_entry_points().values() for p in points if p.dist}:
            hint = f"pip install {known}"
        raise UnsupportedOperationError(
            f"no driver for the scheme {scheme!r}; installed: {', '.join(installed) or 'none'}",
            hint=hint,
            outcome="not_sent",
        )
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


def _offered_by_plugins() -> dict[str, DriverProvider]:
    """Return the providers that application plugins offer, by scheme; those that don't fit are left out and logged."""
    from novacron.plugins.application import application_plugins

    found: dict[str, DriverProvider] = {}
    for provider in application_plugins().drivers():
        try:
            check_provider(provider, f"driver {getattr(provider, 'name', provider)!r}")
        except PluginError:
            _log.exception("a plugin offers a driver that does not fit")
            continue
        found |= dict.fromkeys(provider.schemes, provider)
    return found


def check_provider(provider: Any, what: str) -> None:
    """Refuse what isn't a provider, or one made for another version of the contract.

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


__all__ = [
    "DRIVER_GROUP", "check_provider", "driver_entry_points", "is_entry_point", "provider_for", "register_driver", "unregister_driver",
]  # fmt: skip
