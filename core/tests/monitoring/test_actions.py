"""Flows that alerts begin: once for each alert, within limits, only registered ones, and audited with who asked for them."""

import json
import threading

import pytest

from novacron.errors import InvalidSpecError
from novacron.monitoring.layouts import Layouts, Measured, Round, SeriesKey
from novacron.site import Site


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state", actor="ann") as made:
        yield made


@pytest.fixture
def host(add_host):
    return add_host(3, running=True)


def file_with(**sink):
    return {
        "rules": [{"alert": "DiskFull", "expr": "disk_free < 5"}],
        "receivers": [{"name": "grow", "sinks": [{"type": "flow", **sink}]}],
        "route": {"receiver": "grow", "group_wait": "0s", "group_interval": "0s", "repeat_interval": "1s", "group_by": []},
    }


def minute(notifier, number, layouts=Layouts(), **free):
    """Give the notifier the free space of each VM."""
    at, layout = 1000.0 + 60 * number, layouts.of([SeriesKey("disk_free")])
    measured = [Measured("custom", key, "", labels, layout, [value]) for key, (labels, value) in free.items()]
    notifier.take(Round(at, measured))
    notifier.deliver_now(at)


def of_vm(vm, value):
    return (("name", vm.name), ("vm", vm.id)), value


def runs(site):
    return [(run.name, run.vms[0].name, run.actor) for run in site.fleet.runs.list()]


def audited(site):
    lines = map(json.loads, (site.state.path / "audit.jsonl").read_text().splitlines())
    return [line for line in lines if line["operation"] == "alert_flow"]


def test_an_alert_begins_a_flow_once_and_a_worker_grows_the_disk(site, host):
    """It is repeated each minute, and by another process: one run. Who loaded the file is the actor."""
    vm = host.vms["vm-00001"]
    site.fleet.alerts.load("own", file_with(flow="grow_disk", arguments={"size": "50GiB"}))
    for number in range(4):
        minute(site.fleet.alerts.notifier(None), number, a=of_vm(vm, 3))
    assert runs(site) == [("grow_disk (DiskFull)", "vm-00001", "ann")]
    (line,) = audited(site)
    assert (line["actor"], line["resource"], line["host"]) == ("ann", "vm-00001", host.name)
    assert line["arguments"]["run"] == site.fleet.runs.list()[0].id
    assert not list(site.fleet.alerts.waiting())
    while site.engine.work_on(1) or any(run.ended_at is None for run in site.fleet.runs.list()):
        threading.Event().wait(0.01)
    assert site.fleet.runs.list()[0].status == "done"
    assert host.vms["vm-00001"].disks["vda"].record.size_bytes == 50 * 2**30


def test_a_notification_that_is_delivered_twice_begins_one_run(site, host):
    """As after a kill between the beginning of the run and the record of the delivery."""
    vm = host.vms["vm-00001"]
    site.fleet.alerts.load("own", file_with(flow="grow_disk", arguments={"size": "50GiB"}))
    alerts, delivered = site.fleet.alerts, []
    notifier = alerts.notifier(None)
    notifier._storage.delivered = lambda one, at: delivered.append(one.id)
    minute(notifier, 0, a=of_vm(vm, 3))
    minute(notifier, 0, a=of_vm(vm, 3))
    assert len(delivered) == 2
    assert len(runs(site)) == 1


def test_the_limit_of_runs_an_hour_holds_and_the_rest_waits(site, host):
    site.fleet.alerts.load("own", file_with(flow="grow_disk", arguments={"size": "50GiB"}, per_hour=2))
    notifier = site.fleet.alerts.notifier(None)
    minute(notifier, 0, **{vm.name.replace("-", ""): of_vm(vm, 3) for vm in host.vms.list()})
    assert len(runs(site)) == 2
    (waiting,) = site.fleet.alerts.waiting()
    assert "the limit is 2" in waiting.error
    minute(notifier, 1, **{vm.name.replace("-", ""): of_vm(vm, 90) for vm in host.vms.list()})
    minute(notifier, 30)
    assert len(runs(site)) == 2
    assert not list(site.fleet.alerts.waiting())  # nothing fires any more, so nothing is begun


def test_an_alert_about_a_host_moves_vms_that_have_the_tag(site, host):
    labels = (("host", host.name),)
    content = file_with(flow="evacuate", arguments={"to": "{{ $labels.host }}-spare"}, tag="movable")
    site.fleet.alerts.load("own", content)
    notifier = site.fleet.alerts.notifier(None)
    minute(notifier, 0, a=(labels, 3))
    (waiting,) = site.fleet.alerts.waiting()
    assert "no running VM" in waiting.error
    for name in ("vm-00002", "vm-00003"):
        host.vms[name].update(tags=["movable"])
    minute(notifier, 30, a=(labels, 3))
    ((name, vm, _),) = runs(site)
    assert (name, vm) == ("evacuate (DiskFull)", "vm-00002")
    assert f"{host.name}-spare" in str(site.fleet.runs.list()[0].flow)


@pytest.mark.parametrize(
    ("sink", "path"),
    [
        ({"flow": "format_all"}, "flow"),
        ({"flow": "grow_disk"}, "arguments.size"),
        ({"flow": "grow_disk", "arguments": {"size": "50GiB", "force": 1}}, "arguments.force"),
        ({"flow": "grow_disk", "arguments": {"site": "{{ $labels.x }}"}}, "arguments.site"),
        ({"flow": "grow_disk", "arguments": {"size": "50GiB"}, "per_hour": 0}, "per_hour"),
        ({"flow": "grow_disk", "arguments": {"size": "50GiB"}, "actor": "root"}, "actor"),
        ({"flow": "grow_disk", "arguments": ["50GiB"]}, "arguments"),
    ],
)
def test_only_registered_flows_with_their_parameters_are_loaded(site, sink, path):
    with pytest.raises(InvalidSpecError) as caught:
        site.fleet.alerts.load("own", file_with(**sink))
    assert f"receivers.grow.sinks.0.{path}" in [problem.path for problem in caught.value.problems]
    assert site.fleet.alerts.storage.files() == {}


def test_an_alert_about_nothing_that_a_flow_can_change_says_so(site, host):
    site.fleet.alerts.load("own", file_with(flow="grow_disk", arguments={"size": "50GiB"}))
    minute(site.fleet.alerts.notifier(None), 0, a=((("app", "mail"),), 3))
    (waiting,) = site.fleet.alerts.waiting()
    assert "is not about a VM" in waiting.error
    assert runs(site) == []
