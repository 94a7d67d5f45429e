"""Opens the state database and makes its tables."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
import tenacity

from novacron.errors import StorageError
from novacron.redaction import redacted
from novacron.state import state_directory
from novacron.store.tables import metadata


def database_url() -> str:
    """Return `$NOVACRON_DATABASE`, otherwise SQLite in the state directory."""
    told = os.environ.get("NOVACRON_DATABASE")
    if told:
        return told.replace("postgresql://", "postgresql+psycopg://", 1).replace("postgres://", "postgresql+psycopg://", 1)
    return f"sqlite:///{state_directory(create=True) / 'state.db'}"


def clock(connection: sa.Connection) -> Any:
    """Return the time by the database's clock, the one that all its processes share: a value, or an expression."""
    if connection.dialect.name == "sqlite":  # all its processes are on one machine
        return time.time()
    return sa.extract("epoch", sa.func.clock_timestamp()).cast(sa.Float)


@contextmanager
def transaction() -> Iterator[sa.Connection]:
    """Open a transaction on the state database.

    Raises:
        StorageError: it can't be opened, is locked or full.
    """
    url = database_url()
    try:
        with _engine(url).begin() as connection:
            yield connection
    except (sa.exc.OperationalError, sa.exc.DatabaseError) as error:
        if isinstance(error, sa.exc.IntegrityError):
            raise
        raise StorageError(
            f"the state database can't be used: {redacted(str(error.orig or error))}",
            hint="check the state directory or NOVACRON_DATABASE; another process may hold it",
        ) from error


@lru_cache(maxsize=4)
def _engine(url: str) -> sa.Engine:
    arguments: dict[str, Any] = {"connect_args": {"timeout": 15}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    engine = sa.create_engine(url, pool_size=8, max_overflow=64, **arguments)
    if url.startswith("sqlite"):
        sa.event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA journal_mode=WAL"))
    _make_tables(engine)
    if url.startswith("sqlite:///") and os.path.exists(url.removeprefix("sqlite:///")):
        os.chmod(url.removeprefix("sqlite:///"), 0o600)
    return engine


class SQLiteConnection(sqlite3.Connection):
    """A connection that knows `unixepoch('subsec')`, which SQLite has since 3.42 and DBOS's tables need; Debian 12 has 3.40."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        if sqlite3.sqlite_version_info < (3, 42):
            self.create_function("unixepoch", 1, _unixepoch)


def _unixepoch(precision: str) -> float:
    if precision != "subsec":
        raise ValueError(precision)
    return time.time()


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(sa.exc.DBAPIError), stop=tenacity.stop_after_attempt(5),
    wait=tenacity.wait_random(0.05, 0.5), reraise=True,
)  # fmt: skip
def _make_tables(engine: sa.Engine) -> None:
    """Make the tables that are missing; another process may be making them at this moment, so that a second look finds them."""
    metadata.create_all(engine)


__all__ = ["SQLiteConnection", "clock", "database_url", "transaction"]
