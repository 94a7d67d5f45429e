"""Datastores and their clusters, devices, registration, performance, logs, certificates and licences; govc is the witness."""

from __future__ import annotations

import hashlib
import io
import json
import ssl

import pytest

from novacron import DiskSpec, NICSpec, VMSpec, errors
from novacron_lab.vcenter import VCenter


def unused(host):
    """A datastore without VMs."""
    return next(each for each in host.native.datastore_list() if not each.vms)


@pytest.fixture(scope="module")
def vcenter():
    with VCenter("-machines", "0", "-datastores", "3") as vcenter:
        yield vcenter


@pytest.fixture(scope="module")
def vm(host):
    return host.vms.create(
        VMSpec(name="own", memory="64MiB", disks=[DiskSpec(size="1MiB", pool="LocalDS_0")], nics=[NICSpec(network="VM Network")])
    )


def test_a_datastore_enters_maintenance_only_without_vms(host, govc, vm):
    native = host.native
    assert [each.path for each in native.datastore_list()] == govc.lines("find", "/DC0", "-type", "s")
    with pytest.raises(errors.InvalidStateError, match="VMs are on"):
        native.datastore_maintenance_enter("LocalDS_0")
    store = unused(host).path
    assert native.datastore_maintenance_enter(store).maintenance == "inMaintenance"
    assert govc("object.collect", "-s", store, "summary.maintenanceMode") == "inMaintenance"
    assert native.datastore_maintenance_enter(store).maintenance == "inMaintenance"
    assert native.datastore_maintenance_leave(store).maintenance == "normal"
    assert govc("object.collect", "-s", store, "summary.maintenanceMode") == "normal"
    with pytest.raises(errors.NotFoundError):
        native.datastore_show("no such datastore")


def test_datastore_clusters(host, govc):
    native = host.native
    store = unused(host)
    made = native.datastore_cluster_create("/DC0/datastore/fast %2f 1")
    assert (made.name, made.datastores) == ("fast / 1", ())
    changed = native.datastore_cluster_update("fast / 1", drs=False, add=(store.name,))
    assert (changed.datastores, changed.drs, changed.capacity_bytes) == ((store.name,), False, store.capacity_bytes)
    assert govc.lines("find", made.path, "-type", "s") == [f"{made.path}/{store.name}"]
    assert native.datastore_cluster_update("fast / 1", drs=True).drs
    theirs = json.loads(govc("object.collect", "-json", made.path, "podStorageDrsEntry"))
    assert theirs[0]["val"]["storageDrsConfig"]["podConfig"]["enabled"]
    with pytest.raises(errors.InvalidStateError, match="1 datastores"):
        native.datastore_cluster_delete(made.path)
    with pytest.raises(errors.InvalidStateError, match="not in the cluster"):
        native.datastore_cluster_update(made.path, remove=("LocalDS_0",))
    assert native.datastore_cluster_update(made.path, remove=(store.name,)).datastores == ()
    native.datastore_cluster_delete(made.path)
    assert native.datastore_cluster_list() == []
    assert store.path in govc.lines("find", "/DC0", "-type", "s")


def test_devices_are_listed_added_and_removed(host, govc, vm):
    """All of them, as govc lists them; disks and NICs are not removed this way."""
    native = host.native

    def theirs():
        return {
            each["key"]: each["deviceInfo"]["label"] for each in json.loads(govc("device.info", "-json", "-vm", "own"))["devices"]
        }

    assert {each.key: each.label for each in native.vm_device_list("own")} == theirs()
    disk = next(each for each in native.vm_device_list("own") if each.kind == "Disk")
    assert (disk.mode, disk.file.startswith("[LocalDS_0]"), disk.lun) == ("persistent", True, None)
    for kind in ("usb", "floppy"):
        (made,) = native.vm_device_add("own", kind)
        assert theirs()[made.key] == made.label
    (port,) = native.vm_device_add("own", "serial", file="[LocalDS_0] own/console.log")
    assert port.file == "[LocalDS_0] own/console.log"
    vm.start()
    assert native.vm_device_connect("own", port.label).connected
    assert not native.vm_device_disconnect("own", port.label).connected
    vm.stop()
    native.vm_device_remove("own", str(port.key))
    assert port.key not in theirs()
    nic = next(each for each in native.vm_device_list("own") if "Ethernet" in each.label or "ethernet" in each.label)
    for kept in (disk.label, nic.label):
        with pytest.raises(errors.InvalidStateError):
            native.vm_device_remove("own", kept)
    with pytest.raises(errors.InvalidStateError, match=disk.label):
        native.vm_device_remove("own", disk.controller)
    with pytest.raises(errors.DeviceNotFoundError):
        native.vm_device_connect("own", "no such device")
    for wrong in ({"kind": "usb", "file": "[LocalDS_0] x"}, {"kind": "serial"}, {"kind": "serial", "file": "x"}):
        with pytest.raises(errors.InvalidSpecError):
            native.vm_device_add("own", **wrong)


def test_a_raw_device_mapping_shows_its_lun():
    """The simulator has no LUNs, so a device as vSphere describes it."""
    from novacron_vmware.native.vm_devices import Device, _record

    backing = Device.VirtualDisk.RawDiskMappingVer1BackingInfo(
        fileName="[SSD1] db/db-rdm.vmdk",
        lunUuid="02000000006006016",
        compatibilityMode="physicalMode",
        diskMode="independent_persistent",
    )
    record = _record(
        Device.VirtualDisk(key=2001, controllerKey=1000, unitNumber=1, capacityInKB=1024, backing=backing), {1000: "SCSI 0"}
    )
    assert (record.provisioning, record.lun, record.mode) == ("rdm-physical", "02000000006006016", "independent_persistent")
    assert record.controller == "SCSI 0"


def test_vms_that_are_not_in_the_inventory_are_found_and_taken_in(host, govc):
    native = host.native
    host.vms.create(VMSpec(name="lost", memory="64MiB", disks=[DiskSpec(size="1MiB", pool="LocalDS_0")]))
    assert native.vm_unregistered() == []
    folder = govc("object.collect", "-s", "/DC0/vm/lost", "parent")
    again = native.vm_reregister("lost")
    assert (again.name, again.connection) == ("lost", "connected")
    assert govc("object.collect", "-s", "/DC0/vm/lost", "parent") == folder
    govc("vm.unregister", "/DC0/vm/lost")
    (found,) = native.vm_unregistered()
    assert (found.name, found.path, f"[{found.datastore}]") == ("lost", again.file, again.file.partition(" ")[0])
    assert native.vm_unregistered(found.datastore) == [found]
    other = next(each.name for each in native.datastore_list() if each.name != found.datastore)
    assert native.vm_unregistered(other) == []
    native.vm_register(found.path)
    assert "/DC0/vm/lost" in govc.lines("find", "/DC0", "-type", "m")
    vm = host.vms["lost"]
    vm.start()
    with pytest.raises(errors.InvalidStateError):
        native.vm_reregister("lost")
    vm.delete(force=True)


def test_a_vm_that_can_not_be_registered_again_is_told_with_its_file(host, vcenter):
    host.vms.create(VMSpec(name="unlucky", memory="64MiB"))
    file = host.native.vm_details("unlucky").file
    vcenter.fault("RegisterVM_Task", "InvalidState")
    with pytest.raises(errors.NovaCronError) as caught:
        host.native.vm_reregister("unlucky")
    assert file in "".join(caught.value.__notes__)
    host.native.vm_register(file)
    host.vms["unlucky"].delete()


def test_counters_and_samples_of_any_object(host, govc, vm):
    native = host.native
    vm.start()
    ours = {each.name: each for each in native.metric_list("own")}
    assert set(ours) == set(govc.lines("metric.ls", "/DC0/vm/own"))
    assert ours["cpu.usage.average"].unit == "percent"
    assert set(native_names(native.metric_list("/DC0/host/DC0_H0/DC0_H0"))) == set(
        govc.lines("metric.ls", "/DC0/host/DC0_H0/DC0_H0")
    )
    intervals = native.metric_intervals()
    assert [each.seconds for each in intervals] == sorted(
        each["samplingPeriod"] for each in theirs_of(govc, "historicalInterval")
    )
    samples = native.metric_sample("own", ("cpu.usage.average", "mem.usage.average"), most=3)
    assert {each.name for each in samples} == {"cpu.usage.average", "mem.usage.average"}
    assert len(samples) <= 6
    assert [each.at for each in samples] == sorted(each.at for each in samples)
    with pytest.raises(errors.InvalidSpecError, match="no such counter"):
        native.metric_sample("own", ("no.such.counter",))
    with pytest.raises(errors.InvalidSpecError):
        native.metric_sample("own", ("cpu.usage.average",), most=0)
    vm.stop()


def native_names(counters):
    return [each.name for each in counters]


def theirs_of(govc, path):
    (read,) = json.loads(govc("object.collect", "-json", "PerformanceManager:PerfMgr", path))
    return read["val"]["_value"] if isinstance(read["val"], dict) else read["val"]


def test_logs_and_bundles(host, govc, tmp_path):
    """The simulator's logs are ours; govc lists and reads the same."""
    native = host.native
    (log,) = native.log_list()
    assert log.key in govc("logs.ls")
    last = native.log_show(log.key, most=3)
    assert [line.rpartition(" ")[2] for line in last] == ["38", "39", "40"]
    assert "line 40" in govc("logs", "-log", log.key, "-n", "3")
    assert native.log_list(node="DC0_H0")[0].key == "hostd"
    with pytest.raises(errors.NotFoundError):
        native.log_show("no such log")
    for node in ("", "DC0_H0"):
        target = io.BytesIO()
        made = native.log_bundle(target, node=node)
        assert target.getvalue().startswith(b"bundle of " + (b"vcsupport" if not node else b"host-"))
        assert made.size_bytes == len(target.getvalue())


def test_certificates(host, govc, vcenter):
    shown = host.native.certificate_show()
    pem = ssl.get_server_certificate(("127.0.0.1", vcenter.port))
    assert shown.sha256 == hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    assert shown.begins_at < shown.ends_at
    assert shown.issuer
    node = host.native.node_certificate("DC0_H0")
    theirs = govc("host.cert.info", "-host", "/DC0/host/DC0_H0/DC0_H0")
    assert "Acme Co" in node.subject
    assert "Acme Co" in theirs


def test_licences_are_added_and_removed_by_the_name_of_a_secret(host, govc, monkeypatch):
    monkeypatch.setenv("NOVACRON_SECRET_LAB_LICENCE", "AAAAA-BBBBB-CCCCC-DDDDD-EEEE1")
    made = host.native.license_add("lab-licence")
    assert "AAAAA" not in made.key
    assert "AAAAA-BBBBB-CCCCC-DDDDD-EEEE1" in govc("license.ls", "-json")
    host.native.license_remove("EEEE1")
    assert "AAAAA-BBBBB-CCCCC-DDDDD-EEEE1" not in govc("license.ls", "-json")
    with pytest.raises(errors.NotFoundError):
        host.native.license_remove("EEEE1")
    with pytest.raises(errors.SecretNotFoundError):
        host.native.license_add("no such secret")


def test_advanced_settings_of_a_node(host, govc):
    native, node = host.native, "/DC0/host/DC0_H0/DC0_H0"
    govc("host.option.set", "-host", node, "Config.Lab.Number", "4")
    known = {each.name: each.value for each in native.node_setting_list(node)}
    name = sorted(known)[0]
    assert native.node_setting_set(node, name, str(known[name])).value == known[name]
    changed = native.node_setting_set(node, "Config.Lab.Number", "5")
    assert changed.name == "Config.Lab.Number"
    assert govc("host.option.ls", "-host", node, "Config.Lab.Number").split()[-1] == "5"
    assert [each.name for each in native.node_setting_list(node, "Config.Lab.")] == ["Config.Lab.Number"]
    with pytest.raises(errors.NotFoundError):
        native.node_setting_set(node, "No.Such", "1")


def test_the_mode_of_a_disk(host, govc, vm):
    assert host.native.vm_disk_mode("own", "sda", "independent_persistent").mode == "independent_persistent"
    assert "independent_persistent" in govc("device.info", "-json", "-vm", "own")
    vm.start()
    with pytest.raises(errors.InvalidStateError):
        host.native.vm_disk_mode("own", "sda", "persistent")
    vm.stop()
    assert host.native.vm_disk_mode("own", "sda", "persistent").mode == "persistent"
    with pytest.raises(errors.DeviceNotFoundError):
        host.native.vm_disk_mode("own", "sdz", "persistent")


def test_a_part_of_a_file_is_downloaded(host):
    native = host.native
    native.datastore_upload(io.BytesIO(b"0123456789"), "LocalDS_0/part.txt")

    def part(**which):
        target = io.BytesIO()
        native.datastore_download("LocalDS_0/part.txt", target, **which)
        return target.getvalue()

    assert (part(), part(offset=4), part(offset=4, length=3), part(length=2)) == (b"0123456789", b"456789", b"456", b"01")
    for wrong in ({"offset": 10}, {"offset": -1}, {"length": 0}):
        with pytest.raises(errors.InvalidSpecError):
            part(**wrong)
    native.datastore_rm("LocalDS_0/part.txt")


@pytest.mark.parametrize(("now", "text", "value"), [(1, "2", 2), (True, "false", False), ("a", "7", "7")])
def test_a_setting_keeps_its_type(now, text, value):
    from novacron_vmware.native.node_systems import _of_type

    found = _of_type(now, "Net.Setting", text)
    assert (found, type(found)) == (value, type(value))
    if not isinstance(now, str):
        with pytest.raises(errors.InvalidSpecError):
            _of_type(now, "Net.Setting", "neither")
