"""What real guests do when they are started, stopped, halted, saved and deleted; and what is refused in which status."""

import time

import libvirt
import pytest

from novacron import errors
from novacron.workflow import steps

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def a(lab_hosts):
    return lab_hosts[0]


@pytest.fixture(scope="module")
def shared_guest(a, boot_shared):
    return boot_shared(a, "counting", ticks=2)


@pytest.fixture
def counting(shared_guest):
    """A guest that runs and counts: the same one in each test, started anew when the test before stopped it."""
    if shared_guest.refresh().status != "running":
        shared_guest.start()
        shared_guest.console.wait_for_more_ticks(60, more=2)
    return shared_guest


def assert_counts_on(ticks):
    """The guest left no second out and did not begin anew."""
    numbers = [number for number, _ in ticks]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.fixture
def deaf(lab):
    """A guest that ignores the power button: nothing runs in it but a sleep."""
    line = "console=ttyS0 panic=-1 rdinit=/bin/busybox -- sleep 10000"
    return {"kernel": {"path": str(lab.guest.kernel), "initrd": str(lab.guest.initrd), "command_line": line}}


def files(lab):
    return {p.name for p in lab.shared.iterdir() if not p.name.endswith(".log")}


def nvram(lab, host=0):
    return sorted(
        lab.hosts[host].exec("find", "/var/lib/libvirt/qemu/nvram", "/var/lib/libvirt/qemu/save", "-type", "f").stdout.split()
    )


def wait_until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_guest_that_does_not_listen_runs_on_and_the_error_says_so(a, boot, deaf):
    vm = boot(a, "deaf", ticks=0, **deaf)
    with pytest.raises(errors.OperationTimeoutError) as caught:
        vm.shutdown(timeout=1.5)
    assert caught.value.outcome == "failed"
    assert "otherwise='stop'" in caught.value.hint
    assert vm.refresh().status == "running"


def test_a_guest_that_does_not_listen_is_stopped_when_that_was_asked(a, boot, deaf):
    vm = boot(a, "deaf2", ticks=0, **deaf)
    assert vm.shutdown(timeout=1, otherwise="stop").status == "stopped"
    assert a.vms[vm.id].record.status_reason == "destroyed"


def test_a_cancelled_shutdown_leaves_the_guest_running(a, boot, deaf):
    vm = boot(a, "deaf3", ticks=0, **deaf)
    job = vm.shutdown(timeout=60, wait=False)
    job.cancel()
    with pytest.raises(errors.OperationCancelledError):
        job.result(60)
    assert vm.refresh().status == "running"


def test_stop_is_at_once_and_start_begins_anew(counting):
    assert counting.stop().status == "stopped"
    assert counting.record.status_reason == "destroyed"
    before = len(counting.console.ticks)
    counting.start()
    counting.console.wait_until(lambda: len(counting.console.ticks) > before, 60, "a tick after the start")
    assert counting.console.ticks[before][0] == 1


@pytest.mark.parametrize("how", ["reset", "reboot"])
def test_reset_and_reboot_begin_anew_without_a_new_process(counting, how):
    """Our guest powers off when the button is pressed, so that only a reset, which asks nobody, is watched to the end."""
    vm, said = counting, len(counting.console.text)
    before = len(vm.console.ticks)
    assert getattr(vm, how)().status == "running"
    if how == "reset":
        vm.console.wait_until(lambda: any(n == 1 for n, _ in vm.console.ticks[before:]), 60, "a first tick after the reset")
        assert vm.refresh().status == "running"
    else:
        vm.console.wait_until(lambda: "NOVACRON POWER BUTTON" in vm.console.text[said:], 60, "the power button")
        wait_until(lambda: vm.refresh().status == "running" and any(n == 1 for n, _ in vm.console.ticks[before:]), 60)


def test_a_suspended_guest_stands_still_and_goes_on_where_it_was(counting):
    vm = counting
    assert vm.suspend().status == "suspended"
    ticks = vm.console.ticks
    frozen = vm.metrics().cpu_seconds
    wait_until(lambda: vm.metrics().cpu_seconds - frozen < 0.2)
    time.sleep(2.5)  # over two ticks long nothing may happen: there is no event to wait for
    assert len(vm.console.ticks) - len(ticks) <= 1
    assert vm.suspend().status == "suspended"
    assert vm.resume().status == "running"
    vm.console.wait_for_more_ticks()
    assert_counts_on(vm.console.ticks[len(ticks) - 1 :])


def test_a_saved_guest_goes_on_counting_and_its_memory_file_is_gone(lab, a, counting):
    vm, before, counted = counting, nvram(lab), len(counting.console.ticks)
    assert vm.save().status == "saved"
    assert a.vms[vm.id].status == "saved"
    assert [v.status for v in a.vms.list(name=vm.name)] in (["saved"], ["stopped"])
    assert len(nvram(lab)) == len(before) + 1
    assert vm.restore().status == "running"
    vm.console.wait_for_more_ticks()
    assert_counts_on(vm.console.ticks[counted - 1 :])
    assert nvram(lab) == before


def test_starting_a_saved_guest_restores_it(counting):
    vm, counted = counting, len(counting.console.ticks)
    vm.suspend()
    vm.save()
    assert vm.start().status in ("running", "suspended")
    vm.resume()
    vm.console.wait_for_more_ticks()
    assert_counts_on(vm.console.ticks[counted - 1 :])


def test_shutdown_goes_through_the_guest(a, counting):
    vm, said = counting, len(counting.console.text)
    assert vm.shutdown(timeout=30).status == "stopped"
    assert vm.record.status_reason == "shutdown"
    assert "NOVACRON POWER BUTTON" in vm.console.text[said:]
    assert a.vms[vm.id].status == "stopped"


WRONG = [
    ("stopped", ["stop", "suspend", "resume", "reboot", "reset", "save", "restore", "shutdown"]),
    ("running", ["start", "restore", "delete"]),
    ("suspended", ["start", "reboot", "reset", "restore", "shutdown", "delete"]),
    ("saved", ["stop", "suspend", "resume", "reboot", "reset", "save", "shutdown"]),
]


def test_what_is_not_possible_in_a_status_is_refused_with_a_hint_and_changes_nothing(a, boot):
    vm = boot(a, "wrong", ticks=0, start=False)
    for status, operations in WRONG:
        if status != "stopped":
            {"running": vm.start, "suspended": vm.suspend, "saved": vm.save}[status]()
        for operation in operations:
            with pytest.raises(errors.InvalidStateError) as caught:
                getattr(vm, operation)()
            assert caught.value.hint, (status, operation)
            assert status in str(caught.value)
            assert a.vms[vm.id].status == status, (status, operation)


@pytest.mark.parametrize("status", ["stopped", "running", "saved"])
def test_deleting_removes_all_that_was_made(lab, a, boot, status):
    """Disks, NVRAM, saved memory, snapshots."""
    before, before_nvram = files(lab), nvram(lab)
    vm = boot(
        a,
        f"gone-{status}",
        ticks=0,
        start=False,
        disks=[{"size": "8MiB"}, {"size": "8MiB"}],
        firmware="uefi" if status == "running" else "bios",
    )
    if status == "stopped":
        vm.snapshots.create("one")
    else:
        vm.start()
    if status == "saved":
        vm.save()
    made = {d.source for d in vm.record.disks}
    assert len(made) == 2
    removed = vm.delete(force=True)
    assert made <= set(removed.removed)
    assert files(lab) == before
    assert nvram(lab) == before_nvram
    assert vm.id not in a.vms


def test_deleting_keeps_what_was_not_made_for_the_vm(lab, a, boot):
    a.invoke("volume_create", pool="default", spec=_volume("mine.qcow2"))
    path = str(lab.shared / "mine.qcow2")
    vm = boot(a, "keeper", ticks=0, start=False, disks=[{"path": path}, {"size": "8MiB"}])
    deleted = vm.delete()
    assert path in deleted.kept
    assert len(deleted.removed) == 2
    assert (lab.shared / "mine.qcow2").exists()
    a.invoke("volume_delete", pool="default", volume="mine.qcow2")


def _volume(name):
    from novacron.specs import VolumeSpec

    return VolumeSpec(name=name, capacity="8MiB")


TRANSIENT = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory>
<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"""


def test_a_transient_vm_is_deleted_and_stopped_although_it_is_gone_then(lab, a):
    """Another tool started it without a definition: powering it off is the end of it, which is no error."""
    raw = libvirt.open(a.uri)
    identity = raw.createXML(TRANSIENT.format(name="passing"), 0).UUIDString()
    vm = a.vms["passing"]
    assert not vm.record.persistent
    with pytest.raises(errors.InvalidStateError):
        vm.delete()
    deleted = vm.delete(force=True)
    assert (deleted.name, deleted.id) == ("passing", identity)
    assert identity not in a.vms
    raw.createXML(TRANSIENT.format(name="passing"), 0)
    assert a.vms["passing"].stop().status == "stopped"
    assert "passing" not in [vm.name for vm in a.vms]
    raw.close()


def test_a_display_that_everybody_on_the_network_could_use_is_refused(a):
    for listen in ("0.0.0.0", "::", "10.0.0.1"):
        with pytest.raises(errors.InvalidSpecError, match="no password"):
            a.vms.create(name="open", memory="32MiB", disks=[], display={"listen": listen})
    assert "open" not in [vm.name for vm in a.vms]


def test_a_flow_does_not_call_memory_changed_that_the_guest_has_not_given_up(lab_hosts, boot):
    """Without a balloon driver it never does. The VM stays where it is, because a migration would lose the wish."""
    a, b = lab_hosts
    vm = boot(a, "stubborn", ticks=0, kernel=None, memory="128MiB")
    with pytest.raises(errors.NovaCronError) as caught:
        (steps.update(memory="96MiB") >> steps.migrate(to=b.name)).run(vm).result()
    assert "128 MiB of memory" in str(caught.value), caught.value
    assert (vm.refresh().host.name, vm.record.memory_bytes, vm.configuration().fields["memory"]) == (
        a.name,
        128 * 2**20,
        128 * 2**20,
    )


def test_memory_that_is_changed_just_before_a_migration_is_the_vms_afterwards(lab_hosts, boot):
    a, b = lab_hosts
    vm = boot(a, "slimmer", ticks=2, memory="128MiB")
    vm.update(memory="96MiB")
    assert vm.refresh().record.memory_bytes == 96 * 2**20
    vm.migrate(b)
    assert b.vms[vm.id].record.memory_bytes == 96 * 2**20
    b.vms[vm.id].delete(force=True)
