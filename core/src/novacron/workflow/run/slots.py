"""Limits how many migrations a host takes part in at a time."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from novacron.errors import StorageError
from novacron.workflow.run.patience import Patience

if TYPE_CHECKING:
    from novacron.store.migration_slots import MigrationSlots
    from novacron.workflow.context import Context

POLL = 0.3
"""Seconds between two looks for a free slot."""
LIMIT = 2
"""Migrations of a host at a time where no database says otherwise."""


class Slots(Protocol):
    """Hands out the right to migrate."""

    def migrating(self, context: Context, hosts: Mapping[str, str]) -> AbstractContextManager[None]:
        """Wait until all hosts, names by URI, have a free slot, and hold it. Raises the reason if the run is stopped."""
        ...


class LocalSlots:
    """Slots of one process.

    Args:
        limit: migrations of a host at a time.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit, self._taken, self._guard = limit, Counter[str](), threading.Lock()

    @contextmanager
    def migrating(self, context: Context, hosts: Mapping[str, str]) -> Iterator[None]:
        """Wait until all hosts have a free slot, and hold it."""
        while not self._take(hosts):
            context.report(f"waits: {', '.join(hosts.values())} has {self._limit} migrations under way")
            context.wait(POLL)
        try:
            yield
        finally:
            with self._guard:
                self._taken.subtract(list(hosts))

    def _take(self, hosts: Collection[str]) -> bool:
        with self._guard:
            if any(self._taken[uri] >= self._limit for uri in hosts):
                return False
            self._taken.update(list(hosts))
            return True


class SharedSlots:
    """Slots of all processes of a state database; the setting `migrations_per_host` is the limit.

    Args:
        store: where the migrations under way are stored.
        process: returns the id of this process.
        alive: returns the ids of the processes that are alive.
        patience: how long the database is waited for.
    """

    def __init__(
        self, store: MigrationSlots, process: Callable[[], str], alive: Callable[[], Collection[str]], patience: Patience
    ) -> None:
        self._store, self._process, self._alive, self._patience = store, process, alive, patience
        self._ended = set[str]()

    @contextmanager
    def migrating(self, context: Context, hosts: Mapping[str, str]) -> Iterator[None]:
        """Wait until all hosts have a free slot, and hold it. The hosts and VMs that are waited for are reported."""
        migration, name = uuid.uuid4().hex, context.ref.name or context.ref.id
        self._release()
        while full := self._patience.call(self._store.take, migration, name, hosts, self._process(), set(self._alive())):
            context.report(f"waits: {full}")
            context.wait(POLL)
            self._release()  # the slot that is waited for may be one of those
        try:
            yield
        finally:
            self._ended.add(migration)
            self._release()

    def _release(self) -> None:
        """Release the slots of migrations that have ended. While the database is away, the next migration does it."""
        with suppress(StorageError):  # what the migration did counts, not whether its slot could be released
            for migration in tuple(self._ended):
                self._patience.call(self._store.release, migration)
                self._ended.discard(migration)


__all__ = ["LIMIT", "POLL", "LocalSlots", "SharedSlots", "Slots"]
