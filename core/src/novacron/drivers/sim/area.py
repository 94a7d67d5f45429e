"""What all areas of the simulated driver share: the connection, the host's state, and faults around every operation."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from novacron.dispatch.call import resource_of
from novacron.drivers.sim.state.broadcast import Subscription
from novacron.drivers.sim.state.disks import sized
from novacron.drivers.sim.state.machine import SimVM
from novacron.drivers.sim.state.nics import addressed
from novacron.drivers.sim.state.world import World
from novacron.errors import BusyError, HostConnectionError, InvalidStateError, VMNotFoundError
from novacron.jobs import Job
from novacron.plugins.driver import hookimpl
from novacron.plugins.validation import operations
from novacron.records.vm import VM
from novacron.secrets import Secrets

F = TypeVar("F", bound=Callable[..., Any])


class SimConnection:
    """One connection to a simulated host, with the name that the user gave the host."""

    def __init__(self, world: World, name: str, uri: str, secrets: Secrets | None = None) -> None:
        self.world, self.name, self.uri = world, name, uri
        self.secrets = secrets or Secrets()
        self.subscriptions: list[Subscription] = []
        self.closed = False

    def close(self) -> None:
        """Close the connection. The VMs of the host keep running."""
        self.closed = True
        for subscription in self.subscriptions:
            subscription.close()


class Area:
    """The base class of the area objects."""

    def __init__(self, connection: SimConnection) -> None:
        self.connection = connection
        self.world = connection.world

    def record(self, vm: SimVM, *, full: bool = True) -> VM:
        """Return the record of a VM; with `full`, it has the current sizes of its volumes and addresses of its NICs."""
        name, node = self.connection.name, self.world.name
        if not full:
            return vm.record(name, node, full=False)
        return vm.record(name, node, disks=sized(self.world, vm), nics=addressed(self.world, vm))

    def look(self, key: str) -> SimVM:
        """Return a VM for reading. Raises VMNotFoundError."""
        vm = self.world.look(key)
        if vm is None:
            raise VMNotFoundError(f"no VM {key!r}", resource=key)
        return vm

    def changing(self, key: str, action: str, *allowed: str) -> SimVM:
        """Return a VM to be changed, if its status is allowed (any status if none is given).

        Raises:
            VMNotFoundError
            InvalidStateError: the VM has another status.
            BusyError: the VM is being migrated.
        """
        vm = self.world.find(key)
        if vm.migration is not None:
            raise BusyError(
                f"can't {action} {vm.name!r}: it is being migrated", resource=vm.name, hint="wait, or cancel the migration"
            )
        if allowed and vm.status not in allowed:
            raise InvalidStateError.of_status(action, vm.name, vm.status, allowed)
        return vm

    def refuse_unknown_secrets(self, *encryptions: str | None) -> None:
        """Look up the passphrase of each encrypted disk. Raises SecretNotFoundError."""
        for name in filter(None, encryptions):
            self.connection.secrets.get(name)

    def checkpoint(self, operation: str, *names: str, job: Job[Any] | None = None) -> None:
        """Trigger a fault that was set to happen "during" the operation. Cancelling the job ends a fault that hangs."""
        self.world.faults.strike(operation, "during", names, job)


def simulated(function: F) -> F:
    """Mark a method as the implementation of a hook, with simulated latency and faults."""
    operation = function.__name__
    code = function.__code__
    arguments = code.co_varnames[1 : code.co_argcount]

    @functools.wraps(function)
    def perform(self: Area, *args: Any, **named: Any) -> Any:
        connection = self.connection
        if connection.closed:
            raise HostConnectionError(
                f"the connection to {connection.name!r} is closed", outcome="not_sent", hint="connect again"
            )
        faults = connection.world.faults
        given = dict(zip(arguments, args, strict=False)) | named
        effect = functools.partial(function, self, *args, **named)
        with connection.world.occupied(given.get("vm") if not operations()[operation].reads else None):
            return faults.around(operation, _names(connection.world, given), given.get("job"), effect)

    return cast(F, hookimpl(perform))


def _names(world: World, given: dict[str, Any]) -> tuple[str, ...]:
    """Return the names by which faults can select the operation's resource: a VM has a name and a UUID."""
    resource = resource_of(given)
    if resource is None:
        return ()
    vm = world.look(resource) if "vm" in given else None
    return (vm.name, vm.id) if vm is not None else (resource,)


__all__ = ["Area", "SimConnection", "simulated"]
