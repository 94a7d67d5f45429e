"""`await`, pipes, `each`, `wait` and `watch` at the prompt."""

import asyncio
import io
import itertools
import os
import signal
import threading
from types import SimpleNamespace

import pytest
from rich.console import Console

import novacron
from novacron import errors
from novacron.drivers import sim
from novacron_shell.repl.coroutines import Coroutines, compiled, run_code
from novacron_shell.repl.display import Displays
from novacron_shell.repl.inventory import Inventory, OpenHosts
from novacron_shell.repl.jobs import JobBook
from novacron_shell.repl.pipes import each, refresh, shutdown, snapshot, start, stop
from novacron_shell.repl.session import add_actions
from novacron_shell.repl.waiting import Watch, wait
from novacron_shell.testing import CommandServer

WORLDS = itertools.count()


@pytest.fixture
def vms():
    """The VMs of two hosts: a-00001 to a-00003 and b-00001 to b-00003; all run, and those with odd numbers have the tag "odd"."""
    names = [f"pipes-{next(WORLDS)}-{letter}" for letter in "ab"]
    hosts = OpenHosts()
    for name in names:
        host = hosts.add(novacron.connect(f"sim://{name}?vms=3&prefix={name[-1]}-"))
        for number in (1, 3):
            host.vms[f"{name[-1]}-0000{number}"].update(tags={"odd"})
        host.vms[f"{name[-1]}-00003"].start()
    inventory = Inventory(hosts)
    inventory.refresh()
    yield inventory
    hosts.close()


def shown(value):
    console = Console(file=io.StringIO(), width=120, color_system=None)
    Displays().show(value, console)
    return console.file.getvalue()


def test_where_reads_the_vms_of_all_hosts_now(vms):
    odd = vms.where(tag="odd")
    assert [vm.name for vm in odd] == ["a-00001", "a-00003", "b-00001", "b-00003"]
    vms["a-00001"].stop()
    assert [vm.name for vm in vms.where(status="stopped", name="?-00001")] == ["a-00001"]
    assert [vm.name for vm in vms.where(host="*-b", sort="-name", limit=2)] == ["b-00003", "b-00002"]
    assert [vm.name for vm in odd[1:]] == ["a-00003", "b-00001", "b-00003"]
    with pytest.raises(errors.HostNotFoundError, match="'nope'"):
        vms.where(host="nope")
    with pytest.raises(errors.InvalidSpecError, match="statuz"):
        vms.where(statuz="running")


def test_a_host_that_does_not_answer_is_named_and_the_others_are_used(vms):
    silent = next(host for host in vms.where(host="*-b"))
    sim.world(silent.host.name).faults.set_connected(False)
    chosen = vms.where(tag="odd") | stop
    assert {vm.name for vm in chosen} == {"a-00001", "a-00003"}
    assert list(chosen.unreachable) == [silent.host.name]
    assert f"no answer from {silent.host.name}" in shown(chosen)
    for host in vms._hosts.values():
        sim.world(host.name).faults.set_connected(False)
    with pytest.raises(errors.HostConnectionError):
        vms.where()


@pytest.mark.parametrize("of", [lambda vms: vms, lambda vms: vms.where(), dict, lambda vms: list(vms.values())])
def test_actions_accept_what_holds_vms(vms, of):
    assert {vm.status for vm in of(vms) | stop} == {"stopped"}
    assert len(of(vms) | refresh) == 6


def test_nothing_else_can_be_piped_into_an_action(vms):
    with pytest.raises(errors.InvalidSpecError, match="only VMs can be piped"):
        list(vms) | stop
    assert {vm.refresh().status for vm in vms.values()} == {"running"}


def test_one_that_fails_is_named_and_the_next_action_runs_on_the_others(vms):
    (vms["a-00001"] | stop).check()
    done = vms.where(name="?-00001") | shutdown(timeout="30s") | each(lambda vm: vm.name.upper())
    assert [outcome.vm.name for outcome in done.failed] == ["a-00001"]
    assert [outcome.result for outcome in done.all if outcome.ok] == ["B-00001"]
    text = shown(done)
    assert "InvalidStateError" in text
    assert "'B-00001'" in text
    assert "1 of 2 done, 1 failed" in text
    with pytest.raises(errors.InvalidStateError):
        done.check()
    assert start(vms["a-00001"]).check()[0].status == "running"  # a call with a VM runs at once
    assert [len(vm.snapshots) for vm in vms | snapshot("base")] == [1] * 6


def test_each_calls_a_method_of_all(vms):
    assert len(vms.each.refresh()) == 6
    assert [vm.status for vm in vms.where(tag="odd").each.stop()] == ["stopped"] * 4


def to_the_process():
    os.kill(os.getpid(), signal.SIGINT)


def to_another_thread():
    """It does not wake the main thread, as a signal does that comes just before that thread begins to wait."""
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


@pytest.mark.parametrize("send", [to_the_process, to_another_thread])
def test_ctrl_c_starts_no_further_one_and_says_what_was_done(vms, monkeypatch, send):
    """16 VMs are under way when the signal arrives. They end, and the other 4 are left alone."""
    entered, stopped = threading.Barrier(17), threading.Event()
    monkeypatch.setattr("novacron_shell.repl.pipes.threading", SimpleNamespace(Event=lambda: stopped))

    def work(vm):
        entered.wait(30)
        stopped.wait(30)

    def interrupt():
        entered.wait(30)
        send()

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt) as caught:
        (list(vms.values()) * 4)[:20] | each(work)
    assert caught.value.__notes__ == ["work: 16 of 20 done, 4 not started"]


def test_cancelling_cancels_jobs_that_other_threads_wait_for(vms, monkeypatch):
    """A pipe waits in threads, so the answer to the question cancels the jobs themselves."""
    from novacron_shell.repl.interrupts import Interrupts
    from novacron_shell.repl.watching import ProgressPolicy

    jobs = JobBook()
    interrupts = Interrupts(jobs, ProgressPolicy(jobs), lambda question: "c")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    started = []

    def migrate():
        with interrupts.offered():
            started.append(vms["a-00001"].migrate(vms["b-00001"].host, bandwidth="1MiB/s", wait=False))
            jobs.begin("migrate", "a", started[0])
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        migrate()
    job = started[0]
    assert isinstance(job.exception(30), errors.OperationCancelledError)


def test_wait_accepts_vms_jobs_conditions_and_nothing_else(vms):
    vm = vms["a-00001"]
    assert wait(vm, "running") == "running"
    assert wait(vm.host.submit("vm_stop", vm=vm.id)).status == "stopped"
    assert wait(lambda: vm.refresh().status == "stopped") is True
    assert (vms.where(name="a-00001") | start | wait("running")).check()[0].name == "a-00001"
    assert len(wait(vms.where(host="*-b", status="running"), "running").check()) > 0
    with pytest.raises(errors.OperationTimeoutError, match=r"does not hold after 0\.01 s: None"):
        wait(lambda: None, timeout=0.01)
    with pytest.raises(errors.OperationTimeoutError):
        (vms["a-00002"] | wait("saved", timeout=0.01)).check()
    for what in (vm, 3, None, ("a", "b")):
        with pytest.raises(errors.InvalidSpecError, match="nothing to wait for"):
            wait(what)


def test_watch_shows_values_and_errors_in_place(vms):
    console = Console(file=io.StringIO(), width=100)
    watch = Watch(console, Displays())
    answers = iter([list(vms.values())[:1], errors.HostConnectionError("gone", hint="try again"), "the end"])

    def what():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert watch(what, every=0.01, times=3) is None
    assert "the end" in console.file.getvalue()  # without a terminal, the last value is printed
    with pytest.raises(errors.InvalidSpecError, match="watch needs a function"):
        watch(vms)

    def interrupted():
        raise KeyboardInterrupt

    assert watch(interrupted) is None


def test_names_of_hosts_hide_those_of_actions(session):
    session.shell.names["start"] = session.host
    add_actions(session.shell)
    assert session.shell.names["start"] is session.host
    assert {"shutdown", "each", "wait", "watch"} <= set(session.shell.names)
    assert "pipe VMs into it" in repr(session.shell.names["shutdown"])


@pytest.fixture
def coroutines():
    made = Coroutines()
    yield made
    made.close()


def test_await_runs_and_tasks_continue_between_lines(vms, coroutines):
    names = {"vm": vms["a-00001"], "asyncio": asyncio, "seen": threading.Event()}
    assert run_code(compiled("(await vm.host.submit('vm_stop', vm=vm.id)).status", mode="eval"), names, coroutines) == "stopped"
    run_code(compiled("async def later():\n    await asyncio.sleep(0)\n    seen.set()"), names, coroutines)
    run_code(compiled("task = asyncio.create_task(later())\nawait asyncio.sleep(0)"), names, coroutines)
    assert names["seen"].wait(30)
    text = "with vm.locked():\n    both = await asyncio.gather(*(asyncio.to_thread(f) for f in (vm.refresh, vm.start)))"
    run_code(compiled(text), names, coroutines)
    assert names["vm"].status == "running"
    with pytest.raises(ZeroDivisionError):
        run_code(compiled("await asyncio.sleep(0); 1 / 0"), names, coroutines)


@pytest.mark.parametrize("send", [to_the_process, to_another_thread])
def test_ctrl_c_cancels_what_is_awaited_and_its_job_is_rolled_back(vms, coroutines, send):
    job = vms["a-00001"].migrate(vms["b-00001"].host, bandwidth="1MiB/s", wait=False)
    names = {"job": job, "asyncio": asyncio, "interrupt": send}
    with pytest.raises(KeyboardInterrupt):
        run_code(compiled("asyncio.get_running_loop().call_soon(interrupt)\nawait job"), names, coroutines)
    assert isinstance(job.exception(30), errors.OperationCancelledError)
    assert vms["a-00001"].refresh().status == "running"


@pytest.fixture(scope="module")
def server():
    with CommandServer() as server:
        yield server


TEXT = "import asyncio\nawait asyncio.sleep(0)\nprint(len(vms.where() | stop))\n"


def test_a_pipe_and_a_script_may_await(server, tmp_path):
    environment = os.environ | {"NOVACRON_STATE": str(tmp_path)}
    piped = server.run(["-c", "sim://awaiting?vms=2", "shell"], environment=environment, stdin=TEXT)
    assert (piped.stdout, piped.stderr) == ("2\n", "")
    script = tmp_path / "awaiting.py"
    script.write_text(TEXT)
    done = server.run(["-c", "sim://awaiting?vms=2", "script", str(script)], environment=environment)
    assert (done.stdout, done.stderr) == ("2\n", "")
