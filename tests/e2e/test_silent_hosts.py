"""A host of the fleet does not answer: files that its VMs may need are neither deleted nor overwritten, on real hosts."""

import io
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from novacron import errors
from novacron.appliances.temporary import is_temporary
from novacron.site import Site
from novacron.specs import TemplateSpec

sys.path.insert(0, str(Path(__file__).parent))
from leftovers import remove_named

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]
MIB = 2**20


@pytest.fixture
def site(lab, tmp_path):
    """A fleet of a real host and of one that does not answer."""
    with Site(tmp_path / "state") as made:
        made.fleet.add("here", lab.hosts[0].uri)
        made.fleet.add("gone", f"qemu+unix:///system?socket={tmp_path}/nobody")
        yield made


@pytest.fixture
def host(site):
    return site.fleet.hosts["here"]


@pytest.fixture
def prefix(lab, lab_hosts):
    """What the names of VMs and volumes begin with; at the end all of them are gone."""
    found = f"sh{uuid.uuid4().hex[:6]}"
    yield found
    remove_named(lab_hosts[0], found)


def refused(action, *arguments, **more):
    with pytest.raises(errors.InvalidStateError, match="the host 'gone' does not answer") as caught:
        action(*arguments, **more)
    assert "`novacron host remove gone`" in caught.value.hint
    assert caught.value.outcome == "not_sent"


def test_a_volume_that_a_silent_host_may_need_is_neither_deleted_nor_overwritten(site, host, prefix):
    name = f"{prefix}-a"
    path = Path(host.pools.create_volume("default", name=name, capacity="1MiB", format="raw").path)
    path.write_bytes(b"precious" * (MIB // 8))
    where = {"pool": "default", "volume": name}
    operations = [
        ("volume_wipe", {}),
        ("volume_upload", {"source": lambda: io.BytesIO(b"x" * 4096)}),
        ("volume_resize", {"size": 4096, "shrink": True}),
        ("volume_delete", {}),
    ]

    def run(operation, more):
        host.invoke(operation, **where, **{key: value() if callable(value) else value for key, value in more.items()})

    for operation, more in operations:
        refused(run, operation, more)
    assert path.read_bytes() == b"precious" * (MIB // 8)
    host.invoke("volume_resize", size=2 * MIB, shrink=False, **where)  # nothing is lost by that
    host.invoke("volume_clone", name=f"{name}-copy", **where)
    site.fleet.remove("gone")
    for operation, more in operations:
        run(operation, more)
    assert not path.exists()


def test_a_silent_host_holds_up_nothing_in_pools_that_are_said_to_be_local(site, host, prefix):
    site.fleet.groups.set("fleet", shared_pools=["default"])
    path = Path(host.pools.create_volume("default", name=f"{prefix}-a", capacity="1MiB", format="raw").path)
    path.write_bytes(b"precious")
    refused(host.pools.delete_volume, f"{prefix}-a")
    vm = host.vms.create(name=f"{prefix}-v", memory="32MiB", disks=[{"size": "8MiB"}])
    disk = vm.record.disks[0].source
    site.fleet.groups.set("fleet", shared_pools=[])
    host.pools.delete_volume(f"{prefix}-a")
    assert vm.delete().kept == ()
    assert not path.exists()
    assert not Path(disk).exists()


def test_a_file_is_sent_into_a_new_volume_and_nothing_is_left_if_that_fails(host, prefix, tmp_path):
    file, overlay = tmp_path / "file", tmp_path / "overlay"
    file.write_bytes(b"precious" * (MIB // 8))
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", file, "-F", "raw", overlay], check=True)
    with pytest.raises(errors.ImageError):
        host.pools.upload(overlay, f"{prefix}-failed")
    assert f"{prefix}-failed" not in {volume.name for volume in host.pools.volumes("default")}
    sent = host.pools.upload(file, f"{prefix}-sent")
    assert Path(sent.path).read_bytes() == file.read_bytes()
    refused(host.pools.delete_volume, sent.name)


def test_an_appliance_is_exported_and_imported_and_leaves_no_other_volumes(host, prefix, tmp_path):
    vm = host.vms.create(name=f"{prefix}-v", memory="32MiB", disks=[{"size": "8MiB"}])
    vm.export_appliance(tmp_path / "v.ova")
    host.vms.import_appliance(tmp_path / "v.ova", name=f"{prefix}-w")
    assert not [volume.name for volume in host.pools.volumes("default") if is_temporary(volume.name)]


def test_a_vm_is_deleted_and_its_files_stay_until_the_silent_host_is_known_not_to_need_them(site, host, prefix):
    vm = host.vms.create(name=f"{prefix}-v", memory="32MiB", disks=[{"size": "8MiB"}, {"size": "8MiB"}])
    disks = [disk.source for disk in vm.record.disks]
    gone = vm.delete()
    assert vm.name not in host.vms
    assert gone.kept == tuple(disks)
    assert all(Path(disk).exists() for disk in disks)
    assert "the host 'gone' does not answer" in gone.hint
    assert all(disk in gone.hint for disk in disks)
    assert f"`novacron volume delete --pool default {' '.join(Path(disk).name for disk in disks)}`" in gone.hint
    assert "`novacron host remove gone`" in gone.hint
    site.fleet.remove("gone")
    for disk in disks:
        host.pools.delete_volume(Path(disk).name)
    again = host.vms.create(name=f"{prefix}-v", memory="32MiB", disks=[{"size": "8MiB"}])
    assert again.delete().hint is None


def test_keeping_the_disks_has_nothing_to_do_with_silent_hosts(host, prefix):
    vm = host.vms.create(name=f"{prefix}-k", memory="32MiB", disks=[{"size": "8MiB"}])
    gone = vm.delete(keep_disks=True)
    assert (len(gone.kept), gone.hint) == (1, None)


def test_a_disk_of_which_a_silent_host_may_need_the_file_is_only_detached_without_deleting(site, host, prefix):
    vm = host.vms.create(name=f"{prefix}-d", memory="32MiB", disks=[{"size": "8MiB"}, {"size": "8MiB"}])
    target, path = vm.record.disks[1].target, Path(vm.record.disks[1].source)
    refused(vm.disks[target].detach, delete=True)
    assert len(vm.refresh().record.disks) == 2
    assert path.exists()
    vm.disks[target].detach()
    assert path.exists()


def test_a_file_that_a_silent_host_may_read_is_not_committed_into(site, host, prefix):
    host.pools.create_volume("default", name=f"{prefix}-base", capacity="8MiB", format="qcow2")
    over = host.pools.create_volume("default", name=f"{prefix}-over", capacity="8MiB", format="qcow2", backing=f"{prefix}-base")
    vm = host.vms.create(name=f"{prefix}-c", memory="32MiB", disks=[{"path": over.path}])
    target = vm.record.disks[0].target
    refused(host.invoke, "disk_commit", vm=vm.id, disk=target)
    assert vm.refresh().record.disks[0].source == over.path
    site.fleet.remove("gone")
    assert host.invoke("disk_commit", vm=vm.id, disk=target).source.endswith("-base")


def test_a_template_that_a_vm_of_a_silent_host_may_be_linked_to_is_not_deleted(site, host, prefix):
    vm = host.vms.create(name=f"{prefix}-t", memory="32MiB", disks=[{"size": "8MiB"}])
    name = f"{prefix}-template"
    host.invoke("template_create", vm=vm.id, spec=TemplateSpec(name=name, seal=False))
    refused(host.invoke, "template_delete", template=name, version=None)
    assert name in {template.name for template in host.templates.list()}
    site.fleet.remove("gone")
    host.invoke("template_delete", template=name, version=None)
    assert name not in {template.name for template in host.templates.list()}
