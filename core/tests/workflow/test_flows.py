"""Flows by name, their parameters, and the ready-made ones on simulated hosts."""

from __future__ import annotations

import itertools
import sys
import time
from types import ModuleType

import pytest

import novacron
from novacron.errors import InvalidSpecError, WorkflowError
from novacron.site import Site, default_site
from novacron.workflow import FLOWS, FlowFunction, Workflow, flow, parallel, step, steps

WORLDS = itertools.count()


@pytest.fixture(autouse=True)
def own_flows(monkeypatch):
    """What a test registers ends with it."""
    flows = default_site().flows
    monkeypatch.setattr(flows, "_registered", dict(flows._registered))


@pytest.fixture
def hosts():
    number = next(WORLDS)
    with novacron.connect(f"sim://flows-a-{number}", name="a") as a, novacron.connect(f"sim://flows-b-{number}", name="b") as b:
        yield {"a": a, "b": b}


@pytest.fixture
def vm(hosts):
    return hosts["a"].vms.create(name="web1", memory="64MiB", disks=[{"size": "1MiB"}], start=True)


def run(flow, vm, hosts, /, **arguments):
    return FLOWS[flow](**arguments).run(vm, hosts=hosts)


def test_a_flow_has_parameters_with_types_and_defaults():
    """Text is read as the type says; everything that is wrong is told at once."""

    @flow(name="nightly-thing")
    def nightly(prefix: str, times: int = 1, quiet: bool = False) -> Workflow:
        """Do it every night."""
        return steps.snapshot(f"{prefix}{times}", quiesce=quiet)

    assert FLOWS["nightly-thing"](prefix="n", times="3", quiet="yes").node == steps.snapshot("n3", quiesce=True).node
    assert "times: int = 1" in repr(FLOWS["nightly_thing"])
    with pytest.raises(InvalidSpecError) as caught:
        FLOWS["nightly_thing"](times="many", loud=True)
    assert {p.path for p in caught.value.problems} == {"prefix", "times", "loud"}
    with pytest.raises(WorkflowError) as unknown:
        FLOWS["nightly_thnig"]
    assert "nightly_thing" in unknown.value.hint
    assert "nightly_thing" in FLOWS


def test_flows_are_made_of_flows():
    """Also in files, where a flow is named; what uses itself is said with the way there."""
    stored = {
        "format": 1,
        "name": "mine",
        "flow": {
            "node": "sequence",
            "nodes": [
                {"node": "flow", "name": "backup", "arguments": {"daily": "3", "weekly": 0}},
                {"node": "step", "kind": "start"},
            ],
        },
    }
    made = Workflow.from_dict(stored)
    assert [n.kind for n in made.node.nodes[0].nodes] == ["snapshot", "keep_snapshots"]
    assert Workflow.from_dict(made.as_dict()) == made
    for bad, error in (
        ({"name": "nothing"}, WorkflowError),
        ({"name": "backup", "arguments": {"daily": "x"}}, InvalidSpecError),
        ({"nam": "backup"}, WorkflowError),
        ({"name": "backup", "more": 1}, WorkflowError),
    ):
        with pytest.raises(error):
            Workflow.from_dict({"format": 1, "flow": {"node": "flow", **bad}})

    @flow
    def first() -> Workflow:
        return FLOWS["second"]()

    @flow
    def second() -> Workflow:
        return steps.start() >> FLOWS["first"]()

    with pytest.raises(WorkflowError, match="first > second > first"):
        first()


def test_migrate_then_snapshot(hosts, vm):
    assert run("migrate_then_snapshot", vm, hosts, to="b", name="after").status == "done"
    assert [s.name for s in hosts["b"].vms["web1"].snapshots.list()] == ["after"]


def test_a_patch_that_is_verified_stays(hosts, vm):
    vm.guest.write("/etc/motd", b"before")
    assert run("patch", vm, hosts, command="echo patched").status == "done"
    assert vm.snapshots.list() == []
    assert run("patch", vm, hosts, command="true", keep=True).status == "done"
    assert [s.name for s in vm.snapshots.list()] == ["before-patch"]


@pytest.mark.parametrize(("command", "verify"), [("echo x", "false"), ("false", "true"), ("no-such-program", "true")])
def test_a_patch_that_fails_leaves_the_vm_as_it_was(hosts, vm, command, verify):
    """Whether the command or its verification fails: the run is undone, nobody has to look."""
    vm.guest.write("/etc/motd", b"before")
    done = run("patch", vm, hosts, command=command, verify=verify)
    assert done.status == "undone", done
    assert vm.refresh().status == "running"
    assert vm.snapshots.list() == []
    assert vm.guest.read("/etc/motd") == b"before"


def test_evacuating_moves_every_vm(hosts, vm):
    others = [hosts["a"].vms.create(name=f"web{n}", memory="64MiB", start=n % 2 == 0) for n in range(2, 7)]
    done = FLOWS["evacuate"](to="b").run(hosts["a"].vms.list(), hosts=hosts, max_parallel=2)
    assert done.status == "done"
    assert hosts["a"].vms.list().total == 0
    assert {v.name: v.status for v in hosts["b"].vms.list()} == {v.name: v.status for v in (vm, *others)}


def test_a_rolling_restart_waits_until_the_guest_is_well(hosts, vm):
    assert run("rolling_restart", vm, hosts, check="true").status == "done"
    assert vm.refresh().status == "running"
    failed = run("rolling_restart", vm, hosts, check="false", healthy_within="1s")
    assert failed.status == "undone"
    assert "exit status 1" in str(failed.exception())
    assert vm.refresh().status == "running"


def test_a_fan_out_makes_all_copies_or_none(hosts, vm):
    vm.stop()
    assert run("fan_out", vm, hosts, names="c1+c2+c3").status == "done"
    assert {v.name for v in hosts["a"].vms.list()} == {"web1", "c1", "c2", "c3"}
    assert run("fan_out", vm, hosts, names=["d1", "c2"], linked=False).status == "undone"
    assert {v.name for v in hosts["a"].vms.list()} == {"web1", "c1", "c2", "c3"}
    plan = FLOWS["fan_out"](names=["c1"]).plan(vm, hosts=hosts)
    assert not plan.ok
    assert "already" in str(plan)


def test_a_backup_keeps_what_it_should(hosts, vm):
    for _ in range(3):
        time.sleep(1.1)  # the time in their names has whole seconds
        assert run("backup", vm, hosts, prefix="b-", last=2, daily=0, weekly=0).status == "done"
    assert len(vm.snapshots.list()) <= 2


def test_disks_move_and_move_back(hosts, vm):
    hosts["a"].pools.create(name="fast", path="/fast")
    before = vm.refresh().record.disks[0].pool
    assert run("migrate_storage", vm, hosts, pool="fast").status == "done"
    assert vm.refresh().record.disks[0].pool == "fast"
    undone = (steps.migrate_storage(before) >> steps.revert("none")).run(vm, hosts=hosts)
    assert undone.status == "undone"
    assert vm.refresh().record.disks[0].pool == "fast"
    assert "fst" in str(FLOWS["migrate_storage"](pool="fst").plan(vm, hosts=hosts))


def test_health_is_asked_again_until_it_is_there(hosts, vm):
    """A guest that is not up yet is no failure."""
    vm.stop()
    done = parallel(steps.healthy(within="20s"), steps.start()).run(vm, hosts=hosts)
    assert done.status == "done", done


def test_a_step_uses_what_an_earlier_one_returned(hosts, vm):
    """By its name: in text, or as the value itself; functions see all of them. What was used is undone with it."""

    @step
    def choose(context):
        return {"host": "b", "nested": {"list": ["x", "y"]}}

    @step
    def seen(context):
        return dict(context.results)

    flow = (
        choose().named("chosen")
        >> steps.migrate("{chosen.host}")
        >> steps.update(description="to {chosen.host}, {chosen.nested.list.1}")
        >> seen().named("all")
    )
    plan = flow.plan(vm, hosts=hosts)
    assert plan.ok, plan
    assert "can only be checked then" in str(plan)
    run_ = flow.run(vm, hosts=hosts)
    assert run_.status == "done", run_
    assert vm.host.name == "b"
    assert vm.refresh().record.description == "to b, y"
    assert run_.result()["chosen"]["host"] == "b"
    back = (
        choose().named("chosen").undo(steps.nothing())
        >> steps.migrate("a")
        >> steps.migrate("{chosen.host}")
        >> steps.revert("none")
    ).run(vm, hosts=hosts)
    assert back.status == "undone", back
    assert "web1" in hosts["b"].vms


def test_a_name_that_nobody_has_is_said_in_the_plan(hosts, vm):
    """And a run ends there, undone."""
    flow = steps.tag("x") >> steps.update(description="{copy.id}")
    assert "named 'copy'" in str(flow.plan(vm, hosts=hosts))
    assert flow.run(vm, hosts=hosts).status == "undone"
    assert vm.refresh().tags == frozenset()
    wrong = steps.tag("y").named("it") >> steps.update(description="{it.nothing}")
    assert wrong.run(vm, hosts=hosts).status == "undone"
    for name in ("time", "", "Big", "a b", "1"):
        with pytest.raises(WorkflowError):
            steps.start().named(name)
    with pytest.raises(WorkflowError):
        (steps.start() >> steps.stop()).named("both")
    assert Workflow.from_dict(wrong.as_dict()) == wrong


def test_a_step_in_a_file_is_written_as_in_python_with_its_defaults():
    """In a sequence, in a branch, with a hyphen; and what is wrong with it is said."""
    written = {
        "format": 1,
        "name": "by-hand",
        "flow": {
            "node": "sequence",
            "nodes": [
                {"step": "tag", "add": ["moving"]},
                {"step": "migrate", "to": "b", "bandwidth": "1MiB/s"},
                {"node": "parallel", "nodes": [{"step": "delete-snapshot", "name": "old"}, {"step": "vm_reboot"}]},
            ],
        },
    }
    by_hand = (
        steps.tag("moving") >> steps.migrate("b", bandwidth="1MiB/s") >> parallel(steps.delete_snapshot("old"), steps.vm_reboot())
    )
    assert Workflow.from_dict(written).node == by_hand.node
    for wrong, said in (
        ({"step": "snapshott", "name": "a"}, "no step 'snapshott'"),
        ({"step": "tag", "added": ["a"]}, "step tag: it has no added, it has add"),
        ({"step": "snapshot"}, "step snapshot: name is missing"),
        ({"node": "step", "kind": "tag", "arguments": {"add": ["a"]}}, "the step 'tag' lacks an argument: 'remove'"),
    ):
        with pytest.raises(WorkflowError, match=said) as caught:
            Workflow.from_dict({"format": 1, "name": "", "flow": wrong})
        assert caught.value.hint
    with pytest.raises(InvalidSpecError, match="name: got"):
        Workflow.from_dict({"format": 1, "name": "", "flow": {"step": "snapshot", "name": "a b"}})


def test_flows_belong_to_the_site_they_were_registered_with(tmp_path):
    """A run of a site finds the flows of that site, also when it is read from the database."""

    def only_here(name: str) -> Workflow:
        return steps.snapshot(name)

    stored = {"format": 1, "flow": {"node": "flow", "name": "only_here", "arguments": {"name": "s"}}}
    with Site(tmp_path / "a") as a, Site(tmp_path / "b") as b:
        a.flows.register(FlowFunction(only_here, "only_here"))
        assert "only_here" in a.flows.names()
        assert a.engine.read(stored).node == steps.snapshot("s").node
        assert "only_here" not in b.flows
        assert "only_here" not in FLOWS
        with pytest.raises(WorkflowError, match="no flow 'only_here'"):
            b.engine.read(stored)


def test_a_flow_at_the_top_of_a_loaded_module_is_found_by_every_site(tmp_path, monkeypatch):
    module = ModuleType("declared_here_for_a_test")
    exec(
        "from novacron.workflow import Workflow, flow, steps\n"
        "@flow\ndef declared_in_a_module(name: str) -> Workflow:\n    return steps.snapshot(name)\n",
        module.__dict__,
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with Site(tmp_path) as site:
        assert site.flows["declared-in-a-module"] is module.declared_in_a_module
        default_site().close()  # the next default site has registered nothing
        assert FLOWS.declared_in_a_module(name="s").node == steps.snapshot("s").node
