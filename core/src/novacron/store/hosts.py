"""The hosts of the fleet in the state database. Reading them from SQLite does not import SQLAlchemy."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from novacron.errors import AlreadyExistsError, HostNotFoundError, InvalidSpecError, SpecProblem
from novacron.store.base import Store
from novacron.store.quick import is_private, read_rows, sqlite_file

if TYPE_CHECKING:
    from novacron.store.database import Database


class RegisteredHost(msgspec.Struct, frozen=True):
    """A host of the fleet, as stored in the database."""

    name: str
    uri: str
    added_at: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return plain values."""
        return {"name": self.name, "uri": self.uri, "added_at": self.added_at}


class HostStore(Store):
    """Reads and writes the fleet's hosts.

    Args:
        database: the state database, see `Store`.
        url: returns the URL of the state database; None if only `database` is to be used.
    """

    def __init__(self, database: Database | Callable[[], Database], url: Callable[[], str] | None = None) -> None:
        super().__init__(database)
        self._url = url

    def list(self) -> list[RegisteredHost]:
        """Return all hosts, sorted by name. Raises StorageError."""
        file = None if self._url is None else sqlite_file(self._url())
        if file is not None and is_private(file):
            return [RegisteredHost(*row) for row in read_rows(file, "SELECT name, uri, added_at FROM hosts ORDER BY name")]
        from novacron.store.tables import hosts

        with self.transaction() as connection:
            rows = connection.execute(hosts.select().order_by(hosts.c.name))
            return [RegisteredHost(row.name, row.uri, row.added_at) for row in rows]

    def add(self, name: str, uri: str, *, replace: bool = False) -> RegisteredHost:
        """Store a host. Raises InvalidSpecError, AlreadyExistsError."""
        from novacron.store.tables import hosts

        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", name):
            raise InvalidSpecError("invalid host name", problems=[SpecProblem("name", name, "1 to 128 letters, digits, `_ . -`")])
        host = RegisteredHost(name, uri, datetime.now(UTC).isoformat(timespec="seconds"))
        with self.transaction() as connection:
            if connection.execute(hosts.select().where(hosts.c.name == name)).first():
                if not replace:
                    raise AlreadyExistsError(f"the fleet has a host named {name!r}", hint="remove it first, or give another name")
                connection.execute(hosts.delete().where(hosts.c.name == name))
            connection.execute(hosts.insert().values(name=name, uri=uri, added_at=host.added_at))
        return host

    def remove(self, name: str) -> None:
        """Remove a host. Raises HostNotFoundError."""
        from novacron.store.tables import hosts

        with self.transaction() as connection:
            if not connection.execute(hosts.delete().where(hosts.c.name == name)).rowcount:
                raise HostNotFoundError(f"no host named {name!r} in the fleet")


__all__ = ["HostStore", "RegisteredHost"]
