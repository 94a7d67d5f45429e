"""Waiting in the main thread: Ctrl-C ends it, whenever the signal arrives."""

import signal
import threading
from concurrent.futures import Future

import pytest

from novacron.jobs import Job
from novacron.threads import as_done, fan_out, result_of

LONG = 60
"""Seconds that only a test that fails waits."""


@pytest.fixture
def interrupt():
    """Return a function that sends SIGINT to a thread of its own, which does not wake the main thread: as if it came too early for that."""
    threads = []

    def interrupt():
        threads.append(threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT)))
        threads[-1].start()

    yield interrupt
    for thread in threads:
        thread.join()


WAITING = {
    "result_of": result_of,
    "a job's result": lambda job: job.result(),
    "a job's error": lambda job: job.exception(),
    "as_done": lambda job: list(as_done([job])),
    "fan_out": lambda job: fan_out([job], Future.result, seconds=None, limit=1, name="waits"),
}


@pytest.mark.parametrize("waiting", WAITING.values(), ids=WAITING)
def test_ctrl_c_that_comes_just_before_the_waiting_begins_ends_it(interrupt, waiting):
    job = Job("vm_migrate", "web1")
    late = threading.Timer(LONG, job.set_result, (None,))
    late.start()
    timer = threading.Timer(0.1, interrupt)  # whether it comes before or while the main thread waits, it does not wake it

    def begun():
        timer.start()  # in here: on a busy machine the signal may come before the waiting begins
        waiting(job)

    try:
        with pytest.raises(KeyboardInterrupt):
            begun()
        assert not job.done()
    finally:
        timer.join()
        late.cancel()
        job.done() or job.set_result(None)


def test_a_result_comes_as_from_the_future_itself():
    future, failed = Future(), Future()
    with pytest.raises(TimeoutError):
        result_of(future, 0.01)
    threading.Timer(0.01, future.set_result, ("done",)).start()
    assert result_of(future, LONG) == "done"
    failed.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        result_of(failed)
    assert set(as_done([future, failed])) == {future, failed}
