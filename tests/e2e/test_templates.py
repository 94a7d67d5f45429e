"""Templates on a real host: versions, linked and whole VMs, on every host of shared storage; nothing in use is deleted."""

import os
import threading
import time
from types import SimpleNamespace

import libvirt
import pytest

from novacron import errors
from novacron.threads import in_thread
from novacron_kvm.storage import busy_pools

pytestmark = pytest.mark.lab


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


@pytest.fixture
def files(lab):
    return lambda: {p.name for p in lab.shared.iterdir() if not p.name.endswith(".log")}


@pytest.fixture
def template(a, boot, guest_disk, files):
    """A template of a VM with 3333 on its disk; what was made from it and it itself are gone at the end."""
    before = files()
    vm = boot(a, "golden", ticks=0, start=False, tags={"gold"}, description="golden", nics=[{"network": "default"}])
    guest_disk.write(vm, 3)
    a.templates.create(vm, "golden", seal=False, description="one", tags={"base"})
    vm.delete()
    yield "golden"
    for found in a.vms.list():
        if found.name.startswith("from-golden"):
            found.delete(force=True)
    if "golden" in [t.name for t in a.templates.list()]:
        a.templates.delete("golden")
    assert files() == before


@pytest.mark.parametrize("linked", [True, False])
def test_vms_are_deployed_and_have_what_the_golden_one_had(a, template, guest_disk, linked):
    vm = a.templates.deploy(template, f"from-golden-{linked}".lower(), linked=linked, memory="128MiB", tags={"web"}, start=True)
    record = vm.record
    assert (record.status, record.memory_bytes, record.tags, record.description) == ("running", 128 * 2**20, {"web"}, "golden")
    assert (record.disks[0].backing is not None) == linked
    vm.stop()
    assert guest_disk.read(vm) >= 1
    other = a.templates.deploy(template, "from-golden-other", linked=linked)
    assert guest_disk.read(other) == 3333
    assert other.record.nics[0].mac != vm.record.nics[0].mac
    if linked:
        with pytest.raises(errors.InvalidStateError, match="from-golden") as caught:
            a.templates.delete(template)
        assert caught.value.hint
    vm.delete()
    other.delete()
    a.templates.delete(template)


def test_versions_are_kept_apart(a, boot, template):
    vm = boot(a, "golden2", ticks=0, start=False, disks=[{"size": "16MiB"}])
    assert a.templates.create(vm, template, seal=False).version == 2
    assert [t.version for t in a.templates.versions(template)] == [1, 2]
    assert a.templates[template].version == 2
    assert a.templates.update(template, description="two", tags={"new"}).description == "two"
    assert [(t.description, t.tags) for t in a.templates.versions(template)] == [("one", {"base"}), ("two", {"new"})]
    new, old = (a.templates.deploy(template, f"from-golden-v{n}", version=n) for n in (2, 1))
    assert [new.record.disks[0].size_bytes, old.record.disks[0].size_bytes] == [16 * 2**20, 64 * 2**20]
    new.delete()
    assert a.templates.delete(template, version=2).removed
    assert a.templates[template].version == 1
    vm.delete()


def test_a_template_is_changed_when_nobody_opens_its_file_any_more(lab, a, template, monkeypatch):
    """libvirt refuses to write a volume while it opens it for another client, such as one that lists templates. A pipe makes that long."""
    waits = threading.Event()
    monkeypatch.setattr(busy_pools, "time", SimpleNamespace(sleep=lambda seconds: waits.set(), monotonic=time.monotonic))
    file, aside, pipe = (lab.shared / name for name in (f"template-{template}-v1.xml", "aside.log", "pipe.log"))
    connection = libvirt.open(lab.hosts[0].uri)
    try:
        volume = connection.storageVolLookupByPath(str(file))
        file.rename(aside)
        os.mkfifo(file)
        reading = in_thread(lambda: volume.download(connection.newStream(0), 0, 0, 0), "reads")
        time.sleep(1)
        file.rename(pipe)
        aside.rename(file)
        changing = a.submit("template_update", template=template, description="read meanwhile", tags=None)
        assert waits.wait(60)
        assert not changing.done()
        os.close(os.open(pipe, os.O_WRONLY))
        reading.result(60)
        assert changing.result(60).description == "read meanwhile"
    finally:
        pipe.unlink(missing_ok=True)
        connection.close()


def test_every_host_of_shared_storage_has_it(a, lab_hosts, template):
    b = lab_hosts[1]
    assert [t.name for t in b.templates.list()] == [template]
    vm = b.templates.deploy(template, "from-golden-b", start=True)
    assert vm.record.status == "running"
    vm.delete(force=True)


def test_a_vm_from_a_template_has_disks_nics_and_a_seed_of_its_own(lab, a, template):
    vm = a.templates.deploy(
        template,
        "from-golden-more",
        disks=[{"size": "8MiB"}],
        nics=[{"network": "default"}, {"network": "default"}],
        cloud_init={"hostname": "more"},
    )
    assert [(d.target, d.bus) for d in vm.record.disks] == [("vda", "virtio"), ("vdb", "virtio"), ("sda", "scsi")]
    assert len(vm.record.nics) == 2
    vm.start()
    vm.delete(force=True)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"nics": [{"network": "nope"}]}, errors.NetworkNotFoundError),
        ({"disks": [{"size": "1MiB"}, {"source": "image:nope"}]}, errors.ImageNotFoundError),
        ({"disks": [{"size": "1MiB", "target": "vda"}]}, errors.NovaCronError),
        ({"memory": "200TiB", "start": True}, errors.NovaCronError),
    ],
)
def test_a_deployment_that_fails_leaves_nothing(a, files, template, fields, error):
    before = files(), len(a.vms.list())
    with pytest.raises(error) as caught:
        a.templates.deploy(template, "from-golden-bad", **fields)
    assert not isinstance(caught.value, errors.DriverError), caught.value
    assert (files(), len(a.vms.list())) == before


def test_what_is_not_there_or_not_possible_is_said(a, boot, files, template):
    with pytest.raises(errors.TemplateNotFoundError, match="version 7"):
        a.templates.deploy(template, "from-golden-x", version=7)
    vm = boot(a, "runs", ticks=0, kernel=None)
    before = files()
    with pytest.raises(errors.InvalidStateError):
        a.templates.create(vm, "other", seal=False)
    vm.stop()
    with pytest.raises(errors.UnsupportedOperationError) as caught:
        a.templates.create(vm, "other")
    assert "seal=False" in caught.value.hint
    assert files() == before
    vm.delete()
