"""The collector: one round of all hosts and sources, counters that never fall, one process at a time."""

import math
import threading

import pytest

from novacron.errors import BusyError, InvalidSpecError, StorageError
from novacron.monitoring import metrics
from novacron.monitoring.counters import CounterTracker
from novacron.monitoring.layouts import Layouts, Measured, SeriesKey
from novacron.monitoring.sources import CommandSource, EndpointSource, measured_source, parse_exposition
from novacron.records.series import MetricDefinition, Sample
from novacron.site import Site
from novacron.store.leases import LeaseStore
from novacron.store.processes import ProcessStore


@pytest.fixture
def hosts(add_host):
    """The names of two simulated hosts of the fleet, with two VMs each. No VM of one has the name of a VM of the other."""
    return [add_host(2, options=f"&prefix={prefix}-").name for prefix in ("first", "second")]


def values(made, metric):
    return {
        s.labels.get("vm") or s.labels.get("host") or s.labels.get("source"): s.value
        for s in made.samples()
        if s.metric == metric
    }


def test_a_round_has_all_hosts_and_vms(site, hosts):
    made = site.fleet.metrics.measure()
    assert values(made, "novacron_host_up") == dict.fromkeys(hosts, 1.0)
    assert len(values(made, "novacron_vm_running")) == 4
    assert values(made, "novacron_host_vms") == dict.fromkeys(hosts, 2.0)
    assert {s.labels["disk"] for s in made.samples() if s.metric == "novacron_vm_disk_reads_total"} == {"vda"}
    assert {s.metric for s in made.samples()} <= set(site.fleet.metrics.definitions())


def test_a_silent_host_is_a_series_and_delays_nobody(site, hosts):
    """Its call hangs: it is not asked again before the call has ended."""
    hung, other = hosts
    release = threading.Event()
    site.fleet.metrics.measure()
    asked = []

    class Hanging:
        name = hung

        def supports(self, operation):
            return True

        def invoke(self, operation, timeout=None, **arguments):
            asked.append(operation)
            release.wait(600)

    site.fleet.hosts.open(hung)
    real = site.fleet.hosts._open[hung]
    site.fleet.hosts._open[hung] = Hanging()
    Hanging.closed = False
    collector = site.fleet.metrics.collector(timeout=3)
    try:
        for _ in range(3):
            made = collector.collect()
            assert values(made, "novacron_host_up") == {hung: 0.0, other: 1.0}
            assert hung in made.problems
            assert made.seconds < 60, "the hung host holds on for ten times as long"
        assert asked.count("metrics_host") == 1  # the inspection of snapshots asks on its own, every 15 minutes
    finally:
        release.set()
        site.fleet.hosts._open[hung] = real


def test_one_process_collects_and_a_dead_one_is_replaced(site, hosts, tmp_path):
    collector = site.fleet.metrics.collector()
    collector.collect()
    with Site(tmp_path / "state") as other:
        assert other.fleet.metrics.collector() is None
        assert other.fleet.metrics.collecting()
        ProcessStore(site.database).remove(collector.lease.process)  # as if it was dead
        successor = other.fleet.metrics.collector()
        assert successor.lease.fence == collector.lease.fence + 1
        successor.collect()
        with pytest.raises(BusyError, match="taken over"):
            collector.collect()
        other.fleet.metrics.release_collection(successor.lease)
        assert site.fleet.metrics.take_collection().fence == successor.lease.fence + 1


def test_the_lease_is_given_once(site):
    store, processes = LeaseStore(site.database), ProcessStore(site.database)
    one, two = processes.register(), processes.register()
    taken = [store.take("task", process.id) for process in (one, two, one)]
    assert [lease and lease.fence for lease in taken] == [1, None, 1]


def test_pushed_values_are_in_the_next_round(site, hosts):
    metrics = site.fleet.metrics
    collector = metrics.collector()
    collector.collect()
    assert metrics.put("queue_length", 3, labels={"queue": 'a"b\nc'}) == 1
    assert metrics.put("queue_age_seconds", 9, labels={"queue": 'a"b\nc'}) == 1
    found = {s.metric: (s.value, s.labels) for s in collector.collect().samples() if s.metric.startswith("queue")}
    assert found == {"queue_length": (3.0, {"queue": 'a"b\nc'}), "queue_age_seconds": (9.0, {"queue": 'a"b\nc'})}
    assert not [s for s in collector.collect().samples() if s.metric.startswith("queue")]


@pytest.mark.parametrize(
    ("metric", "value", "labels", "field"),
    [
        ("a b", 1, {}, "metric"),
        ("a", math.nan, {}, "value"),
        ("a", math.inf, {}, "value"),
        ("a", "3", {}, "value"),
        ("a", True, {}, "value"),
        ("a", 10**400, {}, "value"),
        ("a", 1, {"a-b": "1"}, "labels"),
        ("a", 1, {"__name__": "x"}, "labels"),
        ("a", 1, {"b": "x" * 300}, "labels.b"),
        ("novacron_vm_running", 1, {}, "metric"),
        ("", 1, {}, "metric"),
    ],
)
def test_bad_samples_are_named_and_nothing_is_stored(site, metric, value, labels, field):
    with pytest.raises(InvalidSpecError) as caught:
        site.fleet.metrics.put([Sample(metric="good", value=1), Sample(metric=metric, value=value, labels=labels)])
    assert field in [problem.path for problem in caught.value.problems]
    assert not site.fleet.metrics.storage.objects()


def test_times_that_are_none_are_named(site):
    with pytest.raises(InvalidSpecError, match="until"):
        site.fleet.metrics.query("good", until="today")
    for at in ("now", 10**400, math.nan):
        with pytest.raises(InvalidSpecError, match="at: got"):
            site.fleet.metrics.put([Sample(metric="good", value=1, at=at)])


def test_series_of_many_pushes_are_limited_together(site, monkeypatch):
    """Series that are known already may be pushed again. New ones are rejected as soon as there are too many."""
    monkeypatch.setattr(metrics, "SERIES_LIMIT", 10)
    for _ in range(2):
        for number in range(10):
            site.fleet.metrics.put("requests", 1, labels={"path": str(number)})
    with pytest.raises(InvalidSpecError, match="got '11 series'"):
        site.fleet.metrics.put("requests", 1, labels={"path": "10"})
    assert site.fleet.metrics.put("requests", 1, labels={"path": "9"}) == 1
    assert site.fleet.metrics.put("requests", 1, labels={"path": "10"}, source="other") == 1


@pytest.mark.parametrize("age", [24 * 3600, -2 * 3600])
def test_values_of_another_day_are_rejected(site, age):
    with pytest.raises(InvalidSpecError, match="that time"):
        site.fleet.metrics.put([Sample(metric="good", value=1, at=site.fleet.metrics.storage.now() - age)])


def test_labels_that_explode_are_limited(site):
    class Source:
        name = "exploding"

        def collect(self):
            return [Sample(metric="requests", value=1, labels={"path": str(n)}) for n in range(50)] + [
                Sample(metric="bad name", value=1)
            ]

    found = measured_source(Source(), Source().collect(), Layouts(), limit=20)
    samples = [sample for one in found for sample in one.samples()]
    assert sum(s.metric == "requests" for s in samples) == 20
    assert [s.value for s in samples if s.metric == "novacron_source_dropped_samples"] == [31.0]
    with pytest.raises(InvalidSpecError, match="too many series"):
        site.fleet.metrics.put(Sample(metric="requests", value=1, labels={"path": str(n)}) for n in range(10_001))


def test_sources_fail_alone(site, hosts, tmp_path):
    """A program that fails, one that hangs, an endpoint that does not answer, and a plugin with an error."""

    class Broken:
        name = "broken"

        def definitions(self):
            return [MetricDefinition(name="x")]

        def collect(self):
            raise ValueError("boom")

    metrics = site.fleet.metrics
    metrics.add_source(Broken())
    metrics.add_source(CommandSource("program", ["printf", 'jobs{a="b"} 3\n']))
    metrics.add_source(CommandSource("failing", ["false"]))
    metrics.add_source(CommandSource("hanging", ["sleep", "30"], timeout=0.2))
    metrics.add_source(EndpointSource("absent", "http://127.0.0.1:9/metrics"))
    made = metrics.measure()
    up = {"broken": 0.0, "program": 1.0, "failing": 0.0, "hanging": 0.0, "absent": 0.0}
    assert values(made, "novacron_source_up") == up
    assert set(made.problems) == {name for name, is_up in up.items() if not is_up}
    assert [s.value for s in made.samples() if s.metric == "jobs"] == [3.0]


def test_plugins_offer_sources_and_exporters(site, hosts):
    exported = []

    class Plugin:
        @staticmethod
        @__import__("pluggy").HookimplMarker("novacron")
        def metric_sources():
            class Source:
                name = "plugin"

                def definitions(self):
                    return [MetricDefinition(name="plugin_things", help="Things.")]

                def collect(self):
                    return [Sample(metric="plugin_things", value=7)]

            return [Source()]

        @staticmethod
        @__import__("pluggy").HookimplMarker("novacron")
        def metric_exporters():
            class Exporter:
                name = "copy"

                def export(self, at, samples):
                    exported.extend(samples)

            return [Exporter()]

    site.plugins.register(Plugin(), "watcher")
    assert "plugin_things" in site.fleet.metrics.definitions()
    site.fleet.metrics.collector().collect()
    assert [s.value for s in exported if s.metric == "plugin_things"] == [7.0]


def test_exposition_is_read_with_quotes_and_newlines():
    text = '# HELP a b\na{x="q\\"\\n\\\\",y="2"} 1.5 # {trace="1"} 2\nb 3 1700000000\nc +Inf\n'
    found = [(s.metric, s.value, s.labels) for s in parse_exposition(text)]
    assert found == [("a", 1.5, {"x": 'q"\n\\', "y": "2"}), ("b", 3.0, {}), ("c", math.inf, {})]
    for bad in ("a{x=1} 2", "a b c d", "a one", 'a{x="1} 2'):
        with pytest.raises(InvalidSpecError, match="text format"):
            parse_exposition(bad)


def followed(rows):
    """Return the counters of a VM after each (host, values) of `rows`."""
    tracker, layouts, found = CounterTracker(), Layouts(), []
    for host, counters in rows:
        layout = layouts.of(SeriesKey(name, labels) for name, labels in counters)
        one = Measured("vm", "1", host, (), layout, [float(v) for v in counters.values()])
        tracker.follow([one])
        found.append(one.values)
    return found


CPU, VDA, VDB = ("cpu_total", ()), ("reads_total", (("disk", "vda"),)), ("reads_total", (("disk", "vdb"),))


def test_counters_never_fall():
    """A VM that is started again, that migrates, whose disk is replaced, and that was off."""
    rows = [
        ("a", {CPU: 10, VDA: 100}),
        ("a", {CPU: 20, VDA: 150}),
        ("a", {CPU: 1, VDA: 200}),  # started again: more reads than ever before
        ("b", {CPU: 50, VDA: 300}),  # migrated: all counters are higher
        ("b", {CPU: 60, VDA: 5}),  # the disk was replaced
        ("b", {CPU: 61, VDA: 6, VDB: 9}),
    ]
    assert followed(rows) == [[10, 100], [20, 150], [21, 350], [71, 650], [81, 655], [82, 656, 9]]


def test_a_vm_that_was_off_counts_on(site):
    tracker, layouts = CounterTracker(), Layouts()
    on, off = layouts.of([SeriesKey("cpu_total")]), layouts.of([SeriesKey("novacron_vm_running")])
    for layout, given, expected in ((on, 5.0, 5.0), (off, 0.0, 0.0), (on, 6.0, 11.0)):
        one = Measured("vm", "1", "a", (), layout, [given])
        tracker.follow([one])
        assert one.values == [expected]


def test_the_series_follows_the_vm(site, hosts):
    """Ten migrations and two restarts, with a new collector in the middle: no gap, no negative rate, no double."""
    one, two = (site.fleet.hosts[name] for name in hosts)
    vm = one.vms.create(name="traveller", memory="64MiB", disks=[{"size": "1GiB"}], start=True)
    metrics = site.fleet.metrics
    collector, found = metrics.collector(), []
    for number in range(14):
        if number in (4, 9):
            vm.stop()
            vm.start()
        elif number:
            vm = vm.migrate(two if vm.host.name == one.name else one)
        if number == 7:
            metrics.release_collection(collector.lease)
            collector = metrics.collector()
        made = collector.collect()
        found.append([s.value for s in made.samples() if s.metric == "novacron_vm_cpu_seconds_total" and s.labels["vm"] == vm.id])
    assert all(len(each) == 1 for each in found)
    counters = [each[0] for each in found]
    assert counters == sorted(counters)
    assert len(metrics.storage.objects("vm", vm.id)) == 1


def test_the_clock_may_jump(site, hosts, monkeypatch):
    metrics = site.fleet.metrics
    collector, clock = metrics.collector(interval=60), [1000.0]
    monkeypatch.setattr(metrics.storage, "now", lambda: clock[0])
    times = []
    for now in (1000.0, 1060.0, 400.0, 460.0, 9000.0):
        clock[0] = now
        times.append(collector.collect().at)
    assert times[:2] == [1000.0, 1060.0]
    assert 1060.0 < times[2] < times[3] < 1070.0
    assert times[4] == 9000.0
    assert "clock" not in collector.latest.problems
    for minute in range(130):
        clock[0] = 9060.0 + 60 * minute
        collector.collect()
    clock[0] -= 7200
    said = collector.collect().problems["clock"]
    assert "2h" in said
    clock[0] -= 2.5
    assert collector.collect().problems["clock"] == said  # it is not another problem in each round
    clock[0] += 7300
    assert "clock" not in collector.collect().problems


def test_rounds_wait_for_the_database(site, hosts, monkeypatch):
    metrics = site.fleet.metrics
    collector = metrics.collector()
    collector.collect()
    write = metrics.storage.write

    def away(*_, **__):
        raise StorageError("the database is away")

    monkeypatch.setattr(metrics.storage, "write", away)
    made = [collector.collect() for _ in range(3)]
    assert all("rounds wait in memory" in one.problems["database"] for one in made)
    monkeypatch.setattr(metrics.storage, "write", write)
    last = collector.collect()
    assert "database" not in last.problems
    assert len(metrics.storage.rounds(0, last.at)) == 5
