"""Locks shared by all machines that use the same PostgreSQL database. The server releases them when a process or its machine ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from novacron.errors import StorageError

if TYPE_CHECKING:
    from novacron.store.database import Database

PAUSE = 0.02
"""Seconds between two tries to get a lock."""
ONE_ANSWER = 1.0
"""Seconds that the server may take for an answer to another thread, also if the caller would not wait for a lock."""
KEEPALIVE = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
"""How the server notices a machine that lost its power or its network: 25 s after its last answer, and not after two hours."""


class AdvisoryLocks:
    """Locks by key, as advisory locks of PostgreSQL. With SQLite there are none: that database is of one machine.

    All locks of a site are held on one connection, outside of transactions: a long operation keeps no transaction open, and a VM may have
    more files than a server has connections.

    Args:
        url: returns the address of the state database. It is asked first, so that nothing is loaded for SQLite.
        database: returns the state database.
    """

    def __init__(self, url: Callable[[], str], database: Callable[[], Database]) -> None:
        self._url, self._database = url, database
        self._guard = threading.Lock()
        self._held: dict[int, Any] = {}
        self._connection: Any = None
        self._doubtful = False
        """Whether a statement failed on the connection: a lock that nobody holds may be left on it."""

    @contextmanager
    def hold(self, key: str, remaining: Callable[[], float], refuse: Callable[[], BaseException]) -> Iterator[None]:
        """Hold a lock during the block.

        Args:
            key: name of the lock.
            remaining: returns the remaining time to wait, in seconds.
            refuse: returns the error to raise when no time is left.

        While the database can't be reached, nobody gets a lock.
        """
        if self._url().startswith("sqlite"):
            yield
            return
        import hashlib

        number = int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:8], "big", signed=True)
        while not self._try(number, remaining):
            if remaining() <= 0:
                raise refuse()
            time.sleep(PAUSE)
        try:
            yield
        finally:
            self._release(number)

    def _try(self, number: int, remaining: Callable[[], float]) -> bool:
        """Try to get a lock, and return whether it was free and the database can be reached."""
        import sqlalchemy as sa

        if not self._guard.acquire(timeout=min(max(remaining(), ONE_ANSWER), threading.TIMEOUT_MAX)):
            return False  # another thread waits for the server
        try:
            if number in self._held:  # the server would give it to the same connection again
                return False
            free = False
            try:
                connection = self._connected()
                free = bool(connection.execute(sa.select(sa.func.pg_try_advisory_lock(number))).scalar_one())
                if free:
                    self._held[number] = connection
            except (StorageError, sa.exc.SQLAlchemyError):
                self._doubtful = True
            finally:
                self._tidy()
            return free
        finally:
            self._guard.release()

    def _release(self, number: int) -> None:
        """Release a lock. If its connection was lost, the server has released it."""
        import sqlalchemy as sa

        with self._guard:
            connection = self._held.pop(number)
            if connection is self._connection:
                try:
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(number)))
                except sa.exc.SQLAlchemyError:
                    self._doubtful = True
            self._tidy()

    def _connected(self) -> Any:
        """Return the connection of all locks."""
        import sqlalchemy as sa

        if self._connection is None:
            self._connection = self._database().connect()
            setting: sa.ColumnClause[str] = sa.column("name", sa.Text)
            value = sa.case(KEEPALIVE, value=setting)
            known = sa.select(sa.func.set_config(setting, value, False)).select_from(sa.table("pg_settings"))
            self._connection.execute(known.where(setting.in_(KEEPALIVE)))  # an old server does not know all of them
        return self._connection

    def _tidy(self) -> None:
        """Give the connection back when no lock is held on it. One that was lost, or on which a lock may be left, is ended."""
        import sqlalchemy as sa

        connection = self._connection
        if connection is None or (not connection.invalidated and connection in self._held.values()):
            return
        doubtful, self._connection, self._doubtful = self._doubtful, None, False
        with suppress(sa.exc.SQLAlchemyError):
            if doubtful or connection.invalidated:
                connection.invalidate()
            connection.close()


__all__ = ["AdvisoryLocks"]
