"""Clones on a real host: each goes its own way, and nothing that another needs is deleted."""

import pytest

from novacron import errors

pytestmark = pytest.mark.lab


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


@pytest.fixture
def files(lab):
    return lambda: {p.name for p in lab.shared.iterdir() if not p.name.endswith(".log")}


@pytest.fixture
def cloned():
    made = []

    def clone(vm, name, **options):
        made.append(vm.clone(name, **options))
        return made[-1]

    yield clone
    for vm in made:
        if vm.id in vm.host.vms:
            vm.delete(force=True)


@pytest.mark.parametrize("linked", [False, True])
def test_a_clone_and_its_original_go_their_own_ways(a, boot, guest_disk, files, cloned, linked):
    before = files()
    vm = boot(a, "original", ticks=0, start=False, nics=[{"network": "default"}], tags={"web"}, description="the first")
    counted = guest_disk.write(vm, 1)
    clone = cloned(vm, "copy", linked=linked)
    record, original = clone.record, vm.refresh().record
    assert record.status == "stopped"
    assert (record.tags, record.description, record.vcpus) == ({"web"}, "the first", original.vcpus)
    assert record.id != original.id
    assert record.nics[0].mac != original.nics[0].mac
    assert record.disks[0].source != original.disks[0].source
    assert guest_disk.read(clone) == guest_disk.read(vm) == counted
    assert (record.disks[0].backing is not None) == linked
    vm.start()
    vm.console.wait_for_more_ticks(60, 2)  # it says a second before it writes it
    assert guest_disk.read(clone) == counted
    clone.start()
    assert clone.refresh().status == "running"
    vm.stop()
    clone.stop()
    assert guest_disk.read(vm) < counted
    vm.delete()
    assert guest_disk.read(clone), "the clone needs nothing of what went with the original"
    clone.start()
    clone.stop()
    clone.delete()
    assert files() == before


def test_the_last_of_linked_vms_takes_what_they_shared_along(lab, a, boot, files, cloned):
    before = files()
    vm = boot(a, "root", ticks=0, start=False)
    one = cloned(vm, "one", linked=True)
    two = cloned(one, "two", linked=True)
    one.delete()
    two.start()
    two.stop()
    deleted = vm.delete()
    assert deleted.kept, "what the other still needs"
    two.delete()
    assert files() == before


@pytest.mark.parametrize(
    ("name", "error"),
    [("original2", errors.AlreadyExistsError), ("../x", errors.InvalidSpecError), ("", errors.InvalidSpecError)],
)
def test_a_bad_name_is_refused_and_nothing_is_made(a, boot, files, name, error):
    vm = boot(a, "original2", ticks=0, start=False)
    before = files()
    with pytest.raises(error) as caught:
        vm.clone(name)
    assert caught.value.hint
    assert files() == before


def test_a_running_vm_and_one_with_snapshots_are_refused(a, boot, files):
    vm = boot(a, "busy", ticks=0, kernel=None)
    with pytest.raises(errors.InvalidStateError, match="running"):
        vm.clone("copy")
    vm.stop()
    vm.snapshots.create("one")
    before = files()
    with pytest.raises(errors.InvalidStateError, match="snapshots"):
        vm.clone("copy", linked=True)
    assert files() == before
    vm.clone("copy").delete()
    assert files() == before


def test_a_cancelled_clone_leaves_nothing(a, boot, files):
    vm = boot(a, "large", ticks=0, start=False, disks=[{"size": "8MiB"}, {"size": "8MiB"}, {"size": "8MiB"}])
    before = files(), len(a.vms.list())
    job = vm.clone("copy", wait=False)
    job.cancel()
    with pytest.raises(errors.OperationCancelledError):
        job.result(60)
    assert (files(), len(a.vms.list())) == before


def test_a_clone_with_uefi_boots_with_nvram_of_its_own(a, boot, cloned):
    vm = boot(a, "uefi", ticks=0, start=False, firmware="uefi")
    clone = cloned(vm, "uefi-copy")
    vm.start()
    clone.start()
    assert (vm.refresh().status, clone.refresh().status) == ("running", "running")


def test_a_definition_is_exported_and_imported(a, boot):
    vm = boot(a, "exported", ticks=0, start=False, tags={"web"})
    definition = vm.export()
    vm.delete(keep_disks=True)
    again = a.vms.import_definition(definition.text)
    try:
        assert (again.id, again.record.tags, again.record.disks[0].source) == (vm.id, {"web"}, vm.record.disks[0].source)
        with pytest.raises(errors.AlreadyExistsError):
            a.vms.import_definition(definition.text)
    finally:
        again.delete()
    for bad in (
        "<domain",
        "<network/>",
        "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><domain><name>&e;</name></domain>",
    ):
        with pytest.raises(errors.InvalidSpecError):
            a.vms.import_definition(bad)
