"""What holds for every flow: after a fault anywhere, all is done or all is as before."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import novacron
from novacron import errors
from novacron.handles.vm import VMHandle
from novacron.workflow import steps
from novacron.workflow.run.engine import ProcessEngine
from novacron.workflow.run.journal import Journal

NUMBER = itertools.count()


class Breaker:
    """A policy that lets the nth change fail: before it happens, or after, the caller not knowing."""

    stage = "access"

    def __init__(self):
        self.seen, self.at, self.after = 0, None, False

    def applies(self, operation):
        return not operation.reads

    def __call__(self, call, proceed):
        self.seen += 1
        if self.seen != self.at:
            return proceed(call)
        if not self.after:
            raise errors.StorageError("broken before")
        proceed(call)
        raise errors.HostConnectionError("broken after", outcome="unknown")


def state(hosts):
    return {
        (name, vm.name): (
            vm.refresh().status,
            vm.tags,
            vm.record.description or "",
            vm.record.metadata or {},
            vm.record.autostart or False,
            sorted(s.name for s in vm.snapshots),
        )
        for name, host in hosts.items()
        for vm in host.vms
    }


any_step = st.one_of(
    st.sampled_from(["start", "stop", "suspend", "resume"]).map(lambda n: getattr(steps, n)()),
    st.sampled_from(["s1", "s2", "s3"]).map(steps.snapshot),
    st.sampled_from(["p1", "p2"]).map(steps.migrate),
    st.sampled_from(["p1", "p2"]).map(lambda to: steps.migrate(to, live=False)),
    st.sets(st.sampled_from(["a", "b", "old"])).map(lambda tags: steps.tag(*tags, remove=["old"])),
    st.sampled_from(["x", "y"]).map(lambda d: steps.update(description=d, metadata={"k": d}, autostart=d == "x")),
    st.just(steps.shutdown().when(status="running")),
    st.just(steps.tag("r").retry(2, 0)),
)


def flows(max_size):
    """Lists of steps. Each takes the name of a snapshot only once: a flow with one twice is refused before its first step."""

    def name_taken(step):
        return step.node.arguments["name"] if getattr(step.node, "kind", "") == "snapshot" else next(NUMBER)

    return st.lists(any_step, min_size=1, max_size=max_size, unique_by=name_taken)


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path_factory.mktemp("state")))


@settings(derandomize=True)
@given(flow=flows(6), at=st.integers(1, 8), after=st.booleans(), running=st.booleans())
def test_after_a_fault_anywhere_all_is_done_or_as_before(flow, at, after, running):
    breaker, number = Breaker(), next(NUMBER)
    hosts = {n: novacron.connect(f"sim://{n}-{number}", name=n, policies=[breaker]) for n in ("p1", "p2")}
    try:
        vm = hosts["p1"].vms.create(name="web1", memory="64MiB", tags=["old"], metadata={"k": "v", "m": "n"}, start=running)
        before = state(hosts)
        breaker.seen, breaker.at, breaker.after = 0, at, after
        whole = flow[0]
        for more in flow[1:]:
            whole = whole >> more

        def spare_the_undo(progress):  # what is broken then can't be as before; a connection that broke in it is no excuse
            if progress.undoing and not after:
                breaker.at = None

        run = whole.run(vm, hosts=hosts, on_progress=spare_the_undo)
        assert run.status in ("done", "undone"), str(run)
        if run.status == "undone":
            assert state(hosts) == before, str(run)
            assert isinstance(run.exception(), errors.WorkflowError)
        else:
            assert all(s.status in ("done", "skipped") for s in run.steps)
        assert vm.host.name == next(name for name, _ in state(hosts))
    finally:
        for host in hosts.values():
            host.close()


class Killed(BaseException):
    """Stands for the end of the process: nothing in it catches this and goes on."""


class Engine(ProcessEngine):
    """Keeps what is on record; writing the nth entry is the last that the process does, or would have done."""

    def __init__(self):
        super().__init__()
        self.entries, self.deaths = [], 0

    def journal(self):
        engine = self

        class Recorder(Journal):
            def append(self, path, event, **data):
                if len(engine.entries) in engine.die_at:
                    engine.die_at.discard(len(engine.entries))
                    raise Killed
                entry = super().append(path, event, **data)
                engine.entries.append(entry)
                return entry

        return Recorder(self.entries)


@settings(derandomize=True)
@given(
    flow=flows(4),
    at=st.integers(1, 8),
    after=st.booleans(),
    running=st.booleans(),
    die_at=st.sets(st.integers(0, 16), min_size=1, max_size=3),
)
def test_a_process_killed_anywhere_is_followed_by_one_that_ends_the_run_the_same_way(flow, at, after, running, die_at):
    breaker, number, engine = Breaker(), next(NUMBER), Engine()
    hosts = {n: novacron.connect(f"sim://{n}-{number}", name=n, policies=[breaker]) for n in ("p1", "p2")}
    try:
        vm = hosts["p1"].vms.create(name="web1", memory="64MiB", tags=["old"], metadata={"k": "v", "m": "n"}, start=running)
        before, record = state(hosts), vm.record
        breaker.seen, breaker.at, breaker.after = 0, at, after
        engine.die_at = set(die_at)
        whole = flow[0]
        for more in flow[1:]:
            whole = whole >> more

        def spare_the_undo(progress):
            if progress.undoing and not after:
                breaker.at = None

        for _ in range(len(die_at) + 1):
            run = whole.run(VMHandle(hosts["p1"], record), hosts=hosts, engine=engine, on_progress=spare_the_undo)
            if not isinstance(run.exception() and run.exception().__cause__, Killed):
                break
        assert run.status in ("done", "undone"), str(run)
        if run.status == "undone":
            assert state(hosts) == before, "\n".join([str(run), *map(str, run.history)])
        done = [e.path for e in run.history if e.event == "done"]
        assert len(done) == len(set(done)), "a finished step was repeated"
    finally:
        for host in hosts.values():
            host.close()
