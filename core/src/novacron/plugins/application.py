"""Application plugins: discovers, lists, enables, disables, reloads and unloads them. Broken ones are reported and isolated."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pluggy

from novacron.errors import NotFoundError, PluginError
from novacron.hookspecs import application
from novacron.hookspecs.operation import PROJECT
from novacron.plugins.discovery import DriverRegistry
from novacron.plugins.entry_points import InstalledEntryPoint, is_entry_point
from novacron.plugins.validation import implementations, operations
from novacron.state import StateDirectory, open_private

if TYPE_CHECKING:
    from novacron.plugins.driver import DriverProvider

GROUP = "novacron"


class PluginInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin as `novacron plugin list` shows it."""

    name: str
    kind: Literal["driver", "application"]
    status: Literal["enabled", "disabled", "broken", "available"]
    source: str
    distribution: str | None = None
    version: str | None = None
    error: str | None = None
    hooks: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        result: dict[str, Any] = msgspec.to_builtins(self)
        return result


class ApplicationPlugins:
    """The application plugins of a site. The names of disabled plugins are stored in the state directory.

    Args:
        state: the state directory.
        drivers: the site's drivers, which are listed too.
    """

    def __init__(self, state: StateDirectory | None = None, drivers: DriverRegistry | None = None) -> None:
        self._state, self._registry = state or StateDirectory(), drivers or DriverRegistry(lambda: self.drivers())
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(application)
        self._known: dict[str, PluginInfo] = {}
        self._origins: dict[str, InstalledEntryPoint | Path | object] = {}

    @property
    def hook(self) -> Any:
        """The hooks of all enabled plugins: `hook.register_commands()` collects their results."""
        return self._manager.hook

    def close(self) -> None:
        """Stop all plugins. Disabled plugins stay disabled."""
        for name in list(self._known):
            self._stop(name)

    def load_entry_points(self) -> None:
        """Load the plugins of all installed distributions. A broken plugin does not affect the others."""
        disabled = self._disabled()
        points = self._registry.entry_points().select(group=GROUP)
        owners = Counter(point.name for point in points)
        for point in points:
            self._origins[point.name] = point
            if point.name in disabled:
                self._note(point.name, "disabled")
            elif owners[point.name] > 1:
                claimed = sorted(each.dist.name if each.dist else each.value for each in points if each.name == point.name)
                self._note(
                    point.name,
                    "broken",
                    error=f"the name is claimed by {', '.join(claimed)[:200]}; uninstall all but one of them",
                )
            else:
                self._start(point.name)

    def load_listed(self) -> None:
        """Load the plugins at the paths in `$NOVACRON_PLUGINS`, separated as in `$PATH`. A broken plugin is listed as broken."""
        for path in filter(None, os.environ.get("NOVACRON_PLUGINS", "").split(os.pathsep)):
            try:
                self.load_path(path)
            except PluginError as error:
                name = Path(path).stem
                if name not in self._known:
                    self._origins[name] = Path(path)
                    self._note(name, "broken", error=str(error))

    def drivers(self) -> list[DriverProvider]:
        """Return the driver providers of plugins (`register_drivers`)."""
        return [provider for given in self.hook.register_drivers() for provider in given]

    def load_path(self, path: str | Path, name: str | None = None) -> PluginInfo:
        """Load a plugin from a Python file, or from a folder with an `__init__.py`.

        Raises:
            PluginError: it does not exist, can't be imported, or does not match the contract.
        """
        file = Path(path)
        file = file / "__init__.py" if file.is_dir() else file
        if not file.is_file():
            raise PluginError(f"no plugin at {path}", hint="give a Python file, or a folder with an __init__.py")
        name = name or (file.parent.name if file.name == "__init__.py" else file.stem)
        self._origins[name] = file
        info = self._start(name)
        if info.status == "broken":
            raise PluginError(f"plugin {name!r} is broken: {info.error}")
        return info

    def register(self, plugin: object, name: str) -> PluginInfo:
        """Register a plugin object.

        Raises:
            PluginError: the name is in use, or the plugin does not match the contract.
        """
        if self._manager.has_plugin(name):
            raise PluginError(f"a plugin named {name!r} is already there")
        self._origins[name] = plugin
        info = self._start(name)
        if info.status == "broken":
            raise PluginError(f"plugin {name!r} is broken: {info.error}")
        return info

    def unregister(self, name: str) -> None:
        """Remove a plugin object that `register` added. Nothing happens if there is none of this name."""
        self._stop(name)
        self._known.pop(name, None)
        self._origins.pop(name, None)

    def list(self) -> list[PluginInfo]:
        """Return all application plugins and all drivers, sorted by kind and name."""
        return sorted(
            [*self._known.values(), *_drivers(self._registry), *self._offered_drivers()], key=lambda p: (p.kind, p.name)
        )

    def get(self, name: str) -> PluginInfo:
        """Return one plugin. Raises NotFoundError."""
        found = next((p for p in self.list() if p.name == name), None)
        if found is None:
            raise NotFoundError(f"no plugin named {name!r}", hint="`novacron plugin list` shows them")
        return found

    def enable(self, name: str) -> PluginInfo:
        """Start a disabled plugin, also in future processes."""
        self._origin(name)
        self._remember(name, disabled=False)
        return self._known[name] if self._manager.has_plugin(name) else self._start(name)

    def disable(self, name: str) -> PluginInfo:
        """Stop a plugin, also in future processes."""
        self._origin(name)
        self._remember(name, disabled=True)
        self._stop(name)
        return self._note(name, "disabled")

    def reload(self, name: str) -> PluginInfo:
        """Stop a plugin, import its code again and start it."""
        origin = self._origin(name)
        self._stop(name)
        if is_entry_point(origin):
            for module in [m for m in sys.modules if m == origin.module or m.startswith(f"{origin.module}.")]:
                del sys.modules[module]
        importlib.invalidate_caches()
        return self._start(name)

    def unload(self, name: str) -> None:
        """Stop a plugin and remove it until the next start."""
        self._origin(name)
        self._stop(name)
        del self._origins[name], self._known[name]

    def _offered_drivers(self) -> Iterator[PluginInfo]:
        for provider in self.drivers():
            for scheme in provider.schemes:
                yield PluginInfo(name=scheme, kind="driver", status="available", source=f"plugin, driver {provider.name}")

    def _origin(self, name: str) -> Any:
        if name not in self._origins:
            raise NotFoundError(f"no application plugin named {name!r}", hint="`novacron plugin list` shows them")
        return self._origins[name]

    def _start(self, name: str) -> PluginInfo:
        try:
            plugin = self._import(name)
            _check(name, plugin)
            self._manager.register(plugin, name)
            startup = getattr(plugin, "plugin_startup", None)
            if startup:
                startup()
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it is reported and the rest works
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            return self._note(name, "broken", error=f"{type(error).__name__}: {error}")
        return self._note(name, "enabled", hooks=tuple(sorted(n for n, _ in implementations(plugin))))

    def _stop(self, name: str) -> None:
        if not self._manager.has_plugin(name):
            return
        plugin = self._manager.unregister(name=name)
        shutdown = getattr(plugin, "plugin_shutdown", None)
        if shutdown:
            try:
                shutdown()
            except Exception as error:  # noqa: BLE001 - as at the start
                self._note(name, "broken", error=f"{type(error).__name__}: {error}")

    def _import(self, name: str) -> Any:
        origin = self._origin(name)
        if is_entry_point(origin):
            return origin.load()
        if isinstance(origin, Path):
            return _import_file(name, origin)
        return origin

    def _note(self, name: str, status: Any, **more: Any) -> PluginInfo:
        origin = self._origins[name]
        dist = origin.dist if is_entry_point(origin) else None
        source = origin.value if is_entry_point(origin) else str(origin)
        info = PluginInfo(
            name=name,
            kind="application",
            status=status,
            source=source,
            distribution=dist.name if dist else None,
            version=dist.version if dist else None,
            **more,
        )
        self._known[name] = info
        return info

    def _disabled(self) -> set[str]:
        try:
            return set(json.loads((self._state / "plugins.json").read_text())["disabled"])
        except (OSError, ValueError, KeyError):
            return set()

    def _remember(self, name: str, *, disabled: bool) -> None:
        names = self._disabled() | {name} if disabled else self._disabled() - {name}
        descriptor = open_private(self._state.create() / "plugins.json", os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"disabled": sorted(names)}, file)


def _check(name: str, plugin: object) -> None:
    offered = {n for n in dir(application) if hasattr(getattr(application, n), f"{PROJECT}_spec")}
    for hook, _ in implementations(plugin):
        if hook in operations():
            raise PluginError(f"plugin {name!r} implements the operation {hook!r}; only the host's driver may")
        if hook not in offered:
            raise PluginError(f"plugin {name!r} implements {hook!r}, which is no hook; there are {', '.join(sorted(offered))}")


def _import_file(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"novacron_plugin_{name}", file)
    if spec is None or spec.loader is None:
        raise PluginError(f"{file} is not Python")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _drivers(registry: DriverRegistry) -> Iterator[PluginInfo]:
    for scheme, points in sorted(registry.by_scheme().items()):
        clash = None if len(points) == 1 else "claimed by more than one distribution"
        for point in points:
            dist = point.dist
            yield PluginInfo(
                name=scheme,
                kind="driver",
                status="broken" if clash else "available",
                source=point.value,
                error=clash,
                distribution=dist.name if dist else None,
                version=dist.version if dist else None,
            )


__all__ = ["ApplicationPlugins", "PluginInfo"]
