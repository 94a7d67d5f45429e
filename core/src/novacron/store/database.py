"""Opens the state database and creates its tables."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
import tenacity

from novacron.errors import StorageError
from novacron.redaction import redacted
from novacron.state import StateDirectory
from novacron.store.encryption import Encryption
from novacron.store.location import FILE, database_url
from novacron.store.tables import add_missing_columns, metadata

PING_AFTER = 1.0
"""Seconds without use after which a connection to PostgreSQL is checked before its next use. A check is one round trip."""
TIMEOUTS = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
"""How a client of PostgreSQL notices that the server's machine lost its power or its network, as parameters of libpq.

It is 25 s after its last answer: that is when the server gives up a client that holds locks (`advisory_locks.KEEPALIVE`). Without it, a
statement would wait for a quarter of an hour or longer. Those in the URL count more.
"""


class Database:
    """The state database of a site.

    Args:
        url: its URL. None means `$NOVACRON_DATABASE`, or else SQLite in the state directory. The environment is read each time.
        state: the state directory.
        secret: returns a secret by its name and environment variable, or None, as `Secrets.find` does: the key of secret values.
    """

    def __init__(
        self,
        url: str | None = None,
        state: StateDirectory | None = None,
        secret: Callable[[str, str], str | None] | None = None,
    ) -> None:
        self._url, self._state = url, state or StateDirectory()
        self._encryption = Encryption(self._state, secret)
        self._engines: dict[str, sa.Engine] = {}
        self._guard = threading.Lock()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Database{' closed' if self._closed else ''}>"

    @property
    def url(self) -> str:
        """The URL of the database. It may contain a password, so never show it."""
        return database_url(self._url, self._state)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Open a transaction. It is committed at the end of the block, or rolled back if the block raises.

        Raises:
            StorageError: the database can't be opened, is locked or full, or the site is closed.
        """
        with _translated(), self._engine().begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a connection whose statements are transactions of their own. They must only read.

        PostgreSQL then has one round trip for each statement instead of three for each transaction.

        Raises:
            StorageError: as `transaction` does.
        """
        with _translated(), self.connect() as connection:
            yield connection

    def connect(self) -> sa.Connection:
        """Return a connection whose statements are transactions of their own. The caller closes it.

        Raises:
            StorageError: as `transaction` does.
        """
        with _translated():
            return self._engine().connect().execution_options(isolation_level="AUTOCOMMIT")

    def close(self) -> None:
        """Close all connections to the database."""
        with self._guard:
            engines, self._engines, self._closed = list(self._engines.values()), {}, True
        for engine in engines:
            engine.dispose()

    def _engine(self) -> sa.Engine:
        url = self.url
        with self._guard:
            if self._closed:
                raise StorageError("the site is closed", outcome="not_sent", hint="make another Site")
            engine = self._engines.get(url)
            if engine is None:
                engine = self._engines[url] = self._open(url)
            return engine

    def _open(self, url: str) -> sa.Engine:
        sqlite = url.startswith("sqlite")
        if url == f"sqlite:///{self._state / FILE}":
            self._state.private_file(FILE)
        arguments: dict[str, Any] = {"connect_args": {"timeout": 15}} if sqlite else {}
        if not sqlite:
            arguments["connect_args"] = _timeouts(url)
        arguments |= {"json_serializer": _Dumps(self._encryption), "json_deserializer": _Loads(self._encryption)}
        try:
            engine = sa.create_engine(url, pool_size=8, max_overflow=64, **arguments)
        except (sa.exc.ArgumentError, ImportError) as error:
            raise StorageError("the URL of the state database is invalid", hint="check NOVACRON_DATABASE") from error
        if sqlite:
            sa.event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA journal_mode=WAL"))
        else:
            _check_unused(engine)
        try:
            _make_tables(engine)
        except BaseException:
            engine.dispose()
            raise
        return engine


def _timeouts(url: str) -> dict[str, str]:
    """Return what neither the URL nor the environment says of the times after which a client gives up a server."""
    try:
        given = sa.make_url(url)
    except sa.exc.ArgumentError:
        return {}  # told when the engine is made
    if not given.drivername.startswith("postgresql+psycopg"):
        return {}
    left = {name: value for name, value in TIMEOUTS.items() if name not in given.query}
    if "PGCONNECT_TIMEOUT" in os.environ:
        left.pop("connect_timeout", None)
    return left


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.DatabaseError) as error:
        if isinstance(error, sa.exc.IntegrityError):
            raise
        raise StorageError(
            f"the state database can't be used: {redacted(str(error.orig or error))}",
            hint="check the state directory or NOVACRON_DATABASE; another process may have locked it",
        ) from error


class _Codec:
    """One function of a site's encryption, for the driver of the database.

    psycopg keeps the functions for JSON as long as the process runs. It finds them again by their code, which the methods of all sites
    share, and it warns of functions with a closure. Objects are found by their identity, and this one lets the keys of a closed site go.
    """

    def __init__(self, encryption: Encryption) -> None:
        self._reference = weakref.ref(encryption)

    @property
    def _encryption(self) -> Encryption:
        encryption = self._reference()
        if encryption is None:
            raise StorageError("the site is closed", outcome="not_sent", hint="make another Site")
        return encryption


class _Dumps(_Codec):
    def __call__(self, value: Any) -> str:
        return self._encryption.dumps(value)


class _Loads(_Codec):
    def __call__(self, text: str | bytes) -> Any:
        return self._encryption.loads(text)


@contextmanager
def last_statements(connection: sa.Connection) -> Iterator[None]:
    """Run the last statements of a transaction; none of them may have a result. The transaction is committed at the end of the block.

    PostgreSQL gets all of them and the commit in one round trip (psycopg's pipeline mode), because each round trip takes longer than its
    statement, and other claims on the node wait meanwhile. SQLite needs no round trips; there this does nothing, and the transaction is
    committed by `Database.transaction`.

    Raises:
        sqlalchemy.exc.DBAPIError: a statement or the commit failed. The transaction is rolled back.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    import psycopg

    driver: Any = connection.connection.driver_connection
    try:
        with driver.pipeline():
            yield
            connection.commit()
    except BaseException as error:
        connection.invalidate()  # SQLAlchemy may believe that the transaction was committed, and would not roll it back
        if isinstance(error, psycopg.Error):
            raise sa.exc.DBAPIError.instance(None, None, error, psycopg.Error, dialect=connection.dialect) from error
        raise


def clock(connection: sa.Connection) -> Any:
    """Return an SQL expression for the time of the database's clock, in seconds since 1970. All processes share this clock."""
    if connection.dialect.name == "sqlite":
        return (sa.func.julianday("now") - 2440587.5) * 86400.0
    return sa.extract("epoch", sa.func.clock_timestamp()).cast(sa.Float)


def _check_unused(engine: sa.Engine) -> None:
    """Check a pooled connection before its use if it was unused for a while, and replace it if the server has closed it."""

    def returned(_: Any, record: Any) -> None:
        record.info["unused_since"] = time.monotonic()

    def taken(raw: Any, record: Any, _: Any) -> None:
        if time.monotonic() - record.info.get("unused_since", time.monotonic()) < PING_AFTER:
            return
        try:
            engine.dialect.do_ping(raw)
        except engine.dialect.loaded_dbapi.Error as error:
            raise sa.exc.DisconnectionError from error

    sa.event.listen(engine, "checkin", returned)
    sa.event.listen(engine, "checkout", taken)


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(sa.exc.DBAPIError),
    stop=tenacity.stop_after_attempt(5),
    wait=tenacity.wait_random(0.05, 0.5),
    reraise=True,
)
def _make_tables(engine: sa.Engine) -> None:
    """Create missing tables. Another process may create them at the same time, so a failure is retried."""
    metadata.create_all(engine)
    with engine.begin() as connection:
        add_missing_columns(connection)


__all__ = ["Database", "clock", "last_statements"]
