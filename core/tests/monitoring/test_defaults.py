"""The default rules: each one fires and resolves, and a healthy day raises no alert."""

import math
import random

import pytest

from novacron.monitoring.alerting.defaults import RULES, default_configuration
from novacron.monitoring.alerting.evaluation import Samples
from novacron.monitoring.alerting.states import AlertStates
from novacron.monitoring.service import MonitorService


def service(site, **more):
    return MonitorService(site.fleet.metrics, say=lambda _: None, alerts=site.fleet.alerts, interval=60, **more)


def firing(site):
    return {(one.rule, one.labels.get("name") or one.labels.get("host")) for one in site.fleet.alerts.list("firing")}


def test_default_rules_fire_and_resolve(site, add_host, monkeypatch):
    """On a simulated fleet: a crashed VM, one paused on an I/O error, a full pool, an old snapshot, a host that does not answer."""
    host = add_host(3)
    world = host.dispatcher.driver.native.world
    clock = [1_800_000_000.0]
    monkeypatch.setattr(site.fleet.metrics.storage, "now", lambda: clock[0])
    running = service(site)

    def minutes(count):
        for _ in range(count):
            clock[0] += 60
            running.step()

    minutes(3)
    assert firing(site) == set()
    vms = {name: world.find(name) for name in ("vm-00001", "vm-00002")}
    world.set_status(vms["vm-00001"], "crashed", "test")
    world.set_status(vms["vm-00002"], "suspended", "ioerror")
    minutes(1)
    assert firing(site) == {("VMCrashed", "vm-00001"), ("VMPausedOnIOError", "vm-00002")}
    world.set_status(vms["vm-00001"], "running", "booted")
    world.set_status(vms["vm-00002"], "running", "resumed")
    minutes(1)
    assert firing(site) == set()
    site.fleet.add("absent", "qemu+tcp://127.0.0.1:9/system")
    minutes(4)
    assert firing(site) == {("HostUnreachable", "absent")}
    site.fleet.remove("absent")
    minutes(1)
    assert firing(site) == set()
    running.close()


START = 1_800_000_000.0
DAY = 86400.0
HOST, VM_LABELS = {"host": "kvm1"}, {"vm": "6b1f", "name": "web1"}
LABELS = {
    "host": HOST,
    "pool": {**HOST, "pool": "p"},
    "vm": VM_LABELS,
    "run": {"run": "r1"},
    "certificate": HOST,
    "license": {**HOST, "license": "vSphere 8 AB12"},
    "token": {"token": "chat"},
    "source": {"source": "app"},
}
DEVICE = {"vm_disk": {"disk": "vda"}, "vm_nic": {"nic": "0"}}
GIB = 2**30


def ago(seconds):
    return lambda at, since: at - seconds


FAULTS = {
    ("HostUnreachable", "critical"): {"host_up": (1, 0)},
    ("HostClockWrong", "warning"): {"host_clock_offset_seconds": (-0.3, -42)},
    ("HostCPUHigh", "critical"): {"host_cpus": (8, 8), "host_cpu_seconds_total": (2, 7.8)},
    ("HostCPUHigh", "warning"): {"host_cpus": (8, 8), "host_cpu_seconds_total": (2, 6.5)},
    ("HostMemoryHigh", "critical"): {"host_memory_bytes": (100, 100), "host_memory_free_bytes": (40, 3)},
    ("HostMemoryHigh", "warning"): {"host_memory_bytes": (100, 100), "host_memory_free_bytes": (40, 8)},
    ("PoolFilling", "critical"): {"pool_capacity_bytes": (100, 100), "pool_allocated_bytes": (50, 90)},
    ("PoolFilling", "warning"): {"pool_capacity_bytes": (100, 100), "pool_allocated_bytes": (50, 80)},
    ("PoolFullSoon", "warning"): {
        "pool_capacity_bytes": (1000 * GIB, 1000 * GIB),
        "pool_available_bytes": (700 * GIB, lambda at, since: (700 - (at - since) / 60) * GIB),
    },
    ("VMCrashed", "critical"): {"vm_crashed": (0, 1)},
    ("VMPausedOnIOError", "critical"): {"vm_io_error": (0, 1)},
    ("VMStoppedThoughAutostart", "warning"): {"vm_stopped": (0, 1), "vm_autostart": (1, 1)},
    ("VMJobStuck", "warning"): {"vm_changing": (0, 1)},
    ("GuestAgentGone", "warning"): {"vm_agent_connected": (1, 0)},
    ("VMCPUReady", "warning"): {"vm_vcpus": (2, 2), "vm_cpu_ready_seconds_total": (0.02, 0.5)},
    ("VMCPUHigh", "warning"): {"vm_vcpus": (2, 2), "vm_cpu_seconds_total": (0.5, 1.99)},
    ("VMMemoryLow", "warning"): {"vm_memory_guest_bytes": (100, 100), "vm_memory_usable_bytes": (50, 3)},
    ("VMBallooned", "warning"): {
        "vm_memory_guest_bytes": (100, 100),
        "vm_memory_usable_bytes": (50, 8),
        "vm_memory_bytes": (100, 60),
        "vm_memory_maximum_bytes": (100, 100),
    },
    ("VMSwapping", "warning"): {"vm_swapped_in_bytes_total": (0, 2**20), "vm_swapped_out_bytes_total": (4096, 2**20)},
    ("VMDiskLatencyHigh", "read"): {"vm_disk_reads_total": (100, 100), "vm_disk_read_seconds_total": (0.1, 8)},
    ("VMDiskLatencyHigh", "write"): {"vm_disk_writes_total": (100, 100), "vm_disk_write_seconds_total": (0.1, 9)},
    ("VMPacketsDropped", "warning"): {"vm_nic_dropped_total": (0, 50)},
    ("SnapshotOld", "warning"): {"vm_oldest_snapshot_seconds": (ago(DAY), ago(4 * DAY))},
    ("SnapshotChainLong", "warning"): {"vm_snapshot_chain_length": (2, 6)},
    ("RunNeedsPerson", "warning"): {"run_needs_person": (0, 1)},
    ("RunStuck", "warning"): {"run_age_seconds": (60, 7 * 3600)},
    ("BackupLate", "warning"): {"vm_newest_checkpoint_seconds": (ago(DAY), ago(2 * DAY))},
    ("CheckpointBroken", "warning"): {"vm_broken_checkpoints": (0, 1)},
    ("LicenseExpiring", "warning"): {"license_expiry_seconds": (ago(-100 * DAY), ago(-10 * DAY))},
    ("TokenExpiring", "warning"): {"token_expiry_seconds": (ago(-100 * DAY), ago(-10 * DAY))},
    ("CertificateExpiring", "warning"): {"certificate_expiry_seconds": (ago(-100 * DAY), ago(-10 * DAY))},
    ("MetricSourceDown", "warning"): {"source_up": (1, 0)},
    ("MetricSourceTooLarge", "warning"): {"source_dropped_samples": (0, 7)},
}
"""The value of each metric on a healthy day, and with the fault. A counter's is its growth a second; a function gets time and start."""
TOO = {("PoolFullSoon", "warning"): {("PoolFilling", "warning"), ("PoolFilling", "critical")}}


class Feed:
    """Gives alerts the values of each minute."""

    def __init__(self):
        rules = default_configuration().rules
        self.at, self.samples, self.states, self.counters = START, Samples(), AlertStates(rules), {}
        self.horizons = {metric: 7 * 3600.0 for rule in rules for metric in rule.horizons()}

    def put(self, metric, value, **labels):
        if metric.endswith("_total"):
            key = (metric, *labels.items())
            value = self.counters[key] = self.counters.get(key, 0.0) + 60 * value
        self.samples.add(f"novacron_{metric}", labels, self.at, value)

    def evaluate(self):
        self.states.evaluate(self.samples, self.at)
        self.samples.forget({metric: self.at - seconds for metric, seconds in self.horizons.items()})
        self.at += 60.0
        return self.alerts("firing")

    def alerts(self, state):
        known = (one.alert for one in self.states.known.values() if one.alert.state == state)
        return {(one.rule, one.labels.get("direction") or one.labels["severity"]) for one in known}


def labels_of(metric):
    device = next((more for prefix, more in DEVICE.items() if metric.startswith(prefix)), {})
    return {**LABELS[metric.partition("_")[0]], **device}


def test_slow_writes_fire_although_reads_are_quick():
    """Two rules have this name, and neither takes the other's alerts for its own."""
    feed, reads, writes = Feed(), FAULTS["VMDiskLatencyHigh", "read"], FAULTS["VMDiskLatencyHigh", "write"]
    for _ in range(30):
        for metric, values in reads.items():
            feed.put(metric, values[0], **labels_of(metric))
        for metric, values in writes.items():
            feed.put(metric, values[1], **labels_of(metric))
        feed.evaluate()
    assert feed.alerts("firing") == {("VMDiskLatencyHigh", "write")}


def test_each_default_rule_has_a_fault():
    named = {(rule["alert"], rule["labels"].get("direction") or rule["labels"]["severity"]) for rule in RULES}
    assert named == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids="-".join)
def test_a_fault_fires_its_rule_and_its_end_resolves_it(fault):
    """All default rules see the values of one fault: nothing else fires. The alert says what to do."""
    feed, rule = Feed(), next(one for one in default_configuration().rules if one.alert == fault[0])
    hold = max(one.hold for one in default_configuration().rules if one.alert == fault[0])
    feverish = 500 if fault[0] == "PoolFullSoon" else int(hold / 60) + 12

    def minutes(count, faulty):
        since, fired = feed.at, set()
        for _ in range(count):
            for metric, values in FAULTS[fault].items():
                value = values[faulty]
                feed.put(metric, value(feed.at, since) if callable(value) else value, **labels_of(metric))
            fired |= feed.evaluate()
        return fired

    assert minutes(400 if fault[0] == "PoolFullSoon" else 20, faulty=False) == set()
    severities = {fault} if fault[1] != "critical" else {fault, (fault[0], "warning")}
    fired = minutes(feverish, faulty=True)
    assert fault in fired
    assert fired <= severities | TOO.get(fault, set())
    assert fault in feed.alerts("firing")
    (alert,) = (
        one.alert
        for one in feed.states.known.values()
        if one.alert.state == "firing"
        and one.alert.rule == rule.alert
        and fault[1] in (one.alert.labels.get("direction") or one.alert.labels["severity"],)
    )
    assert all(text and "{{" not in text and "%!" not in text for text in alert.annotations.values())
    assert alert.annotations["description"].endswith(".")
    minutes(12, faulty=False)
    assert feed.alerts("firing") == set()
    assert fault in feed.alerts("resolved")


def test_a_healthy_fleet_raises_no_alert(sample):
    """24 hours of normal noise: short peaks of CPU, swap and ready time, VMs that are moved and restarted, pools that grow slowly."""
    hosts, vms = sample(("a", 2), ("ab", 4))
    for seed in range(sample(1, 10)):
        chance, feed = random.Random(seed), Feed()
        for minute in range(1440):
            healthy_minute(feed, chance, minute, hosts, vms)
            assert feed.evaluate() == set(), (seed, minute)


def healthy_minute(feed, chance, minute, hosts, vms):
    for host in hosts:
        load = 0.35 + 0.2 * math.sin(minute / 229) + chance.gauss(0, 0.08)
        used = 2**40 * (0.5 + minute / 1440 * 0.01) + chance.randrange(2**33)
        gauges = {
            "host_up": float(chance.random() > 0.002),
            "host_clock_offset_seconds": chance.gauss(0, 0.5),
            "host_cpus": 16,
            "host_memory_bytes": 2**36,
            "host_memory_free_bytes": 2**36 * (0.3 + chance.random() * 0.1),
            "host_cpu_seconds_total": 16 * max(0.0, min(1.0, load)),
            "certificate_expiry_seconds": START + 200 * DAY,
            "license_expiry_seconds": START + 200 * DAY,
        }
        for metric, value in gauges.items():
            feed.put(metric, value, host=host)
        for metric, value in {"capacity": 2**40, "allocated": used, "available": 2**40 - used}.items():
            feed.put(f"pool_{metric}_bytes", value, host=host, pool="p")
    for number in range(vms):
        moving = minute % 360 < 20 and minute // 360 == number
        restarted = minute % 480 < 5 and minute // 480 == number
        healthy_vm(feed, chance, {"vm": str(number), "name": f"web{number}"}, moving=moving, restarted=restarted)
    feed.put("run_age_seconds", minute % 90 * 60.0, run=f"r{minute // 90}")
    feed.put("run_needs_person", 0, run=f"r{minute // 90}")
    feed.put("source_up", 1, source="app")
    feed.put("source_dropped_samples", 0, source="app")


def healthy_vm(feed, chance, labels, *, moving, restarted):
    values = {
        "vcpus": 2,
        "crashed": 0,
        "io_error": 0,
        "autostart": 1,
        "stopped": float(restarted),
        "changing": float(moving),
        "agent_connected": float(not restarted),
        "oldest_snapshot_seconds": START - DAY,
        "snapshot_chain_length": 2,
        "newest_checkpoint_seconds": START - 3600,
        "broken_checkpoints": 0,
        "memory_bytes": 2**31,
        "memory_maximum_bytes": 2**31,
        "memory_guest_bytes": 2**31 - 2**26,
        "memory_usable_bytes": 2**31 * (0.15 + 0.2 * chance.random()),
        "cpu_seconds_total": 2 * (1.0 if chance.random() < 0.1 else 0.3),
        "cpu_ready_seconds_total": 2 * (0.3 if chance.random() < 0.05 else 0.02),
        "swapped_in_bytes_total": 2**22 if chance.random() < 0.02 else 0,
        "swapped_out_bytes_total": 0,
    }
    for metric, value in values.items():
        feed.put(f"vm_{metric}", value, **labels)
    for kind in ("read", "write"):
        requests = chance.random() * 80
        feed.put(f"vm_disk_{kind}s_total", requests, disk="vda", **labels)
        feed.put(f"vm_disk_{kind}_seconds_total", requests * chance.choice((0.0005, 0.002, 0.03)), disk="vda", **labels)
    feed.put("vm_nic_dropped_total", chance.randrange(3) / 60, nic="0", **labels)


@pytest.mark.parametrize("metric", ["vm_oldest_snapshot_seconds", "vm_agent_connected"])
def test_an_alert_resolves_when_what_it_is_about_was_deleted(metric):
    """The last snapshot was deleted, or the VM stopped: the series ends."""
    feed = Feed()
    for _ in range(30):
        feed.put(metric, 0, **VM_LABELS)
        fired = feed.evaluate()
    assert len(fired) == 1
    for _ in range(7):
        feed.evaluate()
    assert feed.alerts("firing") == set()
