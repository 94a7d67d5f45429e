"""The one door: validation, supports, policies, deadlines, results."""

import json
import pickle
import threading
import time

import pytest

import novacron
from novacron import errors
from novacron.dispatch.call import Call, time_left
from novacron.dispatch.dispatcher import Dispatcher
from novacron.dispatch.locks import LockPolicy
from novacron.handles.host import HostHandle
from novacron.plugins import Driver, DriverProvider, HostURI, hookimpl
from novacron.plugins.validation import operations
from novacron.records import VM, Deleted, Host, Ping
from novacron.site import default_site


class Toy:
    """The smallest driver: the mandatory operations over a dictionary."""

    def __init__(self):
        self.vms = {}
        self.calls = []
        self.gate = threading.Event()
        self.gate.set()
        self.failures = []

    @hookimpl
    def host_info(self):
        return Host(name="toy", uri="toy://", driver="toy", hypervisor="toy", version="1", hostname="toy")

    @hookimpl
    def host_ping(self):
        self.calls.append("ping")
        if self.failures:
            raise self.failures.pop(0)
        return Ping(host="toy", latency_seconds=0.0, version="1")

    @hookimpl
    def vm_create(self, spec):
        self.vms[spec.name] = VM(id=spec.name, name=spec.name, host="toy", status="stopped")
        return self.vms[spec.name]

    @hookimpl
    def vm_get(self, vm):
        if vm not in self.vms:
            raise errors.VMNotFoundError(f"no VM named {vm!r}")
        return self.vms[vm]

    @hookimpl
    def vm_list(self):
        return list(self.vms.values())

    @hookimpl
    def vm_start(self, vm):
        self.calls.append("start")
        assert self.gate.wait(60)
        if self.failures:
            raise self.failures.pop(0)
        self.vms[vm] = self.vms[vm].replace(status="running")
        return self.vms[vm]

    @hookimpl
    def vm_stop(self, vm):
        self.calls.append("stop")
        self.vms[vm] = self.vms[vm].replace(status="stopped")
        return self.vms[vm]

    @hookimpl
    def vm_delete(self, vm):
        del self.vms[vm]
        return Deleted(name=vm)


pytestmark = pytest.mark.usefixtures("own_state")


@pytest.fixture
def toy():
    return Toy()


@pytest.fixture
def host(toy):
    provider = DriverProvider(name="toy", schemes=("toy",), connect=lambda uri, context: Driver([toy]))
    default_site().drivers.register(provider)
    with novacron.connect("toy://here") as host:
        yield host
    default_site().drivers.unregister(provider)


def test_a_small_driver_is_driven_through_handles(host):
    vm = host.vms.create(name="web1")
    assert vm.start().status == "running"
    assert [v.name for v in host.vms.list(status="running")] == ["web1"]
    assert vm.stop().delete().name == "web1"
    assert "web1" not in host.vms


def test_what_the_driver_lacks_is_said_and_raises(host):
    assert host.supports("vm_start")
    assert not host.supports("snapshot_create")
    vm = host.vms.create(name="web1")
    with pytest.raises(errors.UnsupportedOperationError, match="'toy' does not offer snapshot_create") as caught:
        vm.snapshots.create("s")
    assert caught.value.outcome == "not_sent"
    with pytest.raises(errors.UnsupportedOperationError, match="vm_reset") as caught:
        vm.reset()
    assert "vm_start" in caught.value.hint


def test_removing_an_operation_from_a_driver_makes_supports_say_so():
    class NoStart(Toy):
        vm_start = None

    with pytest.raises(errors.PluginError, match="mandatory operations are missing: vm_start"):
        Dispatcher("h", "toy", Driver([NoStart()]))


def test_a_misspelt_hook_is_refused_with_both_names(toy):
    class Misspelt:
        @hookimpl
        def vm_strat(self, vm): ...

    with pytest.raises(errors.PluginError, match=r"Misspelt\.vm_strat is no hook, did you mean 'vm_start'"):
        Dispatcher("h", "toy", Driver([toy, Misspelt()]))


def test_a_wrong_argument_is_refused_with_both_names(toy):
    class Wrong:
        @hookimpl
        def vm_rename(self, vm, nam): ...

    with pytest.raises(errors.PluginError, match=r"Wrong\.vm_rename has an argument 'nam', did you mean 'name'"):
        Dispatcher("h", "toy", Driver([toy, Wrong()]))


def test_nothing_is_no_answer(toy):
    class Forgetful:
        @hookimpl
        def vm_suspend(self, vm): ...

    host = HostHandle(Dispatcher("h", "toy", Driver([toy, Forgetful()])), uri="toy://")
    vm = host.vms.create(name="a")
    with pytest.raises(errors.DriverError, match="answered vm_suspend with nothing"):
        vm.suspend()


def test_a_read_whose_answer_was_lost_is_repeated(host, toy):
    toy.failures = [errors.HostConnectionError("lost", outcome="unknown")] * 2
    assert host.ping().version == "1"
    assert toy.calls == ["ping"] * 3


def test_a_change_whose_answer_was_lost_is_not_repeated(host, toy):
    vm = host.vms.create(name="a")
    toy.failures = [errors.HostConnectionError("lost", outcome="unknown")]
    with pytest.raises(errors.HostConnectionError) as caught:
        vm.start()
    assert caught.value.outcome == "unknown"
    assert toy.calls == ["start"]


def test_a_change_that_was_not_sent_is_repeated(host, toy):
    vm = host.vms.create(name="a")
    toy.failures = [errors.HostConnectionError("refused", outcome="not_sent")]
    assert vm.start().status == "running"


def test_a_change_knows_how_long_its_caller_waits(host, toy):
    class Waiting:
        @hookimpl
        def vm_suspend(self, vm):
            left.append(time_left())
            return toy.vms[vm]

    left = []
    host = HostHandle(Dispatcher("h", "toy", Driver([toy, Waiting()])), uri="toy://")
    vm = host.vms.create(name="a")
    host.invoke("vm_suspend", vm=vm.id, timeout=1000)
    assert 0 < left[0] <= 1000
    assert time_left() is None


def test_a_held_vm_names_its_holder_when_waiting_takes_too_long(host, toy):
    vm = host.vms.create(name="a")
    toy.gate.clear()
    job = host.submit("vm_start", vm=vm.id)
    while "start" not in toy.calls:
        time.sleep(0.001)
    with pytest.raises(errors.BusyError, match="held by vm_start by") as caught:
        host.submit("vm_stop", 0.2, vm=vm.id).result(60)
    assert "stop" not in toy.calls
    assert caught.value.resource == "a"
    toy.gate.set()
    assert job.result(60).status == "running"


def test_a_vms_name_and_id_are_one_lock(host, toy):
    identity = "6b1f0000-0000-4000-8000-000000000001"
    toy.vms["a"] = toy.vms[identity] = VM(id=identity, name="a", host="toy", status="stopped")
    toy.gate.clear()
    job = host.submit("vm_start", vm=identity)
    while "start" not in toy.calls:
        time.sleep(0.001)
    with pytest.raises(errors.BusyError, match="held by vm_start"):
        host.submit("vm_stop", 0.2, vm="a").result(60)
    toy.gate.set()
    job.result(60)


def test_waiters_get_the_lock_in_the_order_in_which_they_came():
    policy, order, threads = LockPolicy(), [], []
    gate = threading.Event()

    def run(number):
        call = Call(operations()["vm_stop"], "h", {"vm": "a"}, time.monotonic() + 60)
        policy(call, lambda _: (gate.wait(60), order.append(number)))

    for number in range(6):
        threads.append(threading.Thread(target=run, args=(number,)))
        threads[-1].start()
        while not (queue := policy._queues.get(("h", "a"))) or queue.holder is None or len(queue.waiting) < number:
            time.sleep(0.001)
    gate.set()
    for thread in threads:
        thread.join(60)
    assert order == list(range(6))
    assert not policy._queues


def test_an_operation_past_its_deadline_ends_with_an_unknown_outcome(host, toy):
    vm = host.vms.create(name="a")
    toy.gate.clear()
    with pytest.raises(errors.OperationTimeoutError) as caught:
        host.invoke("vm_start", 0.1, vm=vm.id)
    assert caught.value.outcome == "unknown"
    toy.gate.set()
    for thread in threading.enumerate():
        if thread.name == "novacron-vm_start":
            thread.join(60)
    assert vm.refresh().status == "running"


def test_changes_are_on_record_without_secrets(host, tmp_path):
    vm = host.vms.create(name="a", metadata={"password": "hunter2"})
    vm.start()
    with pytest.raises(errors.VMNotFoundError):
        host.invoke("vm_get", vm="ghost")
    text = (tmp_path / "state" / "audit.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(x["operation"], x["resource"], x["outcome"]) for x in lines] == [
        ("vm_create", "a", "done"),
        ("vm_start", "a", "done"),
    ]
    assert "hunter2" not in text


def test_a_policy_can_refuse_and_the_refusal_is_on_record(toy, tmp_path):
    def deny(call, proceed):
        raise errors.AccessDeniedError("not you")

    deny.stage = "access"
    host = HostHandle(Dispatcher("h", "toy", Driver([toy]), [deny]), uri="toy://")
    with pytest.raises(errors.AccessDeniedError):
        host.vms.create(name="a")
    assert "AccessDeniedError" in (tmp_path / "state" / "audit.jsonl").read_text()


def test_a_defect_of_the_driver_is_a_driver_error_with_its_cause(toy):
    class Defective:
        @hookimpl
        def vm_resume(self, vm):
            return 1 / 0

    host = HostHandle(Dispatcher("h", "toy", Driver([toy, Defective()])), uri="toy://")
    with pytest.raises(errors.DriverError) as caught:
        host.invoke("vm_resume", vm="a")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_third_party_may_wrap_but_not_implement(toy):
    seen = []

    class Watcher:
        @hookimpl(wrapper=True)
        def vm_start(self, vm):
            seen.append(vm)
            return (yield)

    class Usurper:
        @hookimpl
        def vm_start(self, vm): ...

    dispatcher = Dispatcher("h", "toy", Driver([toy]))
    dispatcher.watch(Watcher())
    host = HostHandle(dispatcher, uri="toy://")
    host.vms.create(name="a").start()
    assert seen == ["a"]
    with pytest.raises(errors.PluginError, match="only the host's driver"):
        dispatcher.watch(Usurper())


@pytest.mark.parametrize("uri", ["nonsense", "", "://x", "qemu:/system"])
def test_what_is_no_uri_is_refused(uri):
    with pytest.raises(errors.InvalidSpecError):
        novacron.connect(uri)


def test_a_password_in_a_uri_is_refused_and_not_shown():
    with pytest.raises(errors.InvalidSpecError) as caught:
        HostURI.parse("vsphere://me:hunter2@vc/")
    assert "hunter2" not in str(caught.value)


def test_an_unknown_scheme_names_installed_drivers_and_a_known_one_its_pip_command(monkeypatch):
    site = novacron.Site()
    monkeypatch.setattr(site.drivers, "by_scheme", dict)
    with pytest.raises(errors.UnsupportedOperationError, match="no driver for the scheme 'vsphere'") as caught:
        site.connect("vsphere://vc")
    assert caught.value.hint == "pip install novacron-vmware"


def test_a_connect_that_hangs_ends_at_its_deadline():
    gate = threading.Event()
    provider = DriverProvider(name="slow", schemes=("slow",), connect=lambda uri, context: (gate.wait(60), Driver([]))[1])
    default_site().drivers.register(provider)
    try:
        with pytest.raises(errors.OperationTimeoutError, match="slow://x"):
            novacron.connect("slow://x", timeout=0.1)
    finally:
        gate.set()
        default_site().drivers.unregister(provider)


def test_every_operation_is_documented_and_every_error_survives_pickling():
    assert all(operation.summary.endswith(".") for operation in operations().values())
    for cls in vars(errors).values():
        if isinstance(cls, type) and issubclass(cls, errors.NovaCronError):
            copy = pickle.loads(pickle.dumps(cls("message", host="h", hint="do", outcome="unknown")))
            assert (type(copy), str(copy), copy.hint, copy.outcome) == (cls, "message on h", "do", "unknown")
