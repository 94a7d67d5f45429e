"""Cancelling an operation of a host that does not answer any more."""

import threading

import pytest

import novacron
from novacron import errors
from novacron.dispatch import cancelling
from novacron.dispatch.cancelling import follow_cancelled, hosts_of
from novacron.jobs import Job
from novacron.plugins import Driver
from novacron.plugins.driver import Destination
from novacron.threads import in_thread

pytestmark = pytest.mark.usefixtures("own_state")
LONG = 60
"""Seconds that only a test that fails waits."""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(cancelling, "PAUSE", 0.01)


def answering(*answers):
    """Return a driver with these answers, one after another."""
    given = iter(answers)
    return Driver(answers=lambda seconds: next(given))


def cancelled(phase="migrating", *, only_reads=False):
    job = Job("vm_migrate", "web1")
    job.report(phase)
    job.only_reads = only_reads
    job.cancel()
    return job


def test_a_host_that_does_not_answer_is_named_and_the_outcome_is_unknown():
    job = cancelled()
    follow_cancelled(job, {"kvm1": Driver(), "kvm2": answering(False, True, False, False)})
    error = job.exception(0)
    assert isinstance(error, errors.OperationCancelledError)
    assert str(error) == "vm_migrate was cancelled while it was 'migrating', and kvm2 did not answer"
    assert error.outcome == "unknown"
    assert "kvm2 answers again" in error.hint


def test_what_was_cancelled_before_it_changed_anything_has_changed_nothing():
    job = cancelled("checking", only_reads=True)
    follow_cancelled(job, {"kvm1": answering(False)})
    assert job.exception(0).outcome == "failed"
    assert "nothing was changed" in job.exception(0).hint


def test_a_rollback_is_waited_for_while_its_hosts_answer():
    job, asked = cancelled(), threading.Semaphore(0)

    def answers(seconds):
        asked.release()
        return True

    follower = threading.Thread(target=follow_cancelled, args=(job, {"kvm1": Driver(answers=answers)}))
    follower.start()
    for _ in range(4):
        assert asked.acquire(timeout=LONG)
    assert not job.done()
    job.set_exception(errors.OperationCancelledError("it was rolled back"))
    follower.join(LONG)
    assert not follower.is_alive()
    assert str(job.exception(0)) == "it was rolled back"


def test_what_an_abandoned_job_comes_to_later_does_not_count():
    job = cancelled()
    job.abandon(errors.OperationCancelledError("first"))
    job.set_result("late")
    job.set_exception(errors.DriverError("later"))
    job.abandon(errors.OperationCancelledError("latest"))
    assert str(job.exception(0)) == "first"


def test_both_hosts_of_a_migration_are_asked():
    here, there = Driver(), Driver()
    to = Destination("kvm2", "sim://kvm2", there, lambda *_: None)
    assert hosts_of("kvm1", here, {"vm": "web1", "to": to}) == {"kvm1": here, "kvm2": there}


def test_a_cancel_is_answered_although_the_driver_never_returns(monkeypatch):
    release, entered = threading.Event(), threading.Event()

    def hang():
        entered.set()
        release.wait(LONG)

    class Hanging:
        def __enter__(self):
            hang()

        def __exit__(self, *_):
            pass

    with novacron.connect("sim://cancelled-and-halted?vms=1") as host:
        vm = host.vms.list()[0]
        monkeypatch.setattr(host.dispatcher.driver, "answers", lambda seconds: False)
        monkeypatch.setattr(host.dispatcher.driver, "during", Hanging)
        host.dispatcher._chains.clear()
        job = host.submit("vm_save", vm=vm.id)
        assert entered.wait(LONG)
        job.cancel()
        with pytest.raises(errors.OperationCancelledError, match="did not answer"):
            job.result(LONG)
        release.set()


def test_a_ctrl_c_that_comes_while_a_job_begins_cancels_it(monkeypatch):
    """Python may notice it as soon as the thread of the job runs, before anybody waits for the job."""
    begun = []

    def interrupted(work, name, future=None):
        in_thread(work, name, future)
        if name == "novacron-vm_migrate":
            begun.append(future)
            raise KeyboardInterrupt

    monkeypatch.setattr("novacron.dispatch.dispatcher.in_thread", interrupted)
    here, there = novacron.connect("sim://begins-here"), novacron.connect("sim://begins-there")
    vm = here.vms.create(name="web1", memory="1GiB", start=True)
    with pytest.raises(KeyboardInterrupt):
        vm.migrate(there, bandwidth="1MiB/s")
    (job,) = begun
    assert job.cancel_asked
    assert job.done()
    assert (vm.refresh().status, "web1" in there.vms) == ("running", False)
