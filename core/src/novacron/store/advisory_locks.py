"""Locks shared by all machines that use the same PostgreSQL database. The server releases them when a process or its machine ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from novacron.errors import StorageError

if TYPE_CHECKING:
    from novacron.store.database import Database

PAUSE = 0.02
"""Seconds between two tries to get a lock."""


class AdvisoryLocks:
    """Locks by key, as advisory locks of PostgreSQL. With SQLite there are none: that database is of one machine.

    Args:
        url: returns the address of the state database. It is asked first, so that nothing is loaded for SQLite.
        database: returns the state database.
    """

    def __init__(self, url: Callable[[], str], database: Callable[[], Database]) -> None:
        self._url, self._database = url, database

    @contextmanager
    def hold(self, key: str, remaining: Callable[[], float], refuse: Callable[[], BaseException]) -> Iterator[None]:
        """Hold a lock during the block, on a connection of its own.

        Args:
            key: name of the lock.
            remaining: returns the remaining time to wait, in seconds.
            refuse: returns the error to raise when no time is left.

        While the database can't be reached, nobody gets a lock.
        """
        if self._url().startswith("sqlite"):
            yield
            return
        database = self._database()
        with ExitStack() as held:
            while not self._try(database, key, held):
                if remaining() <= 0:
                    raise refuse()
                time.sleep(PAUSE)
            try:
                yield
            finally:
                with suppress(StorageError):  # a server that was stopped has released the lock
                    held.close()

    def _try(self, database: Database, key: str, held: ExitStack) -> bool:
        """Try to get the lock in a transaction that `held` ends, and return whether it was free and the database can be reached."""
        import hashlib

        import sqlalchemy as sa

        number = int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:8], "big", signed=True)
        with ExitStack() as undo:
            try:
                connection = undo.enter_context(database.transaction())
                free = bool(connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(number))).scalar_one())
            except (StorageError, sa.exc.DBAPIError):
                return False
            if free:
                held.enter_context(undo.pop_all())
            return free


__all__ = ["AdvisoryLocks"]
