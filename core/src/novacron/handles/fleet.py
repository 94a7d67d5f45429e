"""The registered hosts, known by name."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from novacron.connecting import connect
from novacron.errors import HostNotFoundError
from novacron.handles.host import HostHandle
from novacron.plugins.driver import HostURI
from novacron.store.hosts import HostStore, RegisteredHost
from novacron.store.settings import Settings

if TYPE_CHECKING:
    from novacron.records.nics import MACClash
    from novacron.workflow.run.runs import Runs
    from novacron.workflow.schedules import Schedules


class FleetHosts(Mapping[str, HostHandle]):
    """The fleet's hosts by name; connected when first asked for. Names never do I/O once the fleet is read."""

    def __init__(self, store: HostStore) -> None:
        self._store = store
        self._open: dict[str, HostHandle] = {}
        self._guard = threading.Lock()
        self._names: dict[str, RegisteredHost] | None = None

    def _registered(self, *, fresh: bool = False) -> dict[str, RegisteredHost]:
        if self._names is None or fresh:
            self._names = {host.name: host for host in self._store.list()}
        return self._names

    def __getitem__(self, name: str) -> HostHandle:
        return self.open(name)

    def open(self, name: str, **options: Any) -> HostHandle:
        """Return a host of the fleet, connected, with the driver's options (a password) if that has still to be done.

        Raises:
            HostNotFoundError
            AuthenticationError: its `details["option"]` names the option that was missing.
        """
        with self._guard:
            handle = self._open.get(name)
            if handle is not None and not handle.closed:
                return handle
            known = self._registered().get(name) or self._registered(fresh=True).get(name)
            if known is None:
                raise HostNotFoundError(f"no host named {name!r} in the fleet")
            handle = self._open[name] = connect(known.uri, name=name, **options)
            return handle

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._registered()))

    def __len__(self) -> int:
        return len(self._registered())

    def __contains__(self, name: object) -> bool:
        return name in self._registered()

    def __repr__(self) -> str:
        return f"<hosts {', '.join(self) or 'none'}>"

    def forget(self, name: str) -> None:
        """Close the connection to a host, if there is one, and read the names again."""
        with self._guard:
            handle = self._open.pop(name, None)
            self._names = None
        if handle is not None:
            handle.close()


class Fleet:
    """The hosts registered in the state database; `settings` hold for all processes of it."""

    def __init__(self, store: HostStore | None = None) -> None:
        self._store = store or HostStore()
        self.hosts = FleetHosts(self._store)
        self.settings = Settings()

    @property
    def runs(self) -> Runs:
        """The workflow runs of all processes that share the state database."""
        from novacron.workflow.run.runs import Runs

        return Runs()

    @property
    def schedules(self) -> Schedules:
        """The flows that begin by themselves."""
        from novacron.workflow.schedules import Schedules

        return Schedules()

    def __repr__(self) -> str:
        return f"<Fleet of {len(self.hosts)} hosts>"

    def list(self) -> list[RegisteredHost]:
        """Return name and URI of every host, sorted by name, as the database has them now."""
        return sorted(self.hosts._registered(fresh=True).values(), key=lambda h: h.name)

    def add(self, name: str, uri: str, *, replace: bool = False) -> RegisteredHost:
        """Register a host; nothing is contacted.

        Raises:
            InvalidSpecError: not a URI, or one with a password, or a bad name.
            AlreadyExistsError: the name is taken, unless `replace`.
        """
        HostURI.parse(uri)
        host = self._store.add(name, uri, replace=replace)
        self.hosts.forget(name)
        return host

    def mac_clashes(self) -> Sequence[MACClash]:
        """Look at every NIC of every host and return the MAC addresses that more than one has, sorted by address.

        All addresses that are seen are remembered, so that none of them is given to a new NIC. A clash within a host counts too.

        Raises:
            HostConnectionError: a host can't be asked; what is not looked at could have the clash.
        """
        from concurrent.futures import ThreadPoolExecutor

        from novacron.records.nics import MACClash
        from novacron.store.macs import MACStore

        def look(name: str) -> list[tuple[str, str]]:
            vms = self.hosts[name].vms.list(detail="full").records
            return [(nic.mac.lower(), f"{name}/{vm.name}") for vm in vms for nic in vm.nics or () if nic.mac]

        found: dict[str, list[str]] = {}
        names = [host.name for host in self.list()]
        with ThreadPoolExecutor(min(32, len(names) or 1)) as pool:
            for mac, vm in (each for some in pool.map(look, names) for each in some):
                found.setdefault(mac, []).append(vm)
        MACStore().add(found)
        return [MACClash(mac=mac, vms=tuple(sorted(vms))) for mac, vms in sorted(found.items()) if len(vms) > 1]

    def remove(self, name: str) -> None:
        """Forget a host; its VMs are not touched. Raises HostNotFoundError."""
        self._store.remove(name)
        self.hosts.forget(name)

    def close(self) -> None:
        """Close all connections."""
        for name in list(self.hosts._open):
            self.hosts.forget(name)


@lru_cache(maxsize=1)
def fleet() -> Fleet:
    """Return the fleet of this process."""
    return Fleet()


__all__ = ["Fleet", "FleetHosts", "fleet"]
