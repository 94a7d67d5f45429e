"""The history: nothing changes a value, roll-ups equal the samples, and retention deletes only what is old."""

import itertools
import math
import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novacron.errors import InvalidSpecError, StorageError, UnsupportedOperationError
from novacron.monitoring.compaction import DAY, Compaction
from novacron.monitoring.history import History
from novacron.monitoring.layouts import Layouts, Measured, SeriesKey, in_order
from novacron.monitoring.packing import pack, unpack
from novacron.monitoring.rollups import combine, increases, rates, roll_up
from novacron.monitoring.storage import MetricStorage
from novacron.records.series import Series
from novacron.site import Site
from novacron.store.database import Database
from novacron.store.leases import Lease
from novacron.store.tables import metric_raw

KEEP = {"metrics_days": 2, "metrics_5m_days": 30, "metrics_1h_days": 365}
START = 1_700_000_400.0 // 86400 * 86400

numbers = st.one_of(
    st.integers(-(2**60), 2**60).map(float),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(0, 10**12).map(lambda n: n / 1e9),
    st.integers(0, 10**6).map(lambda n: n / 1e3),
    st.sampled_from([0.0, 1.0, math.nan, math.inf, -math.inf, 1e308, 5e-324, 2.0**53, 2.0**53 + 2]),
)


def same(one, other):
    return len(one) == len(other) and all(a == b or (a != a and b != b) for a, b in zip(one, other, strict=True))


@given(
    st.integers(0, 70).flatmap(
        lambda rows: st.tuples(st.just(rows), st.lists(st.lists(numbers, min_size=rows, max_size=rows), max_size=5))
    )
)
def test_packing_loses_nothing(given_rows):
    rows, columns = given_rows
    times = [START + 60 * n + n / 1e6 for n in range(rows)]
    read, back = unpack(pack(times, columns))
    assert read == times
    assert len(back) == len(columns)
    assert all(map(same, back, columns))
    for place in range(len(columns)):
        assert same(unpack(pack(times, columns), [place])[1][0], columns[place])


def test_counters_and_gauges_take_few_bytes():
    """Noisy counters and gauges of a VM: at most 2.5 bytes a sample."""
    chance = random.Random(7)
    counters = [list(itertools.accumulate(60_000 * (n + 1) + chance.randrange(50_000) for _ in range(60))) for n in range(20)]
    gauges = [[float(2**30 + 4096 * chance.randrange(200)) for _ in range(60)] for _ in range(10)]
    columns = [[float(v) for v in one] for one in counters] + gauges
    assert len(pack([START + 60 * n for n in range(60)], columns)) / (60 * 30) <= 2.5


@pytest.mark.parametrize("damage", [b"", b"x", b"zz", pack([1.0, 2.0], [[1.0, 2.5]])[:-3]])
def test_a_damaged_chunk_is_named(damage):
    with pytest.raises(StorageError, match="damaged"):
        unpack(damage)


points = st.lists(st.tuples(st.integers(0, 20_000), st.integers(-1000, 10**9)), max_size=200, unique_by=lambda one: one[0]).map(
    lambda some: [(float(at), float(value)) for at, value in sorted(some)]
)


@given(points)
def test_rollups_of_rollups_equal_those_of_samples(some):
    combined, direct = combine(roll_up(some, 300), 3600), roll_up(some, 3600)
    assert [one[:2] + one[3:] for one in combined] == [one[:2] + one[3:] for one in direct]
    assert all(math.isclose(a.average, b.average, rel_tol=1e-12, abs_tol=1e-9) for a, b in zip(combined, direct, strict=True))


@given(points)
def test_rates_are_never_negative_and_increases_add_up(some):
    counter = [(at, abs(value)) for at, value in some]
    assert all(rate >= 0 for _, rate in rates(counter))
    growing = [(at, float(n)) for n, (at, _) in enumerate(counter)]
    assert math.fsum(value for _, value in increases(growing)) == max(0, len(growing) - 1)


@pytest.fixture
def storage(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'metrics.db'}")
    yield MetricStorage(database, Layouts())
    database.close()


def written(storage, rows, kind="vm", key="1", labels=(("name", "web1"), ("vm", "1"))):
    """Store rows of an object: the time and its values by metric or (metric, disk)."""
    from novacron.store.tables import leases

    with storage.database.transaction() as connection:
        if connection.execute(leases.select()).first() is None:
            connection.execute(leases.insert().values(name="metrics", process="me", fence=1))
    for at, values in rows:
        keys, row = in_order(
            {SeriesKey(m) if isinstance(m, str) else SeriesKey(m[0], (("disk", m[1]),)): float(v) for m, v in values.items()}
        )
        one = Measured(kind, key, "a", labels, storage.layouts.of(keys), row)
        storage.write(at, [one], lease=Lease("metrics", "me", 1))


def asked(storage, metric, since, until, now=None, **more):
    history = History(storage, {})
    return history.query(metric, since=since, until=until, age=(now or until) - since, **more)


GAUGE, COUNTER = "novacron_vm_memory_bytes", "novacron_vm_cpu_seconds_total"


@pytest.mark.parametrize("seed", [0, 1, 3, 4, 7, 17, 27, 42])
def test_what_is_packed_answers_as_what_is_not(storage, seed):
    """Samples, averages and rates are the same before, during and after packing, also with late samples and changing devices."""
    chance = random.Random(seed)
    seconds, when = chance.sample(range(3 * 3600), chance.choice([1, 2, 60])), seed % 5
    counter = 0
    rows = []
    for second in sorted(seconds):
        counter += chance.randrange(1000)
        values = {GAUGE: chance.randrange(10**9), COUNTER: counter}
        if chance.random() < 0.5:
            values["novacron_vm_disk_reads_total", "vda"] = counter * 2
        rows.append((START + second, values))
    late = [row for row in rows if chance.random() < 0.2]
    written(storage, [row for row in rows if row not in late])
    until = START + 4 * 3600
    compaction = Compaction(storage, KEEP)
    for hour in range(when):
        compaction.finish(START + hour * 3600)
    written(storage, late)
    if when > 2:
        compaction.finish(until)
    (samples,) = asked(storage, GAUGE, START - 1, until)
    assert list(samples.points) == [(at, float(values[GAUGE])) for at, values in rows]
    everything = [(at, float(values[GAUGE])) for at, values in rows]
    for step in (300, 3600):
        expected = roll_up(everything, step)
        for show, field in (("minimum", 1), ("maximum", 3), ("last", 4), ("count", 5), ("average", 2)):
            for age in (until, until + 3 * 86400, until + 40 * 86400):  # the last one reads hourly values
                resolution = 3600 if age - START > 30 * 86400 else 300
                (found,) = asked(storage, GAUGE, START, until, now=age, step=step, show=show)
                wanted = [(row[0], row[field]) for row in (expected if step >= resolution else roll_up(everything, resolution))]
                assert [at for at, _ in found.points] == [at for at, _ in wanted]
                assert all(math.isclose(a[1], b[1], rel_tol=1e-12) for a, b in zip(found.points, wanted, strict=True))
    counters = [(at, float(values[COUNTER])) for at, values in rows]
    grown = asked(storage, COUNTER, START - 1, until, show="increase")
    assert math.fsum(v for one in grown for _, v in one.points) == counters[-1][1] - counters[0][1]


def test_a_year_is_kept_as_the_settings_say(storage):
    """After packing, joining of days and retention each resolution has its period, and a dead VM is forgotten."""
    now = START + 400 * 86400.0
    compaction = Compaction(storage, KEEP)
    for days in (399, 300, 40, 20, 3, 1):
        written(storage, [(now - days * 86400 + 600 * n, {GAUGE: days, COUNTER: n}) for n in range(12)])
        compaction.finish(now - days * 86400 + 2 * 86400)
    written(storage, [(now - 390 * 86400, {GAUGE: 1})], key="2", labels=(("vm", "2"),))
    compaction.finish(now)
    assert [labels for _, _, labels in storage.objects("vm").values()] == [(("name", "web1"), ("vm", "1"))]
    year = asked(storage, GAUGE, now - 370 * 86400, now)
    assert sorted({value for one in year for _, value in one.points}) == [1.0, 3.0, 20.0, 40.0, 300.0]
    month = asked(storage, GAUGE, now - 25 * 86400, now)
    assert {at % 300 for one in month for at, _ in one.points} == {0.0}
    assert {value for one in month for _, value in one.points} == {1.0, 3.0, 20.0}
    day = asked(storage, GAUGE, now - 86400 - 1, now)
    assert sum(map(len, day)) == 12
    with storage.database.transaction() as connection:
        import sqlalchemy as sa

        from novacron.store.tables import metric_chunks, metric_raw

        assert connection.execute(sa.select(sa.func.count()).select_from(metric_raw)).scalar_one() == 0
        kept = sa.select(metric_chunks.c.resolution, sa.func.count()).group_by(metric_chunks.c.resolution)
        chunks = dict(connection.execute(kept).all())
    assert chunks[300] == 3  # one a day
    assert chunks[3600] == 5


def steps_of_expiry(file, objects):
    """Return how many steps SQLite takes to find the objects without values, of which there is one."""
    database = Database(f"sqlite:///{file}")
    try:
        storage, layouts = MetricStorage(database), Layouts()
        layout = layouts.of([SeriesKey(GAUGE)])
        for at in (START, START + 60):
            storage.write(at, [Measured("vm", str(n), "a", (("vm", str(n)),), layout, [1.0]) for n in range(objects)])
        with database.transaction() as connection:
            connection.execute(metric_raw.delete().where(metric_raw.c.object == 7))
            steps = itertools.count()
            connection.connection.driver_connection.set_progress_handler(lambda: next(steps) and 0, 100)
        Compaction(storage, KEEP).expire(START + 120)
        assert set(range(1, objects + 1)) - set(storage.objects()) == {7}
        return next(steps)
    finally:
        database.close()


def test_expiry_reads_each_row_once(tmp_path):
    """Four times the objects take four times the steps. It was sixteen times, and a minute of 20,000 VMs blocked the database."""
    few, many = steps_of_expiry(tmp_path / "few.db", 500), steps_of_expiry(tmp_path / "many.db", 2000)
    assert many < 8 * few


@pytest.mark.parametrize("step", [None, 300])
@pytest.mark.parametrize("first", ["_raw", "_chunks"])
def test_values_that_are_packed_while_they_are_read_are_read_once(storage, monkeypatch, first, step):
    """The collector packs them after the first one of the two places was read, so that they change from one place to the other."""
    written(storage, [(START + 60 * n, {GAUGE: n}) for n in range(60)])
    before = asked(storage, GAUGE, START, START + 7200, step=step, show="last", now=START + 3 * DAY if step else None)
    read, packed = getattr(History, first), []

    def reads(self, *arguments):
        found = read(self, *arguments)
        if not packed:
            packed.append(Compaction(storage, KEEP).finish(START + 7200))
        return found

    monkeypatch.setattr(History, first, reads)
    assert asked(storage, GAUGE, START, START + 7200, step=step, show="last", now=START + 3 * DAY if step else None) == before
    assert packed
    assert sum(map(len, before)) == (12 if step else 60)


def test_late_samples_of_a_day_that_was_joined(storage):
    """Roll-ups of the rest of the day stay, and those of the hour are made anew."""
    rows = [(START + 600 * n, {GAUGE: n}) for n in range(144)]
    late = rows[::7]
    written(storage, [row for row in rows if row not in late])
    Compaction(storage, KEEP).finish(START + 86400)
    written(storage, late)
    Compaction(storage, KEEP).finish(START + 86400 + 3600)
    for step, age in ((3600, 3 * 86400), (3600, 40 * 86400)):
        (found,) = asked(storage, GAUGE, START, START + 86400, now=START + age, step=step, show="last")
        assert found.points == tuple((one.start, one.last) for one in roll_up([(at, v[GAUGE]) for at, v in rows], step))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("step", [300, 3600])
@pytest.mark.parametrize("minutes", [125, 150, 179])
def test_the_rate_of_a_step_that_is_not_over_is_that_of_its_time(storage, minutes, step, packed):
    """A counter that grows by 2 a second has the rate 2, also in the hour that has just begun."""
    written(storage, [(START + 60 * minute, {COUNTER: 120 * minute}) for minute in range(minutes)])
    if packed:
        Compaction(storage, KEEP).finish(START + 2 * 3600)
    until = START + 60 * minutes
    for age in (until, until + 3 * 86400):
        (found,) = asked(storage, COUNTER, START + 1800, until, now=age, step=step)
        assert found.points[-1] == ((until - 60) // step * step, pytest.approx(2.0))


def test_enormous_values_are_packed_and_rolled_up(storage):
    """The largest values that a script may push do not stop the compaction: their sum is no float, their average is one."""
    rows = [(START + 60 * minute, {GAUGE: 1.7e308 if minute % 2 else 1e308}) for minute in range(120)]
    written(storage, rows)
    Compaction(storage, KEEP).finish(START + 3 * 3600)
    for age in (0, 3 * 86400, 40 * 86400):
        (found,) = asked(storage, GAUGE, START, START + 7199, now=START + 7199 + age, step=3600)
        assert [value for _, value in found.points] == pytest.approx([1.35e308] * 2)
    (found,) = asked(storage, GAUGE, START - 1, START + 7200, show="value")
    assert list(found.points) == [(at, values[GAUGE]) for at, values in rows]


def test_values_of_many_objects_are_filtered_by_label(storage):
    disks = [("novacron_vm_disk_reads_total", disk) for disk in ("vda", "vdb")]
    for key in "123":
        rows = [(START, dict.fromkeys(disks, 5)), (START + 60, dict.fromkeys(disks, 65))]
        written(storage, rows, key=key, labels=(("name", f"web{key}"), ("vm", key)))
    found = asked(storage, "novacron_vm_disk_reads_total", START - 60, START + 100, labels={"name": "web2", "disk": "vdb"})
    assert [(one.labels, one.points) for one in found] == [({"name": "web2", "vm": "2", "disk": "vdb"}, ((START + 60, 1.0),))]
    assert len(asked(storage, "novacron_vm_disk_reads_total", START - 60, START + 100, labels={"vm": "3"})) == 2
    with pytest.raises(InvalidSpecError, match="more than 3 series"):
        asked(storage, "novacron_vm_disk_reads_total", START - 60, START + 100, limit=3)
    with pytest.raises(InvalidSpecError, match="show"):
        asked(storage, "x", START, START, show="median")


@pytest.mark.parametrize("packed", [False, True])
def test_a_metric_is_found_among_many_series_of_other_ones_with_few_statements(storage, packed):
    from sqlalchemy import event

    for number in range(120):
        written(storage, [(START, {"other": 1.0})], key=str(number), labels=(("n", str(number)),), kind="custom")
    written(storage, [(START, {"wanted": 7.0})], key="wanted", labels=(("q", "a"),), kind="custom")
    if packed:
        Compaction(storage, KEEP).finish(START + 2 * 3600)
    statements = []
    event.listen(storage.database._engine(), "before_cursor_execute", lambda *given: statements.append(given[2]))
    (found,) = asked(storage, "wanted", START - 60, START + 3600, show="value")
    assert (found.labels, found.points) == ({"q": "a"}, ((START, 7.0),))
    assert len(statements) < 20
    assert len(asked(storage, "other", START - 60, START + 3600, show="value")) == 120


def test_a_metric_is_found_while_its_only_values_are_packed(storage):
    """Which happens between two statements of the query: the values are in chunks then, and no longer in rows."""
    from sqlalchemy import event

    for number in range(60):
        written(storage, [(START, {"wanted": 1.0})], key=str(number), labels=(("n", str(number)),), kind="custom")
    packing = []

    def pack_now(*given):
        if not packing and "DISTINCT" in given[2]:
            packing.append(given[2])
            Compaction(MetricStorage(Database(storage.database.url)), KEEP).finish(START + 2 * 3600)

    event.listen(storage.database._engine(), "after_cursor_execute", pack_now)
    assert len(asked(storage, "wanted", START - 60, START + 3600, show="value")) == 60
    assert len(packing) == 1


def test_a_vm_has_its_history(tmp_path):
    with Site(tmp_path / "state") as site:
        site.fleet.add("historic", "sim://historic?vms=1")
        vm = site.fleet.hosts["historic"].vms["vm-00001"]
        collector = site.fleet.metrics.collector()
        for _ in range(3):
            collector.collect()
        (cpu,) = vm.metrics.history("cpu")
        assert len(cpu) == 2
        assert cpu.unit == "seconds/s"
        assert all(rate > 0 for _, rate in cpu)
        (memory,) = vm.metrics.history("memory", since="5m", step="1m")
        assert memory.last == vm.metrics().memory_used_bytes
        assert vm.metrics.history("disk_read", show="last")[0].labels["disk"] == "vda"


def test_postgresql_keeps_the_same_history(postgresql, tmp_path):
    with Site(tmp_path / "state") as site:
        storage = MetricStorage(site.database, Layouts())
        rows = [(START + 60 * n, {GAUGE: n % 7, COUNTER: n}) for n in range(150)]
        written(storage, rows)
        written(storage, rows[:3])  # a row of the same time is replaced
        Compaction(storage, KEEP).finish(START + 2 * 3600)
        (found,) = asked(storage, GAUGE, START - 1, START + 3 * 3600)
        assert found.points == tuple((at, float(values[GAUGE])) for at, values in rows)
        site.fleet.add("pg-metrics", "sim://pg-metrics?vms=2")
        collector = site.fleet.metrics.collector()
        for _ in range(2):
            made = collector.collect()
        assert not made.problems
        assert len(site.fleet.metrics.query("novacron_vm_cpu_seconds_total")) == 2
        site.fleet.metrics.put("own", 3)
        assert site.fleet.metrics.query("own")[0].last == 3


def test_a_series_becomes_a_series_of_pandas_and_a_table_of_arrow():
    """Times are in UTC and have microseconds; values stay floats. An empty series becomes an empty one."""
    import pandas
    import pyarrow

    some = Series(metric="load", labels={"host": "a"}, points=((1_800_000_000.25, 1.5), (1_800_000_060.0, 2.0)), unit="1")
    frame = some.to_pandas()
    assert isinstance(frame, pandas.Series)
    assert (frame.name, str(frame.index.tz), frame.dtype.name) == ("load", "UTC", "float64")
    assert frame.index[0] == pandas.Timestamp("2027-01-15T08:00:00.250", tz="UTC")
    assert frame.resample("1h").mean().tolist() == [1.75]
    table = some.to_arrow()
    assert table.schema == pyarrow.schema({"at": pyarrow.timestamp("us", tz="UTC"), "value": pyarrow.float64()})
    assert table.column("value").to_pylist() == [1.5, 2.0]
    assert table.column("at")[0].as_py().timestamp() == 1_800_000_000.25
    empty = some.replace(points=())
    assert (len(empty.to_pandas()), empty.to_arrow().num_rows) == (0, 0)


@pytest.mark.parametrize(("library", "convert"), [("pandas", "to_pandas"), ("pyarrow", "to_arrow")])
def test_a_library_that_is_not_installed_is_named(monkeypatch, library, convert):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UnsupportedOperationError, match=library) as caught:
        getattr(Series(metric="load", labels={}), convert)()
    assert caught.value.hint == f"pip install {library}"
