"""Each default rule is provoked: on simulated hosts, from the fault on the host to the alert, and its end resolves it.

The rules that tests/e2e/test_alerts.py provokes on real hosts are marked in docs/monitoring.md, which lists where each rule was provoked.
"""

import ast
import base64
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from novacron.drivers import sim
from novacron.drivers.sim.operations import metrics
from novacron.drivers.sim.operations.metrics import SimMetrics
from novacron.drivers.sim.state.machine import Snapshotted
from novacron.errors import SnapshotError
from novacron.monitoring.alerting.defaults import RULES
from novacron.monitoring.service import MonitorService
from novacron.records.host import Expiration
from novacron.records.series import Sample
from novacron.records.snapshots import Checkpoint
from novacron.site import Site
from novacron.store.tables import runs
from novacron.workflow import steps

ROOT = Path(__file__).parents[3]
DAY, GIB = 86400.0, 2**30
STEP = 140.0
"""Seconds between two rounds: a window of five minutes has at least two values of a counter."""


class Fleet:
    """One simulated host, whose clock and that of the database go on by steps, and its monitoring."""

    def __init__(self, site, name, monkeypatch):
        site.fleet.add(name, f"sim://{name}?vms=11")
        self.site, self.host = site, site.fleet.hosts[name]
        self.world = self.host.dispatcher.driver.native.world
        for vm in self.world.all():
            self.world.set_status(self.world.find(vm.name), "running", "booted")
        self.clock = [time.time()]
        self.faults = {}
        self._measured = SimMetrics._measured
        monkeypatch.setattr(site.fleet.metrics.storage, "now", lambda: self.clock[0])
        monkeypatch.setattr(SimMetrics, "_seconds", lambda area, vm: self.clock[0] if vm.active else 0.0)
        monkeypatch.setattr(metrics, "_share", lambda vm: 0.2)
        monkeypatch.setattr(SimMetrics, "_measured", lambda area, vm, at: self.measured(area, vm, at))
        self.service = MonitorService(site.fleet.metrics, say=lambda _: None, alerts=site.fleet.alerts)
        self.step(1)
        (self.inspection,) = (source for source in self.service._collector._sources if source.name == "inspection")
        self.inspection._under_way.result(120)
        self.inspection._next = float("inf")  # from now on it reads when the test says so

    def vm(self, number):
        return self.world.find(f"vm-{number:05}")

    def measured(self, area, vm, at):
        """Return what the simulated host measures, changed by the fault of the VM. The counters grow with the clock of the test."""
        record = self._measured(area, vm, at)
        name = self.world.find(vm.id).name
        return record.replace(**self.faults[name](record, self.clock[0])) if name in self.faults else record

    def step(self, count, *, inspect=False, seconds=STEP):
        for _ in range(count):
            self.clock[0] += seconds
            if inspect:
                self.inspection.refresh()
            assert self.service.step() is not None

    def firing(self):
        found = self.site.fleet.alerts.list("firing")
        assert all(one.annotations["description"] and "{{" not in one.annotations["summary"] for one in found)
        return {(one.rule, one.labels.get("name") or one.labels.get("source") or "") for one in found}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    name = "provoked-rules"
    with Site(tmp_path_factory.mktemp("provoked") / "state") as site, pytest.MonkeyPatch.context() as monkeypatch:
        yield Fleet(site, name, monkeypatch)
        sim.forget(name)


@pytest.fixture
def fleet(shared):
    """A fleet on which nothing fires."""
    shared.step(3)
    assert shared.firing() == set()
    return shared


def ago(seconds):
    return datetime.fromtimestamp(time.time() - seconds, UTC).isoformat()


def grows(**rates):
    """Return a fault: counters of the VM that grow by so much in a second."""
    return lambda record, now: {name: rate * now for name, rate in rates.items()}


def is_set(**values):
    return lambda record, now: values


def of_disks(**rates):
    return lambda record, now: {"disks": tuple(disk.replace(**{n: r * now for n, r in rates.items()}) for disk in record.disks)}


def drops(record, now):
    return {"nics": tuple(nic.replace(dropped=int(50 * now)) for nic in record.nics)}


MEASURED = {
    "VMCPUHigh": lambda record, now: {"cpu_seconds": 0.99 * record.vcpus * now},
    "VMCPUReady": lambda record, now: {"cpu_ready_seconds": 0.3 * record.vcpus * now},
    "VMMemoryLow": is_set(memory_guest_bytes=GIB, memory_usable_bytes=GIB // 50),
    "VMBallooned": is_set(
        memory_guest_bytes=100 * GIB, memory_usable_bytes=8 * GIB, memory_bytes=60 * GIB, memory_maximum_bytes=100 * GIB
    ),
    "VMSwapping": grows(swapped_in_bytes=2**20, swapped_out_bytes=2**20),
    "VMDiskLatencyHigh": of_disks(reads=100, read_seconds=8),
    "VMPacketsDropped": drops,
}
"""What the host measures of a VM, for each rule about a measured value."""
STATUSES = {
    "VMCrashed": ("crashed", "killed"),
    "VMPausedOnIOError": ("suspended", "ioerror"),
    "VMStoppedThoughAutostart": ("stopped", "shut down"),
    "VMJobStuck": ("migrating", "migrating"),
}


def test_faults_of_vms_fire_their_rules_and_resolve(fleet):
    """Eleven VMs with a fault each: exactly their rules fire. Then all are well again."""
    vms = dict(zip([*MEASURED, *STATUSES], range(1, 12), strict=True))
    fleet.faults = {fleet.vm(vms[rule]).name: fault for rule, fault in MEASURED.items()}
    fleet.vm(vms["VMStoppedThoughAutostart"]).autostart = True
    for rule, (status, reason) in STATUSES.items():
        fleet.world.set_status(fleet.vm(vms[rule]), status, reason)
    fleet.step(28)
    assert fleet.firing() == {(rule, fleet.vm(number).name) for rule, number in vms.items()}
    fleet.faults = {}
    for rule in STATUSES:
        fleet.world.set_status(fleet.vm(vms[rule]), "running", "booted")
    fleet.step(6)
    assert fleet.firing() == set()


def test_what_the_inspection_finds_fires_and_resolves(fleet):
    """Snapshots, the guest agent, late backups and broken checkpoints, and a licence that ends."""
    old, chained, agent, late, broken = map(fleet.vm, range(1, 6))
    kept = {"parent": None, "description": "", "kind": "external", "memory": False}
    old.snapshots["old"] = Snapshotted("old", created_at=ago(4 * DAY), **kept)
    for number in range(6):
        parent = str(number - 1) if number else None
        chained.snapshots[str(number)] = Snapshotted(str(number), created_at=ago(60), **kept | {"parent": parent})
    about = {"host": fleet.host.name, "disks": ("vda",)}
    late.checkpoints = (Checkpoint(name="b1", vm=late.id, created_at=ago(2 * DAY), broken=False, **about),)
    broken.checkpoints = (Checkpoint(name="b1", vm=broken.id, created_at=ago(60), broken=True, **about),)
    agent.agent = False
    expires = ago(-7 * DAY)
    fleet.world.expirations.append(Expiration(kind="license", name="vSphere 8 AB12", host=fleet.host.name, expires_at=expires))
    fleet.step(10, inspect=True)
    snapshots = {"SnapshotOld": old, "SnapshotChainLong": chained}
    expected = {**snapshots, "GuestAgentGone": agent, "BackupLate": late, "CheckpointBroken": broken}
    assert fleet.firing() == {(rule, vm.name) for rule, vm in expected.items()} | {("LicenseExpiring", "")}
    old.snapshots.clear()
    chained.snapshots.clear()
    agent.agent = True
    late.checkpoints = (late.checkpoints[0].replace(name="b2", created_at=ago(60)),)
    broken.checkpoints = ()
    fleet.world.expirations.clear()
    fleet.step(4, inspect=True)
    assert fleet.firing() == set()


def test_a_host_without_room_and_with_a_wrong_clock_fires_and_resolves(fleet):
    cpus, memory, pool = fleet.world.cpus, fleet.world.memory_bytes, fleet.world.pools["default"]
    capacity = pool.capacity_bytes
    used = sum(vm.memory for vm in fleet.world.all())
    fleet.world.clock_offset = -42.0
    fleet.world.cpus = max(1, round(0.2 * sum(vm.vcpus for vm in fleet.world.all())))
    fleet.world.memory_bytes = int(used / 0.98)
    pool.capacity_bytes = int(pool.allocated_bytes / 0.9)
    fleet.step(8)
    assert {rule for rule, _ in fleet.firing()} == {"HostClockWrong", "HostCPUHigh", "HostMemoryHigh", "PoolFilling"}
    fleet.world.clock_offset, fleet.world.cpus, fleet.world.memory_bytes, pool.capacity_bytes = 0.0, cpus, memory, capacity
    fleet.step(6)
    assert fleet.firing() == set()


def test_a_pool_that_fills_within_a_day_is_foretold(fleet, monkeypatch):
    """Half of it is used, and it loses 5 % of its size in an hour."""
    pool, began = fleet.world.pools["default"], fleet.clock[0]
    used = {"of": 500 * GIB, "a second": 1000 * GIB * 0.05 / 3600}
    grown = property(lambda _: int(used["of"] + (fleet.clock[0] - began) * used["a second"]))
    monkeypatch.setattr(type(pool), "allocated_bytes", grown)
    pool.capacity_bytes = 1000 * GIB
    fleet.step(28, seconds=500)
    assert fleet.firing() == {("PoolFullSoon", "")}
    used |= {"of": 300 * GIB, "a second": 0}
    fleet.step(4)
    assert fleet.firing() == set()


def test_a_host_that_does_not_answer_and_sources_that_fail_fire_and_resolve(fleet):
    class Failing:
        name = "failing"

        def definitions(self):
            return ()

        def collect(self):
            raise OSError("it is broken")

    class Bad(Failing):
        name = "bad"

        def collect(self):
            return [Sample(metric="not a name", value=1.0)]

    fleet.site.fleet.add("provoked-absent", "qemu+tcp://127.0.0.1:9/system")
    collector = fleet.service._collector
    collector._sources += [Failing(), Bad()]
    fleet.step(5)
    assert fleet.firing() == {("HostUnreachable", ""), ("MetricSourceDown", "failing"), ("MetricSourceTooLarge", "bad")}
    fleet.site.fleet.remove("provoked-absent")
    Failing.collect = Bad.collect = lambda self: ()
    fleet.step(2)
    assert fleet.firing() == set()


def test_a_run_that_failed_or_does_not_end_fires_and_resolves(fleet):
    """A disk is full, so the run fails and somebody decides. Later it has been running for seven hours."""
    site = fleet.site
    fleet.world.faults.add("snapshot_create", error=SnapshotError("disk full"))
    run = (steps.tag("a") >> steps.snapshot("b")).on_failure("stop").run(fleet.host.vms["vm-00001"])
    assert run.status == "failed"
    fleet.step(1)
    assert fleet.firing() == {("RunNeedsPerson", "")}
    site.fleet.runs.resume(run.id).result(60)
    fleet.step(4)
    assert fleet.firing() == set()
    change(site, run.id, status="running", ended_at=None, created_at=time.time() - 7 * 3600)
    fleet.step(4)
    assert fleet.firing() == {("RunStuck", "")}
    change(site, run.id, status="done", ended_at=time.time())
    fleet.step(4)
    assert fleet.firing() == set()


def change(site, run, **values):
    with site.database.transaction() as connection:
        connection.execute(sa.update(runs).where(runs.c.id == run).values(**values))


@pytest.fixture
def tls_port(tmp_path):
    """The port of a TLS server whose certificate expires in ten days."""
    file = tmp_path / "server.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command = [
        "openssl",
        "req",
        "-x509",
        *curve,
        "-days",
        "10",
        "-subj",
        "/CN=x",
        "-out",
        file,
        "-keyout",
        tmp_path / "server.key",
    ]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, tmp_path / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                    with connection, context.wrap_socket(connection, server_side=True):
                        pass
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(60)


def token(seconds):
    claims = json.dumps({"exp": time.time() + seconds, "iat": time.time() - 100 * DAY}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.x"


def test_a_certificate_and_a_token_that_expire_fire_and_resolve(fleet, tls_port, monkeypatch):
    site = fleet.site
    sink = {"type": "webhook", "url": "http://127.0.0.1:9/", "token": "provoked-token"}
    site.fleet.alerts.load("own", {"receivers": [{"name": "hook", "sinks": [sink]}]})
    monkeypatch.setenv("NOVACRON_SECRET_PROVOKED_TOKEN", token(5 * DAY))
    site.fleet.add("provoked-tls", f"qemu+tls://127.0.0.1:{tls_port}/system")
    fleet.step(1, inspect=True)
    assert fleet.firing() == {("CertificateExpiring", ""), ("TokenExpiring", "")}
    site.fleet.remove("provoked-tls")
    monkeypatch.setenv("NOVACRON_SECRET_PROVOKED_TOKEN", token(90 * DAY))
    fleet.step(4, inspect=True)
    assert fleet.firing() == set()


def provoking_tests():
    """Return the tests that docs/monitoring.md names, by rule."""
    text = (ROOT / "docs" / "monitoring.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|.*\| `([\w/.]+)`(?:, `([\w/.]+)`)? \|$", text, re.MULTILINE)
    return {rule: [one for one in places if one] for rule, *places in rows}


@pytest.mark.parametrize("rule", sorted({rule["alert"] for rule in RULES}))
def test_each_default_rule_has_a_test_that_provokes_it(rule):
    """docs/monitoring.md names the file, and a test in it names the rule as a literal."""
    files = provoking_tests().get(rule)
    assert files, f"add {rule} to the table of default rules in docs/monitoring.md, with the test that provokes it"
    for file in files:
        tree = ast.parse((ROOT / file).read_text())
        literals = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert rule in literals, f"{file} does not provoke {rule}"


def test_the_table_of_default_rules_has_no_others():
    assert set(provoking_tests()) == {rule["alert"] for rule in RULES}
