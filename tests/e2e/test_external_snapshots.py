"""External snapshots of real guests: the guest itself says what is on its disk after reverting and deleting, and no file is left over."""

import re
import threading
import time
from contextlib import contextmanager

import pytest

from novacron import errors

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def files(host, vm):
    """The VM's files in its pool."""
    host.pools.refresh("default")
    return sorted(v.name for v in host.pools.volumes() if v.name.startswith((f"{vm.name}-vd", vm.id)))


def chain(vm):
    """The names of the files of the VM's first disk, from the one that it writes."""
    host, found = vm.host, []
    host.pools.refresh("default")
    below = {v.path: v.backing for v in host.pools.volumes()}
    path = vm.refresh().record.disks[0].source
    while path:
        found.append(path.rpartition("/")[2])
        path = below.get(path)
    return found


def tree(vm):
    return [(s.name, s.record.parent, s.record.current) for s in vm.snapshots.list()]


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


def test_disk_only_snapshots_of_a_running_vm_make_a_tree_to_go_back_and_forth_in(a, boot, guest_disk):
    """Each revert finds the disk as it was then; each delete leaves the other snapshots' content as it was; at the end one file is left."""
    vm = boot(a, "tree", ticks=2)
    first = vm.snapshots.create("first", memory=False, description="two ticks").record
    assert (first.kind, first.memory, first.status, first.disks) == ("external", False, "stopped", ("vda",))
    vm.console.wait_for_more_ticks(more=2)
    vm.snapshots.create("second", memory=False)
    vm.console.wait_for_more_ticks(more=2)
    assert len(chain(vm)) == 3
    assert vm.refresh().status == "running"
    back = vm.snapshots["first"].revert()
    assert back.status == "stopped"
    assert tree(vm) == [("first", None, True), ("second", "first", False)]
    at_first = guest_disk.read(vm)
    guest_disk.write(vm, 1)
    vm.snapshots["first"].revert()
    assert guest_disk.read(vm) == at_first, "what was written since did not touch what was frozen"
    in_third = guest_disk.write(vm, 3)
    vm.snapshots.create("third")
    assert tree(vm) == [("first", None, False), ("second", "first", False), ("third", "first", True)]
    vm.snapshots["second"].revert()
    at_second = guest_disk.read(vm)
    assert at_first < at_second < in_third
    guest_disk.write(vm, 2)
    vm.snapshots["first"].delete()
    assert tree(vm) == [("second", None, True), ("third", None, False)]
    vm.snapshots["third"].revert()
    assert guest_disk.read(vm) == in_third
    guest_disk.write(vm, 4)
    vm.snapshots["second"].revert()
    assert guest_disk.read(vm) == at_second
    vm.snapshots["third"].delete()
    vm.snapshots["second"].revert()
    vm.snapshots["second"].delete()
    assert vm.snapshots.list() == []
    assert guest_disk.read(vm) == at_second
    vm.start()
    vm.console.wait_for(f"NOVACRON DISK TICK {at_second}\n")
    vm.stop()
    assert len(files(a, vm)) == 1
    assert files(a, vm) == chain(vm)
    assert "chain" not in vm.export().text


def test_snapshots_of_a_running_vm_are_merged_while_it_goes_on(lab, a, boot, guest_disk):
    """Deleting the newest, one in the middle and the rest: the guest counts on, and has the same disk at its next start."""
    vm = boot(a, "merging", ticks=1)
    for name in ("one", "two", "three", "four"):
        vm.snapshots.create(name, memory=False)
        vm.console.wait_for_more_ticks(more=1)
    assert len(chain(vm)) == 5
    pool = a.pools["default"].path
    assert {
        line.split()[0] for line in lab.hosts[0].exec("sh", "-c", f"stat -c '%a' {pool}/merging-vda*").stdout.splitlines()
    } == {"600"}
    vm.snapshots["two"].delete()
    assert len(chain(vm)) == 4
    vm.snapshots["four"].delete()
    assert len(chain(vm)) == 3
    assert [s.name for s in vm.snapshots.list()] == ["one", "three"]
    vm.console.wait_for_more_ticks(more=1)
    vm.snapshots["one"].delete(children=True)
    assert files(a, vm) == ["merging-vda.qcow2"]
    assert vm.snapshots.list() == []
    vm.console.wait_for_more_ticks(more=2)
    assert vm.refresh().status == "running"
    last = vm.console.ticks[-1][0]
    vm.stop()
    assert guest_disk.read(vm) >= last - 1  # it says a second before it writes it


def test_reverting_after_a_merge_in_the_middle_finds_the_right_content(a, boot, guest_disk):
    """The file that a later snapshot froze was joined with the one below it while the VM ran."""
    vm = boot(a, "renamed", ticks=2)
    vm.snapshots.create("one", memory=False)
    vm.console.wait_for_more_ticks(more=2)
    vm.snapshots.create("two", memory=False)
    at_two = vm.console.ticks[-1][0]
    vm.console.wait_for_more_ticks(more=3)
    vm.snapshots["one"].delete()
    vm.snapshots["two"].revert()
    assert at_two - 1 <= guest_disk.read(vm) <= at_two + 1
    vm.delete()
    assert files(a, vm) == []


def test_with_memory_the_guest_goes_on_in_the_same_second(a, boot):
    vm = boot(a, "remembering", ticks=2)
    taken = vm.snapshots.create("live", kind="external").record
    assert (taken.kind, taken.memory, taken.status) == ("external", True, "running")
    assert vm.refresh().status == "running"
    count, uptime = vm.console.ticks[-1]
    vm.console.wait_for_more_ticks(more=3)
    before = len(vm.console.ticks)
    assert vm.snapshots["live"].revert().status == "running"
    vm.console.wait_until(lambda: len(vm.console.ticks) > before + 1, 30, "more ticks")
    again = vm.console.ticks[before:]
    assert count <= again[0][0] <= count + 3, "it counts on from then"
    assert again[0][1] < uptime + 4, "and was not started anew"
    vm.suspend()
    vm.snapshots.create("halted", kind="external")
    vm.resume()
    assert vm.snapshots["halted"].revert().status == "suspended"
    vm.resume()
    vm.console.wait_for_more_ticks()
    vm.snapshots["live"].delete(children=True)
    vm.console.wait_for_more_ticks()
    assert files(a, vm) == ["remembering-vda.qcow2"]


def test_a_stopped_vm_with_a_raw_disk_gets_an_overlay(a, boot, guest_disk):
    vm = boot(a, "on-raw", disks=[{"size": "64MiB", "format": "raw"}], ticks=0, start=False)
    kept = guest_disk.write(vm, 1)
    vm.snapshots.create("kept")
    assert vm.snapshots["kept"].record.kind == "external"
    guest_disk.write(vm, 2)
    vm.snapshots["kept"].revert()
    assert guest_disk.read(vm) == kept
    last = guest_disk.write(vm, 3)
    vm.snapshots["kept"].delete()
    assert vm.refresh().record.disks[0].format == "raw"
    assert files(a, vm) == ["on-raw-vda.raw"]
    vm.start()
    vm.console.wait_for(f"NOVACRON DISK TICK {last}\n")


def test_a_uefi_vm_with_a_tpm_keeps_its_variables_and_the_tpms_state(lab, a, boot):
    """NVRAM and TPM state are the files of then: with memory they come with it, without they are copied."""
    vm = boot(a, "measured", ticks=0, firmware="uefi", tpm=True, memory="256MiB")
    vm.console.wait_for("NOVACRON TICK 1", 120)
    host = lab.hosts[0]
    nvram = "/var/lib/libvirt/qemu/nvram/measured_VARS.fd"
    state = f"/var/lib/libvirt/swtpm/{vm.id}/tpm2/tpm2-00.permall"

    def sums():
        return [line.split()[0] for line in host.exec("sha256sum", nvram, state).stdout.splitlines()]

    live = vm.snapshots.create("live").record
    assert (live.kind, live.memory) == ("external", True)
    assert vm.snapshots["live"].revert().status == "running"
    before = len(vm.console.ticks)
    vm.console.wait_until(lambda: len(vm.console.ticks) > before, 30, "it goes on without a boot")
    vm.stop()
    then = sums()
    cold = vm.snapshots.create("cold").record
    assert (cold.kind, cold.memory) == ("external", False)
    host.exec(
        "sh", "-c", f"printf changed | dd of={nvram} conv=notrunc bs=1 seek=1000; printf changed | dd of={state} conv=notrunc"
    )
    assert all(now != before for now, before in zip(sums(), then, strict=True))
    vm.snapshots["cold"].revert()
    assert sums() == then
    assert host.exec("stat", "-c", "%a", nvram).stdout.strip() == "600"
    assert host.exec("virsh", "-c", host.uri, "pool-list", "--name").stdout.split() == ["default"]
    vm.start()
    before = len(vm.console.ticks)
    vm.console.wait_until(lambda: len(vm.console.ticks) > before, 120, "it boots with what was restored")
    vm.delete(force=True)
    assert files(a, vm) == []


def test_quiescing_needs_a_guest_agent_that_answers(a, boot, wait_for_agent):
    vm = boot(a, "quiet", ticks=2)
    wait_for_agent(vm)
    taken = vm.snapshots.create("quiet", quiesce=True).record
    assert (taken.kind, taken.memory) == ("external", False)
    vm.console.wait_for_more_ticks(), "it was thawed again"
    with pytest.raises(errors.InvalidSpecError) as caught:
        vm.snapshots.create("both", quiesce=True, memory=True)
    assert "quiesce" in str(caught.value)
    deaf = boot(a, "deaf", ticks=1, guest_agent=False)
    before = files(a, deaf)
    with pytest.raises(errors.GuestAgentError):
        deaf.snapshots.create("quiet", quiesce=True)
    assert (files(a, deaf), deaf.snapshots.list()) == (before, [])
    deaf.console.wait_for_more_ticks()


def test_the_kinds_are_not_mixed_and_what_can_not_be_done_says_why(a, boot):
    vm = boot(a, "kinds", ticks=0, kernel=None)
    vm.snapshots.create("inside")
    with pytest.raises(errors.SnapshotError) as caught:
        vm.snapshots.create("outside", kind="external")
    assert caught.value.hint
    with pytest.raises(errors.NovaCronError) as caught:
        vm.snapshots.create("outside", memory=False)
    assert "internal" in caught.value.hint
    vm.snapshots["inside"].delete()
    vm.snapshots.create("outside", kind="external")
    with pytest.raises(errors.SnapshotError) as caught:
        vm.snapshots.create("inside", kind="internal")
    assert "external" in str(caught.value)
    assert vm.snapshots.create("next").record.kind == "external"


def test_a_linked_clone_keeps_the_file_that_it_is_linked_to(a, boot, guest_disk):
    """Another VM goes on with the frozen file: deleting the snapshot leaves it, and both disks are right."""
    vm = boot(a, "original", ticks=0, start=False)
    before = guest_disk.write(vm, 1)
    vm.snapshots.create("base", kind="external")
    after = guest_disk.write(vm, 2)
    frozen = chain(vm)[1]
    user = a.vms.create(name="user", memory="96MiB", disks=[{"source": frozen, "copy_mode": "backing", "size": "64MiB"}])
    try:
        vm.snapshots["base"].delete()
        assert frozen in chain(vm), "it was not merged away"
        assert (guest_disk.read(vm), guest_disk.read(user)) == (after, before)
    finally:
        user.delete()
    vm.snapshots.create("again", kind="external")
    vm.snapshots["again"].delete()
    assert files(a, vm) == ["original-vda.qcow2"], "the next delete shortens the chain"


def test_cancelling_a_snapshot_with_memory_leaves_nothing(a, boot):
    """Whenever it is asked for: before libvirt begins, while the memory is written, at the end."""
    vm = boot(a, "given-up", ticks=1, fill=256)
    vm.console.wait_for("NOVACRON LOADED", 90)  # so that there is something to write for a while
    before = files(a, vm)
    for seconds in (0, 0.1, 0.2):
        job = vm.snapshots.create("never", kind="external", wait=False)
        job.listen(lambda progress, job=job, seconds=seconds: threading.Timer(seconds, job.cancel).start())
        with pytest.raises(errors.OperationCancelledError):
            job.result(60)
        assert (files(a, vm), vm.snapshots.list()) == (before, [])
        assert "never" not in vm.export().text
        vm.console.wait_for_more_ticks()


@pytest.mark.parametrize("kind", ["internal", "external"])
def test_a_snapshot_that_was_quicker_than_its_cancelling_is_taken_back(a, boot, monkeypatch, kind):
    """The wish to cancel comes when libvirt has just taken it."""
    vm = boot(a, f"late-{kind}", ticks=1)
    before = files(a, vm)
    from novacron_kvm.jobs import domain_jobs
    from novacron_kvm.operations import snapshots
    from novacron_kvm.snapshots import external

    @contextmanager
    def ended(connection, identity, job, message):
        with domain_jobs.job_progress(connection, identity, job, message):
            yield
        job.cancel()

    for module in (snapshots, external):
        monkeypatch.setattr(module, "job_progress", ended)
    with pytest.raises(errors.OperationCancelledError):
        vm.snapshots.create("late", kind=kind)
    assert (files(a, vm), vm.snapshots.list()) == (before, [])
    vm.console.wait_for_more_ticks()


def test_a_vm_of_another_tool_keeps_its_disk_with_all_that_was_written(a, boot):
    """A disk that NovaCron did not make is not deleted with the VM, and neither is the overlay above it."""
    vm = boot(a, "foreign", ticks=0, start=False)
    definition = vm.export().text
    native = a.dispatcher.driver.native
    with native.dedicated() as slow:
        domain = native.domain(vm.id, slow)
        domain.undefine()
        slow.defineXML(re.sub(r"<metadata>.*?</metadata>", "", definition, flags=re.DOTALL))
    vm.snapshots.create("mine", kind="external")
    overlay = chain(vm)[0]
    vm.delete()
    left = files(a, vm)
    assert left == sorted(["foreign-vda.qcow2", overlay])
    for name in (overlay, "foreign-vda.qcow2"):
        a.pools.delete_volume(name)


@pytest.mark.parametrize("returns", [True, False])
def test_a_merge_survives_a_daemon_that_returns_and_is_completed_later_otherwise(
    lab, a, boot, guest_disk, monkeypatch, wait_for_agent, returns
):
    """libvirtd is killed while the files are merged: the guest runs on, its disk is whole, and nothing is left at the end."""
    from novacron_kvm import connection
    from novacron_kvm.snapshots import merging

    vm = boot(a, f"cut-short-{returns}", ticks=1, disks=[{"size": "2GiB"}])
    wait_for_agent(vm)
    vm.snapshots.create("one", memory=False)
    vm.snapshots.create("two", memory=False)
    vm.guest.exec("dd", "if=/dev/zero", "of=/dev/vda", "bs=1M", "seek=64", "count=256")
    commit, killed = merging.commit_active, []

    def dying(host, domain, target, path, job, report):
        def kill(fraction):
            if not killed:
                killed.append(fraction)
                lab.hosts[0].kill_daemon()
                if returns:
                    threading.Timer(1, lab.hosts[0].restart_daemon).start()
            report(fraction)

        return commit(host, domain, target, path, job, kill)

    monkeypatch.setattr(merging, "commit_active", dying)
    if returns:
        vm.snapshots["two"].delete()
    else:
        monkeypatch.setattr(connection, "RECONNECT_TIMEOUT", 0.5)
        with pytest.raises(errors.HostConnectionError) as caught:
            vm.snapshots["two"].delete()
        assert caught.value.outcome == "unknown"
        lab.hosts[0].restart_daemon()
    assert killed, "the daemon was not killed"
    monkeypatch.undo()
    vm.console.wait_for_more_ticks()
    deadline = time.monotonic() + 60
    while True:
        try:
            vm.refresh()
            break
        except errors.NovaCronError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert vm.status == "running"
    assert [s.name for s in vm.snapshots.list()] == ["one"]
    vm.snapshots["one"].delete()
    assert len(files(a, vm)) == 1
    vm.console.wait_for_more_ticks()
    last = vm.console.ticks[-1][0]
    vm.stop()
    assert guest_disk.read(vm) >= last - 1  # it says a second before it writes it


def test_reverting_to_what_is_gone_says_so_and_changes_nothing(lab, a, boot):
    vm = boot(a, "gone", ticks=1)
    vm.snapshots.create("live", kind="external")
    (memory,) = lab.shared.glob(f"{vm.id}.live~*.memory")
    memory.unlink()  # NovaCron itself refuses to
    a.pools.refresh("default")
    with pytest.raises(errors.SnapshotError) as caught:
        vm.snapshots["live"].revert()
    assert str(memory) in str(caught.value)
    assert vm.refresh().status == "running"
    vm.console.wait_for_more_ticks()
    vm.snapshots["live"].delete()
    assert files(a, vm) == ["gone-vda.qcow2"]
