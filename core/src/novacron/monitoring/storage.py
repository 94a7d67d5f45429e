"""Rows of metrics in the state database: objects, layouts, and the values of each round."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from novacron.errors import StorageError
from novacron.monitoring.counters import Counted
from novacron.monitoring.layouts import Labels, Layout, Layouts, Measured
from novacron.store.database import Database, clock
from novacron.store.leases import Lease
from novacron.store.tables import metric_counters, metric_layouts, metric_objects, metric_raw, metric_rounds

BATCH = 500
"""How many ids one query names."""
WHOLE = 5_000
"""From how many keys on all objects of a kind are read instead of those with these keys."""
_ATTEMPTS = range(8)
MANY = 20_000
"""How many rows one statement inserts."""


class MetricStorage:
    """Reads and writes rows of metrics.

    Args:
        database: the state database.
        layouts: the layouts of this process.
    """

    def __init__(self, database: Database, layouts: Layouts | None = None) -> None:
        self.database, self.layouts = database, layouts or Layouts()
        self._layout_ids: dict[str, int] = {}
        self._layouts: dict[int, Layout] = {}
        self._objects: dict[tuple[str, str], tuple[int, Labels]] = {}

    def __repr__(self) -> str:
        return "<metrics in the state database>"

    def now(self) -> float:
        """Return the time of the database's clock."""
        with self.database.reading() as connection:
            return float(connection.execute(sa.select(clock(connection))).scalar_one())

    def write(
        self,
        at: float,
        measured: Sequence[Measured],
        *,
        lease: Lease | None = None,
        counters: Mapping[tuple[str, str], Counted] | None = None,
        pushed: bool | None = None,
    ) -> None:
        """Store the values of one round, all or none. It is tried again if another process stores the same new objects at the same time.

        Args:
            at: the time of the round.
            measured: the values of each object.
            lease: the right to collect; None for values that a script pushed.
            counters: what to store about counters that started again.
            pushed: whether a script pushed the values; by default if there is no lease.

        Raises:
            BusyError: another process collects now.
            StorageError: the database can't be used.
        """
        by_script = lease is None if pushed is None else pushed
        for attempt in _ATTEMPTS:
            try:
                self._write(at, measured, lease, counters or {}, by_script)
                return
            except sa.exc.IntegrityError as error:
                if attempt == _ATTEMPTS[-1]:
                    raise StorageError("other processes stored the same new metrics all the time", hint="try again") from error

    def _write(
        self,
        at: float,
        measured: Sequence[Measured],
        lease: Lease | None,
        counters: Mapping[tuple[str, str], Counted],
        pushed: bool,
    ) -> None:
        with self.database.transaction() as connection:
            if lease is not None:
                lease.check(connection)
            ids = self._ids(connection, measured, known={} if lease is None else self._objects)
            layouts = {one.layout.digest: self._layout_id(connection, one.layout) for one in _distinct(measured)}
            known = connection.execute(sa.select(metric_rounds.c.at).where(metric_rounds.c.at == at)).first()
            if known is None:
                connection.execute(metric_rounds.insert().values(at=at, pushed=pushed))
            rows = [
                (at, ids[one.kind, one.key], layouts[one.layout.digest], array("d", one.values).tobytes()) for one in measured
            ]
            _replace(connection, metric_raw, rows)
            if counters:
                self._write_counters(connection, counters, ids)
        for one in measured:
            self._objects[one.kind, one.key] = (ids[one.kind, one.key], one.labels)

    def last_round(self) -> float | None:
        """Return the time of the newest round of a collector, None if there is none."""
        with self.database.transaction() as connection:
            query = sa.select(sa.func.max(metric_rounds.c.at)).where(metric_rounds.c.pushed.is_(False))
            found = connection.execute(query).scalar_one_or_none()
            return None if found is None else float(found)

    def rounds(self, since: float, until: float, *, pushed: bool | None = None) -> list[float]:
        """Return the times that have raw rows, oldest first."""
        query = sa.select(metric_rounds.c.at).where(metric_rounds.c.at > since, metric_rounds.c.at <= until)
        if pushed is not None:
            query = query.where(metric_rounds.c.pushed.is_(pushed))
        with self.database.transaction() as connection:
            return [float(at) for at in connection.execute(query.order_by(metric_rounds.c.at)).scalars()]

    def read(self, times: Iterable[float], objects: Iterable[int] | None = None) -> list[tuple[float, int, Layout, array[float]]]:
        """Return the raw rows of these times, in their order; of these objects only if given."""
        wanted = None if objects is None else list(objects)
        found = []
        with self.database.transaction() as connection:
            for some in _batches(times):
                query = metric_raw.select().where(metric_raw.c.at.in_(some)).order_by(metric_raw.c.at)
                for part in [None] if wanted is None else _batches(wanted):
                    rows = connection.execute(query if part is None else query.where(metric_raw.c.object.in_(part)))
                    found += [(row.at, row.object, self.layout(connection, row.layout), doubles(row.data)) for row in rows]
        return found if wanted is None or len(wanted) <= BATCH else sorted(found, key=lambda row: row[0])

    def objects(self, kind: str | None = None, key: str | None = None) -> dict[int, tuple[str, str, Labels]]:
        """Return kind, key and labels of the objects by id."""
        query = metric_objects.select()
        if kind is not None:
            query = query.where(metric_objects.c.kind == kind)
        if key is not None:
            query = query.where(metric_objects.c.key == key)
        with self.database.reading() as connection:
            return {row.id: (row.kind, row.key, _labels(row.labels)) for row in connection.execute(query)}

    def at_time(self, at: float, known: Mapping[int, tuple[str, str, Labels]] | None = None) -> list[Measured]:
        """Return everything that was measured at one time, as it was given to `write`.

        Args:
            at: the time.
            known: what `objects` returned, if the caller has it.
        """
        known = self.objects() if known is None else known
        found = []
        for _, number, layout, values in self.read([at]):
            if number not in known:  # it was stored after the objects were read
                continue
            kind, key, labels = known[number]
            found.append(Measured(kind, key, dict(labels).get("host", ""), labels, layout, list(values)))
        return found

    def counters(self) -> dict[tuple[str, str], Counted]:
        """Return the counters of all objects as they were in the last round: what a new collector continues from."""
        last = self.last_round()
        newest = {} if last is None else {row[1]: row for row in self.read([last])}
        with self.database.transaction() as connection:
            rows = connection.execute(
                metric_counters.select()
                .join(metric_objects, metric_objects.c.id == metric_counters.c.object)
                .add_columns(metric_objects.c.kind, metric_objects.c.key)
            ).all()
            return {(row.kind, row.key): self._counted(connection, row, newest.get(row.object)) for row in rows}

    def forget(self, numbers: Iterable[int]) -> None:
        """Forget objects that were deleted from the database."""
        gone = set(numbers)
        self._objects = {name: known for name, known in self._objects.items() if known[0] not in gone}

    def layout(self, connection: sa.Connection, number: int) -> Layout:
        """Return the layout with this id."""
        found = self._layouts.get(number)
        if found is None:
            value = connection.execute(sa.select(metric_layouts.c.series).where(metric_layouts.c.id == number)).scalar_one()
            found = self._layouts[number] = self.layouts.from_json(json.loads(value) if isinstance(value, str) else value)
        return found

    def layout_id(self, connection: sa.Connection, layout: Layout) -> int:
        """Return the id of a layout; it is stored if it is new."""
        return self._layout_id(connection, layout)

    def _counted(self, connection: sa.Connection, row: Any, newest: Any) -> Counted:
        layout, raw, offsets = self.layout(connection, row.layout), list(doubles(row.raw)), list(doubles(row.offsets))
        if newest is not None and newest[2] is layout:
            raw = [total - offset for total, offset in zip(newest[3], offsets, strict=False)]
        return Counted(row.host, layout, raw, offsets if any(offsets) else None)

    def _write_counters(
        self, connection: sa.Connection, counters: Mapping[tuple[str, str], Counted], ids: Mapping[tuple[str, str], int]
    ) -> None:
        rows = [
            (
                ids[name],
                one.host,
                self._layout_id(connection, one.layout),
                array("d", one.raw).tobytes(),
                array("d", one.offsets or [0.0] * len(one.raw)).tobytes(),
            )
            for name, one in counters.items()
            if name in ids
        ]
        _replace(connection, metric_counters, rows)

    def _ids(
        self, connection: sa.Connection, measured: Iterable[Measured], known: Mapping[tuple[str, str], tuple[int, Labels]]
    ) -> dict[tuple[str, str], int]:
        """Return the ids of the objects. New objects, and labels that changed, are stored.

        The collector deletes objects without values, so only the collector may rely on ids that are `known` from earlier.
        """
        ids: dict[tuple[str, str], int] = {}
        unknown: dict[tuple[str, str], Measured] = {}
        for one in measured:
            row = known.get((one.kind, one.key))
            if row is not None and row[1] == one.labels:
                ids[one.kind, one.key] = row[0]
            else:
                unknown[one.kind, one.key] = one
        if unknown:
            rows = self._stored(connection, unknown)
            new = [one for name, one in unknown.items() if name not in rows]
            if new:
                values = [{"kind": one.kind, "key": one.key, "labels": [list(pair) for pair in one.labels]} for one in new]
                connection.execute(metric_objects.insert(), values)
                rows |= self._stored(connection, {(one.kind, one.key): one for one in new}, new=True)
            for name, (number, labels) in rows.items():
                ids[name] = number
                if labels != unknown[name].labels:
                    now = [list(pair) for pair in unknown[name].labels]
                    connection.execute(metric_objects.update().where(metric_objects.c.id == number).values(labels=now))
        return ids

    def _stored(
        self, connection: sa.Connection, wanted: Mapping[tuple[str, str], Measured], *, new: bool = False
    ) -> dict[tuple[str, str], tuple[int, Labels]]:
        """Return ids and labels of the objects that are stored. The labels of those that this transaction stored are not read back."""
        columns = [metric_objects.c.id, metric_objects.c.kind, metric_objects.c.key]
        found: dict[tuple[str, str], tuple[int, Labels]] = {}
        for kind in {kind for kind, _ in wanted}:
            named = [key for k, key in wanted if k == kind]
            query = sa.select(*columns) if new else metric_objects.select()
            query = query.where(metric_objects.c.kind == kind)
            queries = [query] if len(named) > WHOLE else [query.where(metric_objects.c.key.in_(some)) for some in _batches(named)]
            for one in queries:
                rows = connection.execute(one)
                found |= {
                    (row.kind, row.key): (row.id, wanted[row.kind, row.key].labels if new else _labels(row.labels))
                    for row in rows
                    if (row.kind, row.key) in wanted
                }
        return found

    def _layout_id(self, connection: sa.Connection, layout: Layout) -> int:
        known = self._layout_ids.get(layout.digest)
        if known is not None and known in self._layouts:
            return known
        query = sa.select(metric_layouts.c.id).where(metric_layouts.c.digest == layout.digest)
        found = connection.execute(query).scalar_one_or_none()
        if found is None:
            connection.execute(metric_layouts.insert().values(digest=layout.digest, series=json.loads(layout.as_json())))
            return int(connection.execute(query).scalar_one())  # it is remembered when the next transaction finds it stored
        self._layout_ids[layout.digest], self._layouts[int(found)] = int(found), layout
        return int(found)


def doubles(data: bytes) -> array[float]:
    """Return the numbers that `array("d").tobytes()` wrote."""
    values = array("d")
    values.frombytes(data)
    return values


def insert_raw(connection: sa.Connection, at: float, number: int, layout: int, values: Sequence[float]) -> None:
    """Store the row of one object at one time."""
    if connection.execute(sa.select(metric_rounds.c.at).where(metric_rounds.c.at == at)).first() is None:
        connection.execute(metric_rounds.insert().values(at=at, pushed=False))
    _replace(connection, metric_raw, [(at, number, layout, array("d", values).tobytes())])


def _replace(connection: sa.Connection, table: sa.Table, rows: list[tuple[Any, ...]]) -> None:
    """Insert rows of all columns. A row with the same primary key is replaced. The driver is used directly: 100,000 rows are common.

    Raises:
        sqlalchemy.exc.DBAPIError: as SQLAlchemy raises it for its own statements.
    """
    cursor, driver = connection.connection.cursor(), connection.dialect.loaded_dbapi
    name, incoming, columns = table.name, f"{table.name}_incoming", [column.name for column in table.columns]
    listed, key = ", ".join(columns), [column.name for column in table.primary_key.columns]
    try:
        if connection.dialect.name == "sqlite":
            places = ", ".join("?" * len(columns))
            cursor.executemany(f"INSERT OR REPLACE INTO {name} ({listed}) VALUES ({places})", rows)  # noqa: S608 - our own names
            return
        updates = ", ".join(f"{column} = EXCLUDED.{column}" for column in columns if column not in key)
        types = [_POSTGRESQL_TYPES[type(column.type)] for column in table.columns]
        for some in (rows[start : start + MANY] for start in range(0, len(rows), MANY)):
            cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {incoming} (LIKE {name}) ON COMMIT DELETE ROWS")
            with cursor.copy(f"COPY {incoming} ({listed}) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(types)
                for row in some:
                    copy.write_row(row)
            cursor.execute(
                f"INSERT INTO {name} ({listed}) SELECT {listed} FROM {incoming} "  # noqa: S608 - our own names
                f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {updates}"
            )
            cursor.execute(f"TRUNCATE {incoming}")
    except driver.Error as error:
        raise sa.exc.DBAPIError.instance(None, None, error, driver.Error, dialect=connection.dialect) from error
    finally:
        cursor.close()


_POSTGRESQL_TYPES: dict[type, str] = {sa.Float: "float8", sa.Integer: "int4", sa.LargeBinary: "bytea", sa.String: "varchar"}


def _labels(value: Any) -> Labels:
    return tuple((str(name), str(text)) for name, text in value)


def _distinct(measured: Iterable[Measured]) -> list[Measured]:
    return list({one.layout.digest: one for one in measured}.values())


def _batches(items: Iterable[Any], size: int = BATCH) -> Iterable[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


__all__ = ["MetricStorage", "doubles", "insert_raw"]
