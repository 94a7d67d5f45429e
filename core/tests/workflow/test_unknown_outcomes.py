"""Steps of which nobody knows whether they happened: they are neither repeated, nor taken for what did not happen."""

import pytest

import novacron
from novacron import errors
from novacron.drivers.sim import world
from novacron.workflow import step, steps
from novacron.workflow.context import Context
from novacron.workflow.run.journal import JournalLostError

pytestmark = pytest.mark.usefixtures("own_state")
UNREACHABLE = errors.HostConnectionError("no route to the host", outcome="not_sent")


def interrupt(monkeypatch, operation):
    """Let the thread that runs a flow end once an operation was done, before anything is put on record."""
    real = Context.do

    def do(self, name, *arguments, **named):
        found = real(self, name, *arguments, **named)
        if name == operation:
            monkeypatch.setattr(Context, "do", real)
            raise JournalLostError(errors.StorageError("the process was killed"))
        return found

    monkeypatch.setattr(Context, "do", do)


def test_a_step_that_can_not_be_looked_for_is_not_taken_for_one_that_did_not_happen(hosts, vm, monkeypatch):
    """The process ended in the migration; who goes on can't reach the destination: the run says so, and is not called undone."""
    interrupt(monkeypatch, "vm_migrate")
    run = steps.migrate("wf2").run(vm, hosts=hosts)
    assert run.status == "interrupted"
    world("wf2").faults.add("vm_get", error=UNREACHABLE, times=None)
    again = novacron.fleet().runs.resume(run.id)
    assert again.exception(60)
    world("wf2").faults.clear()
    assert again.status == "failed"
    assert "whether it happened is not known" in str(again.exception())
    back = novacron.fleet().runs.undo(run.id)
    assert back.exception(60)
    assert [v.name for v in hosts["wf1"].vms] == ["web1"]


def test_a_retry_does_not_repeat_a_step_of_unknown_outcome(vm):
    """The guest was told to run the program, and the answer was lost: a second attempt could run it twice."""
    lost = errors.HostConnectionError("the line broke", outcome="unknown")
    world("wf1").faults.add("guest_exec", error=lost, when="after", times=None)
    run = steps.run_in_guest("true").retry(attempts=3, delay=0).run(vm)
    assert (run.status, run.steps[0].attempts) == ("failed", 1)


@pytest.mark.parametrize("raised", [ValueError("odd"), SystemExit(3)])
def test_a_probe_that_fails_leaves_the_outcome_unknown(vm, raised):
    @step
    def send(context):
        raise errors.OperationTimeoutError("no answer", outcome="unknown")

    @send.probe
    def sent(context):
        raise raised

    run = (steps.tag("t") >> send()).run(vm)
    assert (run.status, [s.status for s in run.steps]) == ("failed", ["undone", "failed"])
    assert "whether it happened is not known" in str(run.exception())


def test_a_step_that_ends_the_program_fails(vm):
    """`sys.exit()` in a step is its failure, and all is undone: it must not end the thread of the run, over and over."""

    @step(idempotent=True)
    def leave(context):
        raise SystemExit("no more")

    run = (steps.tag("t") >> leave()).run(vm)
    assert (run.status, vm.tags) == ("undone", set())
    assert "no more" in str(run.exception())


def test_a_condition_that_ends_the_program_fails(vm):
    run = (steps.tag("t") >> steps.stop().when(lambda vm: exit(1))).run(vm)
    assert (run.status, vm.tags) == ("undone", set())


def test_an_undo_that_ends_the_program_is_told_and_the_others_still_run(vm):
    @step
    def leave(context): ...

    leave.undo(lambda context, result: exit(1))
    run = (steps.tag("t") >> leave() >> steps.revert("none")).run(vm)
    assert (run.status, [s.status for s in run.steps]) == ("failed", ["undone", "undo_failed", "failed"])


def test_a_result_of_then_that_can_not_be_stored_fails_and_all_is_undone(vm):
    run = (steps.tag("t") >> steps.nothing().then(lambda result: object())).run(vm)
    assert (run.status, vm.tags) == ("undone", set())
    assert "can't be stored" in str(run.exception())
