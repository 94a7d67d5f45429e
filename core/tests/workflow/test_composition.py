"""What wraps steps: conditions, retries, timeouts, undo, failures, branches, several VMs; and steps made of functions."""

import itertools
import re
import subprocess
import threading
import time

import pytest

import novacron
from novacron import errors
from novacron.drivers.sim import world
from novacron.plugins import hookimpl
from novacron.site import default_site
from novacron.workflow import StepKind, Workflow, function, parallel, step, steps
from novacron.workflow.kinds.power import STATUS_AFTER
from novacron.workflow.paths import Path
from novacron.workflow.run.engine import ProcessEngine
from novacron.workflow.run.journal import Journal

pytestmark = pytest.mark.usefixtures("own_state")


@pytest.fixture
def hosts():
    found = {name: novacron.connect(f"sim://{name}", name=name) for name in ("wc1", "wc2")}
    yield found
    for name, host in found.items():
        world(name).faults.clear()
        host.close()


@pytest.fixture
def vm(hosts):
    return hosts["wc1"].vms.create(name="web1", memory="64MiB", start=True)


def snapshots(vm):
    return [s.name for s in vm.snapshots]


@step
def say(context, text):
    """say something"""
    return text


@step
def mark(context, name):
    """mark the VM"""
    context.do("vm_update", changes=novacron.VMUpdate(metadata={name: "yes"}))
    return {"name": name}


@mark.undo
def unmark(context, result):
    """take the mark away"""
    context.do("vm_update", changes=novacron.VMUpdate(metadata={result["name"]: None}))


@function
def is_running(vm):
    return vm.status == "running"


@function
def louder(text):
    return text.upper()


def test_a_step_whose_facts_do_not_hold_is_skipped(hosts, vm):
    flow = (
        steps.stop().when(status="running") >> steps.snapshot("a").when(status="running") >> steps.snapshot("b").when(host="wc1")
    )
    assert [s.skipped for s in flow.plan(vm).steps] == [False, True, False]
    run = flow.run(vm)
    assert [s.status for s in run.steps] == ["done", "skipped", "done"]
    assert snapshots(vm) == ["b"]


def test_a_condition_may_be_a_function_and_is_stored_by_its_name(vm):
    flow = steps.stop().when(is_running) >> steps.snapshot("a").when(is_running)
    assert Workflow.from_dict(flow.as_dict()) == flow
    assert [s.status for s in flow.run(vm).steps] == ["done", "skipped"]


def test_a_lambda_works_but_is_not_stored(vm):
    flow = steps.stop().when(lambda vm: vm.status == "stopped")
    assert [s.status for s in flow.run(vm).steps] == ["skipped"]
    with pytest.raises(errors.WorkflowError, match="can't be stored"):
        flow.as_dict()


@pytest.mark.parametrize("facts", [{}, {"colour": "red"}])
def test_a_condition_of_nothing_known_is_refused(facts):
    with pytest.raises(errors.WorkflowError, match="facts of host, name, status, tag"):
        steps.stop().when(**facts)


def test_a_retry_undoes_the_failed_attempt_first(hosts, vm):
    world("wc1").faults.add("snapshot_create", error=errors.SnapshotError("busy"), resource=None, times=1)
    run = (steps.tag("t") >> steps.snapshot("a")).retry(2, 0).run(vm)
    assert run.status == "done"
    assert [(s.status, s.attempts) for s in run.steps] == [("done", 2), ("done", 2)]
    assert [e.event for e in run.history if e.path.is_within(Path("/body~1/0"))] == ["started", "done", "undoing", "undone"]


def test_a_retry_gives_up_after_its_attempts_and_at_once_where_it_can_not_help(hosts, vm):
    world("wc1").faults.add("snapshot_create", error=errors.SnapshotError("busy"), times=None)
    run = steps.snapshot("a").retry(3, 0).run(vm)
    assert (run.status, run.steps[0].attempts) == ("undone", 3)
    world("wc1").faults.clear()
    world("wc1").faults.add("snapshot_create", error=errors.UnsupportedOperationError("never"), times=None)
    run = steps.snapshot("a").retry(3, 0).run(vm)
    assert (run.status, run.steps[0].attempts) == ("undone", 1)


def test_no_attempt_follows_one_that_could_not_be_undone(hosts, vm):
    world("wc1").faults.add("snapshot_create", error=errors.SnapshotError("busy"), resource=None, times=None)
    world("wc1").faults.add("vm_start", error=errors.StorageError("gone"))
    run = (steps.stop() >> steps.snapshot("a")).retry(3, 0).run(vm)
    assert (run.status, run.steps[1].attempts) == ("failed", 1)


def test_a_timeout_cancels_the_job_and_undoes(hosts, vm):
    flow = steps.snapshot("a") >> steps.migrate("wc2", bandwidth="1MiB/s", max_downtime="1ms").timeout("300ms")
    run = flow.run(vm, hosts=hosts)
    assert run.status == "undone"
    assert isinstance(run.exception().__cause__, errors.OperationTimeoutError)
    assert (vm.host.name, vm.status, snapshots(vm)) == ("wc1", "running", [])


def test_an_undo_of_its_own_replaces_that_of_the_steps(vm):
    flow = (steps.tag("a") >> steps.snapshot("s")).undo(steps.update(description="rolled back")) >> steps.revert("none")
    assert [s.undo for s in flow.plan(vm).steps] == ["update description", "update description", None]
    run = flow.run(vm)
    assert run.status == "undone"
    assert [s.status for s in run.steps] == ["undone", "undone", "failed", "done"]
    assert (vm.tags, vm.record.description, snapshots(vm)) == ({"a"}, "rolled back", ["s"])


def test_what_can_not_be_undone_is_told(vm):
    run = (steps.snapshot("a") >> steps.delete_snapshot("a") >> steps.revert("a")).run(vm)
    assert run.status == "failed"
    assert [s.status for s in run.steps] == ["undone", "undo_failed", "failed"]
    with pytest.raises(errors.WorkflowError, match=r"could not be undone: delete the snapshot 'a' \(.*can't be undone"):
        run.result()


def test_on_failure_stop_leaves_all_as_it_is_and_the_run_can_be_resumed(hosts, vm):
    world("wc2").faults.add("snapshot_create", error=errors.SnapshotError("disk full"))
    run = (steps.migrate("wc2") >> steps.snapshot("a") >> steps.tag("t")).on_failure("stop").run(vm, hosts=hosts)
    assert run.status == "failed"
    assert [s.status for s in run.steps] == ["done", "failed", "waiting"]
    assert vm.host.name == "wc2"
    with pytest.raises(errors.WorkflowError, match="left as it is: migrate to wc2"):
        run.result()
    again = run.resume()
    assert again.status == "done"
    assert again.id == run.id
    assert [e.path for e in again.history if e.event == "started"] == ["/body/0", "/body/1", "/body/1", "/body/2"]
    assert (vm.host.name, snapshots(vm), vm.tags) == ("wc2", ["a"], {"t"})
    with pytest.raises(errors.InvalidStateError, match="only a failed one"):
        again.resume()


def test_on_failure_continue_goes_on(vm):
    run = (steps.revert("none").on_failure("continue") >> steps.snapshot("a")).run(vm)
    assert run.status == "done"
    assert [s.status for s in run.steps] == ["failed", "done"]


def test_on_failure_with_a_flow_does_that_instead(vm):
    tried = steps.tag("tried") >> steps.revert("none")
    run = (tried.on_failure(steps.snapshot("instead")) >> steps.update(description="after")).run(vm)
    assert run.status == "done"
    assert (vm.tags, snapshots(vm), vm.record.description) == (frozenset(), ["instead"], "after")


def test_functions_are_steps_and_results_are_handed_on(vm):
    seen = []

    @step
    def listen(context):
        seen.append(context.previous)

    flow = say(text="hello").then(louder) >> listen()
    run = flow.run(vm)
    assert run.status == "done", str(run)
    assert seen == ["HELLO"]
    assert Workflow.from_dict(say(text="x").then(louder).as_dict()).run(vm).result() == "X"


def test_a_function_step_is_undone_by_its_own_function(vm):
    run = (mark(name="m") >> steps.revert("none")).run(vm)
    assert run.status == "undone"
    assert "m" not in (vm.record.metadata or {})
    assert mark(name="m").plan(vm).steps[0].undo == "take the mark away"


def test_local_functions_of_one_place_are_different_steps_and_not_stored(vm):
    def made(n):
        @step
        def local(context):
            return n

        return local()

    one, two = made(1), made(2)
    assert (one.run(vm).result(), two.run(vm).result()) == (1, 2)
    with pytest.raises(errors.WorkflowError, match="can't be stored"):
        one.as_dict()


def test_a_name_is_taken_once_but_its_own_code_may_replace_it():
    def a(context): ...
    def b(context): ...

    first, second = step(name="taken")(a), step(name="taken")(a)
    assert first.kind is not second.kind
    with pytest.raises(errors.WorkflowError, match="a step 'taken' already"):
        step(name="taken")(b)
    with pytest.raises(errors.WorkflowError, match="a step 'migrate' already"):
        step(name="migrate")(a)


def test_wrong_arguments_of_a_function_step_are_refused_at_once():
    with pytest.raises(errors.WorkflowError, match="missing a required argument: 'text'"):
        say()


def test_a_function_that_raises_fails_its_step_with_the_cause(vm):
    @step
    def broken(context):
        return 1 / 0

    run = (steps.tag("t") >> broken()).run(vm)
    assert run.status == "undone"
    assert isinstance(run.exception().__cause__.__cause__, ZeroDivisionError)


def test_a_result_that_can_not_be_stored_is_refused_and_the_step_undone(vm):
    undone = []

    @step
    def odd(context):
        return object()

    odd.undo(lambda context, result: undone.append(result))
    run = odd().run(vm)
    assert run.status == "undone"
    assert "can't be stored" in str(run.exception())
    assert undone == [None]


def test_plugins_add_steps_by_their_names(vm):
    class Greet(StepKind):
        name = "greet_from_plugin"

        def run(self, context):
            return f"hello {context.read().name}"

    class Plugin:
        @hookimpl
        def register_steps(self):
            return [Greet()]

    plugins = default_site().plugins
    plugins.register(Plugin(), "greeter")
    try:
        assert "greet_from_plugin" in dir(steps)
        assert steps.greet_from_plugin().run(vm).result() == "hello web1"
    finally:
        plugins.disable("greeter")
    with pytest.raises(AttributeError, match="no step 'greet_from_plugin'"):
        steps.greet_from_plugin  # noqa: B018


def test_parallel_does_all_at_once(vm):
    meet = threading.Barrier(2, timeout=60)

    @step
    def here(context, n):
        meet.wait()
        return n

    assert parallel(here(n=1), here(n=2)).run(vm).result() == [1, 2]


def test_a_failure_stops_what_runs_beside_it_and_undoes_all(hosts, vm):
    moving = threading.Event()

    @step
    def fail(context):
        assert moving.wait(60)
        raise errors.StorageError("no")

    move = steps.migrate("wc2", bandwidth="1MiB/s", max_downtime="1ms")
    run = (steps.tag("t") >> parallel(move, fail())).run(
        vm, hosts=hosts, on_progress=lambda p: "migrating" in p.message and moving.set()
    )
    assert run.status == "undone"
    assert isinstance(run.exception().__cause__, errors.StorageError)
    assert (vm.host.name, vm.tags) == ("wc1", frozenset())


def test_several_vms_fail_and_are_undone_each_on_its_own(hosts):
    vms = [hosts["wc1"].vms.create(name=f"v{n}", memory="64MiB", start=True) for n in range(4)]
    world("wc2").faults.add("snapshot_create", error=errors.SnapshotError("disk full"), resource="v2")
    run = (steps.migrate("wc2") >> steps.snapshot("a")).run(vms, hosts=hosts, max_parallel=2)
    assert run.status == "failed"
    assert [vm.host.name for vm in vms] == ["wc2", "wc2", "wc1", "wc2"]
    assert [s.status for s in run.steps if s.vm == "v2"] == ["undone", "failed"]
    with pytest.raises(errors.WorkflowError, match="1 of 4 VMs failed: v2: disk full"):
        run.result()


def test_a_run_of_several_vms_does_no_more_at_a_time_than_asked(hosts):
    vms = [hosts["wc1"].vms.create(name=f"v{n}", memory="64MiB") for n in range(6)]
    guard, now, most = threading.Lock(), [0], [0]

    @step
    def busy(context):
        with guard:
            now[0] += 1
            most[0] = max(most[0], now[0])
        context.wait(0.02)
        with guard:
            now[0] -= 1

    assert busy().run(vms, max_parallel=2).status == "done"
    assert most[0] == 2


def test_cancelling_a_run_of_several_vms_keeps_those_that_are_done(hosts):
    vms = [hosts["wc1"].vms.create(name=f"v{n}", memory="64MiB") for n in range(3)]
    second = threading.Event()

    @step
    def linger(context):
        if context.ref.name == "v1":
            second.set()
            context.wait(10)

    run = (steps.tag("t") >> linger()).run(vms, max_parallel=1, wait=False)
    assert second.wait(10)
    run.cancel()
    with pytest.raises(errors.OperationCancelledError):
        run.result(10)
    assert run.status == "cancelled"
    assert [sorted(vm.refresh().tags) for vm in vms] == [["t"], [], []]


def test_a_change_whose_answer_was_lost_is_found_to_have_happened(hosts, vm):
    world("wc1").faults.add("vm_migrate", error=errors.HostConnectionError("cable cut"), when="after")
    world("wc2").faults.add("snapshot_create", error=errors.HostConnectionError("cable cut"), when="after")
    run = (steps.migrate("wc2") >> steps.snapshot("a")).run(vm, hosts=hosts)
    assert run.status == "done"
    assert (vm.host.name, snapshots(vm)) == ("wc2", ["a"])


def test_a_walk_over_a_journal_repeats_no_finished_step_and_probes_one_of_unknown_outcome(hosts, vm):
    """What a durable engine does after `kill -9`: the same walk, over the entries that were on record."""
    flow = steps.tag("t") >> steps.migrate("wc2") >> steps.snapshot("a")
    whole = flow.run(vm, hosts=hosts).history
    cut = [e for e in whole if e.number < next(x.number for x in whole if x.path == "/1" and x.event == "done")]

    class Restarted(ProcessEngine):
        def journal(self):
            return Journal(cut)

    vm.snapshots["a"].delete()
    source = vm.host.destination()
    stale = hosts["wc1"].vms
    vm.host, vm.record = hosts["wc1"], vm.record  # as it was known when the process was killed
    assert source.name == "wc2"
    assert "web1" not in stale
    run = flow.run(vm, hosts=hosts, engine=Restarted())
    assert run.status == "done", str(run)
    assert [(e.path, e.event) for e in run.history[len(cut) :]] == [("/1", "done"), ("/2", "started"), ("/2", "done")]
    assert (vm.host.name, snapshots(vm)) == ("wc2", ["a"])


def test_a_host_may_be_given_as_a_handle_or_come_from_the_fleet(hosts, vm):
    assert steps.migrate(hosts["wc2"]).run(vm).status == "done"
    novacron.fleet().add("wc1", "sim://wc1")
    stored = Workflow.from_dict((steps.migrate("wc1") >> steps.migrate(hosts["wc2"])).as_dict())
    try:
        assert stored.run(vm).status == "done"
        assert (vm.host.name, vm.status) == ("wc2", "running")
    finally:
        novacron.fleet().close()


def test_an_unknown_host_is_a_problem_of_the_plan_and_fails_the_step(vm):
    flow = steps.migrate("nowhere")
    assert flow.plan(vm).problems == ("step 1, migrate to nowhere: no host named 'nowhere' in the fleet",)
    assert isinstance(flow.run(vm).exception().__cause__, errors.HostNotFoundError)


def test_a_listener_that_raises_fails_nothing(vm):
    assert steps.snapshot("a").run(vm, on_progress=lambda p: 1 / 0).status == "done"


def test_a_flow_is_drawn_as_a_tree_and_as_a_flowchart():
    flow = (steps.snapshot("a").undo(steps.delete_snapshot("a")) >> steps.migrate("b").timeout(60)).on_failure(
        steps.tag("bad")
    ) >> parallel(steps.tag("x") >> steps.suspend(), steps.update(description='say "hi"')).when(status="running")
    assert flow.tree().splitlines() == [
        "tried",
        "  as one",
        "    snapshot 'a'",
        "  undone by",
        "    delete the snapshot 'a'",
        "  within 60 s",
        "    migrate to b",
        "otherwise, once that is undone",
        "  tag +bad",
        "when status=running",
        "  at the same time",
        "    branch 1",
        "      tag +x",
        "      suspend",
        "    update description",
    ]
    lines = flow.mermaid().splitlines()
    nodes = dict(re.fullmatch(r"  (n\d+)\W+(.*?)\W+", line).groups() for line in lines[1:] if '"' in line)
    edges = [re.fullmatch(r"  (n\d+) (-->|-\.->)(?:\|(.*)\|)? (n\d+)", line).groups() for line in lines[1:] if '"' not in line]
    assert len(nodes) + len(edges) == len(lines) - 1
    told = {(nodes[a], kind, words, nodes[b]) for a, kind, words, b in edges}
    assert ("tried", "-.->", "otherwise", "tag +bad") in told
    assert ("as one", "-.->", "undone by", "delete the snapshot 'a") in told
    assert ("status=running", "-->", "yes", "all") in told
    assert ("tag +x", "-->", None, "suspend") in told
    assert {a for a, _, _, b in told if b == "joined"} == {"suspend", "update description"}
    assert {a for a, _, _, b in told if b == "status=running"} == {"migrate to b", "tag +bad"}


def test_graphviz_takes_the_graph_whatever_is_in_a_name():
    """The same boxes and arrows as the flowchart's; quotes, backslashes and line ends do no harm."""
    flow = (steps.run_in_guest('say "a" \\ b') >> steps.tag("x").when(status="running")).on_failure(steps.stop())
    drawn = flow.dot()
    assert drawn.count("->") == sum(line.count("-->") + line.count("-.->") for line in flow.mermaid().splitlines())
    done = subprocess.run(["dot", "-Tplain"], input=drawn, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), drawn
    boxes = [line for line in done.stdout.splitlines() if line.startswith("node ")]
    assert len(boxes) == len([line for line in drawn.splitlines() if "shape=" in line])
    assert done.stdout.count("dashed") == 1


def test_any_operation_on_a_vm_is_a_step(hosts, vm):
    flow = steps.disk_attach(spec={"size": "1GiB"}).undo(steps.disk_detach(disk="vda", delete=True)) >> steps.vm_reboot()
    assert Workflow.from_dict(flow.as_dict()) == flow
    vm.stop()
    assert flow.plan(vm, hosts=hosts).problems == (
        f"step 2, vm_reboot: {vm.name!r} will be stopped then; vm_reboot needs running",
    )
    vm.start()
    assert flow.plan(vm, hosts=hosts).ok
    assert flow.run(vm, hosts=hosts).status == "done"
    assert len(vm.refresh().record.disks) == 1
    with pytest.raises(errors.InvalidSpecError, match=r"disk: missing.*dsik"):
        steps.disk_resize(dsik="vda", size=1)
    with pytest.raises(errors.InvalidSpecError, match="no secret") as refused:
        steps.guest_password_set(user="root", password="hunter2")
    assert "hunter2" not in str(refused.value)
    with pytest.raises(AttributeError, match="did you mean vm_reboot"):
        steps.vm_rebot()


def test_a_step_may_run_a_flow_of_its_own_for_the_vm(hosts, vm):
    """The run around it has the VM's turn, so that the inner one does not wait for it."""

    @step
    def inner(context, tag):
        return steps.tag(tag).run(context.vm(), hosts=context.hosts).status

    assert (inner(tag="a") >> inner(tag="b")).run(vm, hosts=hosts).result() == "done"
    assert parallel(inner(tag="c"), steps.snapshot("s")).run(vm, hosts=hosts).status == "done"
    assert inner(tag="d").run([vm], hosts=hosts).status == "done"
    assert vm.refresh().tags == {"a", "b", "c", "d"}


def test_runs_of_one_vm_take_turns_and_name_whom_they_wait_for(hosts, vm):
    going, go = threading.Event(), threading.Event()

    @step
    def hold(context):
        going.set()
        assert go.wait(60)

    first = hold().run(vm, hosts=hosts, wait=False)
    assert going.wait(60)
    second = steps.tag("t").run(vm, hosts=hosts, wait=False)
    runs = novacron.fleet().runs
    while not (runs[second.id].waits_for and second.progress.message):
        time.sleep(0.02)
    assert runs[second.id].waits_for == first.id
    assert first.id in second.progress.message
    assert "novacron run" not in second.progress.message
    assert second.status == "waiting"
    assert second.history == []
    go.set()
    assert (first.result(60), second.result(60)) == (None, {"changed": ["tags"]})


def test_a_run_is_paused_goes_on_and_is_cancelled_by_another_process_that_asks(hosts, vm):
    """The asking goes through the database, as from any other process."""
    reached, ended, runs = threading.Semaphore(0), threading.Event(), novacron.fleet().runs

    @step
    def linger(context):
        reached.release()
        context.wait(1)
        ended.set()

    @linger.undo
    def nothing_to_undo(context, result):
        pass

    run = (steps.tag("t") >> linger() >> linger() >> steps.snapshot("s")).run(vm, hosts=hosts, wait=False)
    assert reached.acquire(timeout=60)
    runs.pause(run.id)
    assert ended.wait(60)
    while not run.status == runs[run.id].status == "paused":
        time.sleep(0.02)
    assert not reached.acquire(timeout=1), "the next step began although the run is paused"
    runs.unpause(run.id)
    assert reached.acquire(timeout=60)
    runs.cancel(run.id)
    assert runs.wait(run.id, 60).status == "cancelled"
    assert vm.refresh().tags == frozenset()
    with pytest.raises(errors.InvalidStateError, match="has ended"):
        runs.cancel(run.id)


def test_what_could_not_be_undone_is_undone_later_when_a_person_has_looked(hosts, vm):
    """The way back was cut; it is mended, and the run is asked to take back what it left: all is as before."""
    world("wc2").faults.add("vm_migrate", error=errors.MigrationError("the way back is cut"))
    world("wc2").faults.add("snapshot_create", error=errors.SnapshotError("disk full"))
    run = (steps.tag("moved") >> steps.migrate("wc2") >> steps.snapshot("a")).run(vm, hosts=hosts)
    assert (run.status, [s.status for s in run.steps]) == ("failed", ["undone", "undo_failed", "failed"])
    again = run.undo()
    assert (again.status, [s.status for s in again.steps]) == ("undone", ["undone", "undone", "failed"])
    assert (again.id, vm.host.name, vm.tags) == (run.id, "wc1", set())
    assert [e.path for e in again.history if e.event == "undone"] == ["/0", "/1"], "what was undone is not undone twice"
    with pytest.raises(
        errors.WorkflowError, match=r"step 3 of 3, snapshot 'a' failed: disk full.*; undone: tag \+moved, migrate to wc2"
    ):
        again.result()
    with pytest.raises(errors.InvalidStateError, match="only a failed one"):
        again.undo()


def test_any_process_can_take_back_what_a_run_left(hosts, vm):
    """From the record alone: its flow, its hosts' addresses, its journal. The record says what to do before, and nothing is left after."""
    world("wc2").faults.add("vm_migrate", error=errors.MigrationError("the way back is cut"))
    world("wc2").faults.add("snapshot_create", error=errors.SnapshotError("disk full"))
    run = (steps.migrate("wc2") >> steps.snapshot("a")).run(vm, hosts=hosts)
    runs = novacron.fleet().runs
    told = runs[run.id]
    assert [what for what in told.left if "could not be undone: the way back is cut" in what]
    assert f"novacron run undo {run.id}" in str(told)
    assert runs.undo(run.id[:6]).exception(60)
    now = runs[run.id]
    assert (now.status, now.left, now.error["text"].count("could not")) == ("undone", (), 0)
    assert hosts["wc1"].vms["web1"].status == "running"
    for ended in (run.id, steps.tag("t").run(hosts["wc1"].vms["web1"]).id):
        with pytest.raises(errors.InvalidStateError, match=r"is (un)?done"):
            runs.undo(ended)


def test_an_undo_that_fails_again_is_told_again(hosts, vm):
    world("wc2").faults.add("vm_migrate", error=errors.MigrationError("the way back is cut"), times=2)
    world("wc2").faults.add("snapshot_create", error=errors.SnapshotError("disk full"))
    run = (steps.migrate("wc2") >> steps.snapshot("a")).run(vm, hosts=hosts)
    again = run.undo()
    assert (again.status, [s.status for s in again.steps]) == ("failed", ["undo_failed", "failed"])
    assert again.undo().status == "undone"
    assert vm.host.name == "wc1"


def test_what_was_kept_can_be_taken_back_after_all(hosts, vm):
    world("wc2").faults.add("snapshot_create", error=errors.SnapshotError("disk full"))
    run = (steps.migrate("wc2") >> steps.snapshot("a")).on_failure("stop").run(vm, hosts=hosts)
    assert (run.status, vm.host.name) == ("failed", "wc2")
    assert run.undo().status == "undone"
    assert vm.host.name == "wc1"


def test_an_undo_is_tried_again_for_what_may_pass(vm, monkeypatch):
    """The VM is busy twice; each attempt is on record."""
    monkeypatch.setattr("novacron.workflow.run.step_runner.UNDO_DELAYS", (0.01, 0.01, 0.01))
    world("wc1").faults.add("snapshot_delete", error=errors.BusyError("a backup holds it"), times=2)
    run = (steps.snapshot("a") >> steps.revert("none")).run(vm)
    assert run.status == "undone"
    assert [e.data.get("text", "") for e in run.history if e.event == "undoing"] == ["", *["a backup holds it on wc1"] * 2]
    assert snapshots(vm) == []


@pytest.mark.parametrize(("way", "ends"), [("resume", "done"), ("undo", "undone")])
def test_a_step_that_nobody_knew_the_end_of_is_looked_for_before_anything_is_done_again(vm, way, ends):
    """The snapshot was taken, its answer was lost, and so was the look at it: later it is there, and is neither taken twice nor left."""
    lost = errors.HostConnectionError("the line broke", outcome="unknown")
    world("wc1").faults.add("snapshot_create", error=lost, when="after")
    broken = errors.HostConnectionError("still broken")

    def break_the_line(progress):
        if progress.step and not run_begun.is_set():  # what must be known before was read
            run_begun.set()
            for operation in ("snapshot_get", "snapshot_list", "vm_get", "vm_settle"):
                world("wc1").faults.add(operation, error=broken, times=None)

    run_begun = threading.Event()
    run = steps.snapshot("a").run(vm, on_progress=break_the_line)
    world("wc1").faults.clear()
    assert (run.status, snapshots(vm)) == ("failed", ["a"])
    again = getattr(run, way)()
    assert (again.status, snapshots(vm)) == (ends, ["a"] if way == "resume" else [])
    assert len([e for e in again.history if e.event == "started"]) == 1


def test_a_plan_refuses_what_the_operation_refuses_after_the_steps_before_it(hosts):
    """Each pair of power operations, on VMs of each status: the plan is ok exactly when the run succeeds."""
    given = {"vm_shutdown": {"seconds": 5.0, "otherwise": "stop"}}
    made = {name: getattr(steps, name)(**given.get(name, {})) for name in STATUS_AFTER}
    wrong = []
    for status, (first, second) in itertools.product(("running", "stopped"), itertools.product(made, repeat=2)):
        vm = hosts["wc1"].vms.create(name="paired", memory="16MiB", start=status == "running")
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
    other = hosts["wc1"].vms.create(name="web2", memory="64MiB", start=True)
    stop, start = steps.vm_stop().each([other]), steps.vm_start().each([other])
    away = steps.migrate(to="wc2").each([other])
    for flow in (stop >> start, stop >> stop, start, stop >> start >> start, away >> away, stop >> steps.vm_stop() >> start):
        planned = flow.plan(vm, hosts=hosts)
        done = flow.on_failure("stop").run(vm, hosts=hosts, engine=ProcessEngine())
        assert planned.ok == (done.status == "done"), (planned.problems, done.flow)
        here = next(host for host in hosts.values() if other.id in host.vms)
        if here is hosts["wc2"]:
            here.vms[other.id].migrate(hosts["wc1"])
        for each in (other, vm):
            if each.refresh().status != "running":
                each.start()


def test_a_plan_treats_a_crashed_vm_as_a_stopped_one(vm):
    world("wc1").find(vm.id).status = "crashed"
    assert steps.vm_start().plan(vm).ok
    assert steps.vm_start().run(vm, engine=ProcessEngine()).status == "done"


@pytest.mark.parametrize("before", [(), ("vm_start",), ("vm_start", "vm_suspend"), ("vm_start", "vm_stop")])
def test_a_plan_refuses_a_snapshot_that_could_not_be_taken_then(hosts, before):
    """The plan is ok exactly when the run succeeds; what counts is the status after the steps before it."""
    wrong = []
    for options in ({}, {"memory": True}, {"quiesce": True}, {"kind": "external"}):
        vm = hosts["wc1"].vms.create(name="snapped", memory="16MiB", disks=[{"size": "1MiB"}])
        flow = steps.snapshot("s", **options)
        for name in reversed(before):
            flow = getattr(steps, name)() >> flow
        planned = flow.plan(vm).ok
        if planned != (flow.on_failure("stop").run(vm, engine=ProcessEngine()).status == "done"):
            wrong.append((options, planned))
        vm.delete(force=True)
    assert wrong == []
