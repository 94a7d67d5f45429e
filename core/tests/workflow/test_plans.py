"""A plan refuses what the operations would refuse after the steps before them."""

import itertools

import pytest

import novacron
from novacron import errors
from novacron.drivers.sim import world
from novacron.workflow import parallel, steps
from novacron.workflow.kinds.power import STATUS_AFTER
from novacron.workflow.run.engine import ProcessEngine

pytestmark = pytest.mark.usefixtures("own_state")


def test_a_plan_refuses_what_the_operation_refuses_after_the_steps_before_it(hosts):
    """Each pair of power operations, on VMs of each status: the plan is ok exactly when the run succeeds."""
    given = {"vm_shutdown": {"seconds": 5.0, "otherwise": "stop"}}
    made = {name: getattr(steps, name)(**given.get(name, {})) for name in STATUS_AFTER}
    wrong = []
    for status, (first, second) in itertools.product(("running", "stopped"), itertools.product(made, repeat=2)):
        vm = hosts["wf1"].vms.create(name="paired", memory="16MiB", start=status == "running")
        flow = made[first] >> made[second]
        planned = flow.plan(vm).ok
        done = flow.on_failure("stop").run(vm, engine=ProcessEngine()).status == "done"
        if planned != done:
            wrong.append((status, first, second, planned))
        vm.delete(force=True)
    assert wrong == []


def test_a_plan_refuses_to_start_a_vm_twice(vm):
    plan = (steps.vm_stop() >> steps.vm_start() >> steps.vm_start()).plan(vm)
    assert plan.problems == ("step 3, vm_start: 'web1' will be running then; vm_start needs stopped or saved",)


def test_a_plan_knows_what_was_planned_for_another_vm_before(hosts, vm):
    """The plan is ok exactly when the run succeeds: "for each" may name a VM again, and a VM that was moved by then."""
    other = hosts["wf1"].vms.create(name="web2", memory="64MiB", start=True)
    stop, start = steps.vm_stop().each([other]), steps.vm_start().each([other])
    away = steps.migrate(to="wf2").each([other])
    for flow in (stop >> start, stop >> stop, start, stop >> start >> start, away >> away, stop >> steps.vm_stop() >> start):
        planned = flow.plan(vm, hosts=hosts)
        done = flow.on_failure("stop").run(vm, hosts=hosts, engine=ProcessEngine())
        assert planned.ok == (done.status == "done"), (planned.problems, done.flow)
        here = next(host for host in hosts.values() if other.id in host.vms)
        if here is hosts["wf2"]:
            here.vms[other.id].migrate(hosts["wf1"])
        for each in (other, vm):
            if each.refresh().status != "running":
                each.start()


def test_a_plan_treats_a_crashed_vm_as_a_stopped_one(vm):
    world("wf1").find(vm.id).status = "crashed"
    assert steps.vm_start().plan(vm).ok
    assert steps.vm_start().run(vm, engine=ProcessEngine()).status == "done"


@pytest.mark.parametrize("before", [(), ("vm_start",), ("vm_start", "vm_suspend"), ("vm_start", "vm_stop")])
def test_a_plan_refuses_a_snapshot_that_could_not_be_taken_then(hosts, before):
    """The plan is ok exactly when the run succeeds; what counts is the status after the steps before it."""
    wrong = []
    for options in ({}, {"memory": True}, {"quiesce": True}, {"kind": "external"}):
        vm = hosts["wf1"].vms.create(name="snapped", memory="16MiB", disks=[{"size": "1MiB"}])
        flow = steps.snapshot("s", **options)
        for name in reversed(before):
            flow = getattr(steps, name)() >> flow
        planned = flow.plan(vm).ok
        if planned != (flow.on_failure("stop").run(vm, engine=ProcessEngine()).status == "done"):
            wrong.append((options, planned))
        vm.delete(force=True)
    assert wrong == []


def test_a_workflow_does_not_stop_a_vm_without_a_definition(monkeypatch):
    """libvirt forgets a transient VM when it stops: a later step and the undo would not find it."""
    host = novacron.connect("sim://transient")
    vm = host.vms.create(name="w1", start=True)
    as_it_is = type(host).invoke

    def invoke(self, operation, *arguments, **named):
        found = as_it_is(self, operation, *arguments, **named)
        return found.replace(persistent=False) if operation == "vm_get" else found

    monkeypatch.setattr(type(host), "invoke", invoke)
    for flow in (steps.stop() >> steps.start(), steps.shutdown(), steps.vm_stop()):
        assert "'w1' is transient" in " ".join(flow.plan(vm).problems)
    run = (steps.stop() >> steps.start()).run(vm, engine=ProcessEngine())
    assert (run.status, vm.refresh().status) == ("undone", "running")


def test_a_step_of_which_a_function_decides_may_create_a_vm_that_a_later_one_creates(hosts):
    vm = hosts["wf1"].vms.create(name="copied", memory="16MiB")
    whole, linked = steps.clone("copy"), steps.clone("copy", linked=True)
    flow = whole.when(lambda vm: False) >> linked.when(lambda vm: True)
    assert flow.plan(vm).problems == ()
    assert (whole >> linked.when(lambda vm: True)).plan(vm).problems != ()
    assert (whole.when(status="running") >> linked).plan(vm).problems == ()
    assert (whole.when(status="stopped") >> linked).plan(vm).problems != ()
    assert flow.run(vm).status == "done"


def snapshot(name="a", **options):
    return steps.snapshot(name, **options)


@pytest.mark.parametrize(
    ("flow", "what"),
    [
        (snapshot() >> steps.migrate(to="wf2") >> snapshot(), "snapshot"),
        (snapshot() >> steps.vm_stop() >> steps.snapshot_create(spec={"name": "a"}), "snapshot"),
        (parallel(snapshot(), steps.tag("x") >> snapshot()), "snapshot"),
        (snapshot().timeout(60) >> snapshot().retry(2), "snapshot"),
        (steps.stop() >> steps.clone("copy") >> steps.vm_clone(name="copy", linked=False), "VM"),
        (
            steps.disk_attach(spec={"size": "1GiB", "target": "vdc"})
            >> steps.disk_attach(spec={"size": "2GiB", "target": "vdc"}),
            "disk",
        ),
    ],
)
def test_a_flow_that_takes_a_name_twice_is_refused_before_its_first_step(hosts, vm, flow, what):
    """However it is begun: nothing is done that would have to be undone."""
    before = vm.refresh().record
    fleet_runs = novacron.fleet().runs
    for begin in (
        lambda: flow.run(vm, hosts=hosts),
        lambda: flow.run([vm, hosts["wf1"].vms.create(name=f"other-{what.lower()}", memory="16MiB")], hosts=hosts),
        lambda: fleet_runs.submit(flow, [vm]),
        lambda: novacron.fleet().schedules.add("nightly", flow, cron="0 3 * * *", tag="x"),
    ):
        with pytest.raises(errors.WorkflowError, match=f"takes the {what} .* twice") as refused:
            begin()
        assert refused.value.outcome == "not_sent"
        for other in hosts["wf1"].vms.list():
            if other.id != vm.id:
                other.delete()
    assert vm.refresh().record == before
    assert not vm.snapshots
    assert not list(fleet_runs.list())


@pytest.mark.parametrize(
    "flow",
    [
        snapshot() >> steps.delete_snapshot("a") >> snapshot(),
        snapshot().when(status="stopped") >> snapshot(),
        snapshot().on_failure("continue") >> snapshot("b"),
        steps.snapshot("a-{time}") >> steps.snapshot("a-{time}"),
    ],
)
def test_a_flow_that_may_succeed_is_not_refused_for_its_names(vm, flow):
    assert flow.run(vm, engine=ProcessEngine()).status == "done"
