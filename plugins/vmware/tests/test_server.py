"""Tasks, events, alarms, sessions, roles, settings, customization, and what vSphere alone knows of VMs; govc is the witness."""

from __future__ import annotations

import io
import json

import pytest

import novacron
from novacron import NICSpec, VMSpec, errors
from novacron_lab.vcenter import VCenter


@pytest.fixture(scope="module")
def vcenter():
    with VCenter("-machines", "1") as vcenter:
        yield vcenter


@pytest.fixture(scope="module")
def vm(host):
    return host.vms.create(
        VMSpec(name="own", memory="64MiB", nics=[NICSpec(network="VM Network"), NICSpec(network="VM Network")])
    )


def test_tasks_are_listed_by_object_and_state(own_world):
    """In a simulator of its own: vcsim no longer answers who asks for the tasks of an object once a clone of it was deleted."""
    host, govc = own_world("-machines", "1")
    vm = host.vms.create(name="own", memory="64MiB")
    vm.start()
    vm.stop()
    found = host.native.task_list(object="own")
    assert {task.operation for task in found} >= {"VirtualMachine.powerOn", "VirtualMachine.powerOff"}
    assert {task.object for task in found if "power" in task.operation} == {"own"}
    assert {task.state for task in host.native.task_list(state="success")} == {"success"}
    assert host.native.task_list(object="own", most=1) == found[:1]
    theirs = json.loads(govc("object.collect", "-json", "/DC0/vm/own", "recentTask"))
    assert found[0].id in json.dumps(theirs)


def test_tasks_are_followed_and_cancelled(vcenter, host, vm):
    """A task that would run for ever is seen, and ends when it is cancelled."""
    vcenter.stall("PowerOnVM_Task")
    job = host.submit("vm_start", vm=vm.id)
    followed = host.native.task_follow(seconds=20)
    task = next(task for task in followed if task.state == "running")
    followed.close()
    host.native.task_cancel(task.id)
    with pytest.raises(errors.NovaCronError):
        job.result(30)
    assert vm.refresh().status == "stopped"
    with pytest.raises(errors.InvalidStateError):
        host.native.task_cancel(task.id)
    with pytest.raises(errors.NotFoundError):
        host.native.task_cancel("task-99999")


def test_events_agree_with_govc(host, govc, vm):
    vm.start()
    vm.stop()
    ours = host.native.event_list(object="own", kind=("VmPoweredOnEvent", "VmPoweredOffEvent"))
    assert [event.kind for event in ours[:2]] == ["VmPoweredOffEvent", "VmPoweredOnEvent"]
    assert {event.object for event in ours} == {"own"}
    theirs = govc("events", "-type", "VmPoweredOnEvent", "/DC0/vm/own")
    assert theirs.count("\n") + 1 == sum(event.kind == "VmPoweredOnEvent" for event in ours)


def test_alarms_are_listed_and_acknowledged(host, govc, vm):
    names = {alarm.name for alarm in host.native.alarm_definitions()}
    assert {"Host error", "Virtual machine error"} <= names
    with pytest.raises(errors.NotFoundError):
        host.native.alarm_acknowledge("vcsim VM Alarm", "own")
    raised(host, vm, "vcsim.vm.fatal")
    (alarm,) = host.native.alarm_list("own")
    assert (alarm.name, alarm.status, alarm.object, alarm.acknowledged) == ("vcsim VM Alarm", "red", "/DC0/vm/own", False)
    assert alarm.name in govc("alarms", "/DC0/vm/own")
    (known,) = host.native.alarm_acknowledge(alarm.name, "own")
    assert known.acknowledged
    assert json.loads(govc("alarms", "-json", "-ack", "/DC0/vm/own"))[0]["acknowledged"]


def test_alarms_are_defined_changed_and_deleted(host, govc, vm):
    """What an event raises is seen on the object; govc finds the definition."""
    native = host.native
    made = native.alarm_create("too hot / 1", event=("lab.vm.hot",), clear=("lab.vm.cool",), status="yellow", description="heat")
    assert (made.name, made.enabled, made.description) == ("too hot / 1", True, "heat")
    assert "too hot / 1" in govc("alarm.info")
    with pytest.raises(errors.AlreadyExistsError):
        native.alarm_create("too hot / 1", event=("lab.vm.hot",))
    raised(host, vm, "lab.vm.hot")
    assert [(each.name, each.status) for each in native.alarm_list("own") if each.name == made.name] == [(made.name, "yellow")]
    raised(host, vm, "lab.vm.cool")
    assert not [each for each in native.alarm_list("own") if each.name == made.name]
    changed = native.alarm_update(made.id, enabled=False)
    assert (changed.enabled, changed.description) == (False, "heat")
    native.alarm_delete("too hot / 1")
    assert "too hot / 1" not in govc("alarm.info")
    by_metric = native.alarm_create("busy", object="own", metric="cpu.usage.average", yellow=7500, red=9000)
    theirs = json.dumps(json.loads(govc("alarm.info", "-json")))
    assert '"isAbove"' in theirs
    assert "9000" in theirs
    native.alarm_delete(by_metric.id)
    for wrong in (
        {},
        {"event": ("x",), "metric": "cpu.usage.average"},
        {"metric": "cpu.usage.average"},
        {"metric": "no.such", "red": 1.0},
    ):
        with pytest.raises(errors.InvalidSpecError):
            native.alarm_create("wrong", **wrong)
    with pytest.raises(errors.NotFoundError):
        native.alarm_delete("busy")


def raised(host, vm, kind):
    """Let a VM raise an alarm of the simulator."""
    from novacron_vmware.sdk import vim

    connection = host.dispatcher.driver.native
    thing = connection.inventory.find(vm.id)
    about = vim.event.VmEventArgument(name=vm.name, vm=thing)
    event = vim.event.EventEx(
        eventTypeId=kind, objectType=vim.VirtualMachine, objectId=thing._moId, vm=about, userName="", key=0, chainId=0
    )
    event.createdTime = vim.ServiceInstance("ServiceInstance", connection.session).CurrentTime()
    connection.content.eventManager.PostEvent(event)


def test_sessions_are_listed_and_ended(vcenter, host):
    with novacron.connect(vcenter.uri(), password=vcenter.password) as other:
        own = next(each for each in other.native.session_list() if each.current)
        assert own.id in {each.id for each in host.native.session_list()}
        with pytest.raises(errors.InvalidStateError):
            other.native.session_end(own.id)
        host.native.session_end(own.id)
        assert own.id not in {each.id for each in host.native.session_list()}
    with pytest.raises(errors.NotFoundError):
        host.native.session_end(own.id)


def test_licences_show_only_the_end_of_their_keys(host, govc):
    theirs = json.loads(govc("license.ls", "-json"))
    ours = host.native.license_list()
    assert {(each["name"], each["total"]) for each in theirs} == {(each.name, each.total) for each in ours}
    assert not {each["licenseKey"] for each in theirs} & {each.key for each in ours}


def test_roles_and_permissions(host, govc):
    native = host.native
    native.role_create("starter", ("VirtualMachine.Interact.PowerOn", "System.View"))
    assert "VirtualMachine.Interact.PowerOn" in govc.lines("role.ls", "starter")
    assert {role.name for role in native.role_list()} == {each["name"] for each in json.loads(govc("role.ls", "-json"))}
    with pytest.raises(errors.InvalidSpecError):
        native.role_create("wrong", ("No.Such",))
    (given,) = native.permission_set("LAB\\ann", "starter", "/DC0/vm")
    assert (given.role, given.object, given.propagate) == ("starter", "/DC0/vm", True)
    assert "LAB\\ann" in govc("permissions.ls", "/DC0/vm")
    assert ("LAB\\ann", "starter") in {(each.principal, each.role) for each in native.permission_list()}
    native.permission_delete("LAB\\ann", "/DC0/vm")
    assert "LAB\\ann" not in govc("permissions.ls", "/DC0/vm")
    native.role_delete("starter")
    assert "starter" not in govc("role.ls")


def test_settings(host, govc):
    assert host.native.setting_set("config.test.one", "1").value == "1"
    assert "1" in govc("option.ls", "config.test.one")
    assert [each.name for each in host.native.setting_list("config.test.")] == ["config.test.one"]


def test_customization_specifications(host, govc, vm):
    made = host.native.customization_create(
        "web / 1", hostname="web1", address="10.0.0.5/24", gateway="10.0.0.1", dns=("10.0.0.2",)
    )
    assert (made.name, made.kind) == ("web / 1", "Linux")
    assert "web / 1" in {each.name for each in host.native.customization_list()}
    theirs = json.loads(govc("object.collect", "-json", "CustomizationSpecManager:CustomizationSpecManager", "info"))
    assert "web / 1" in json.dumps(theirs)
    host.native.vm_customize("own", "web / 1")
    with pytest.raises(errors.AlreadyExistsError):
        host.native.customization_create("web / 1")
    for wrong in ({"address": "10.0.0.5"}, {"address": "x/24"}, {"address": "10.0.0.5/24", "gateway": "y"}):
        with pytest.raises(errors.InvalidSpecError):
            host.native.customization_create("bad", **wrong)
    host.native.customization_delete("web / 1")
    with pytest.raises(errors.NotFoundError):
        host.native.customization_delete("web / 1")


def test_windows_and_cloud_init_specifications_at_a_clone(host, govc, vm, monkeypatch):
    """A copy is customized at its first start: govc sees the host name in the guest."""
    native = host.native
    monkeypatch.setenv("NOVACRON_SECRET_WIN_ADMIN", "a secret of Windows")
    made = native.customization_create_windows("win", hostname="win1", admin_password="win-admin", run_once=("echo done",))
    assert made.kind == "Windows"
    item = host.dispatcher.driver.native.content.customizationSpecManager.GetCustomizationSpec("win")
    assert item.spec.identity.guiUnattended.password.value == "a secret of Windows"
    native.vm_clone_customized("own", "win-copy", "win", start=True)
    assert govc("object.collect", "-s", "/DC0/vm/win-copy", "guest.hostName") == "win1"
    metadata = io.BytesIO(b"instance-id: lab1\nlocal-hostname: lab1\n")
    native.customization_create_cloudinit("lab", metadata, io.BytesIO(b"#cloud-config\npackages: [htop]\n"))
    native.vm_clone_customized("own", "lab-copy", "lab", start=True)
    assert govc("object.collect", "-s", "/DC0/vm/lab-copy", "guest.hostName") == "lab1"
    assert host.vms["lab-copy"].status == "running"
    native.customization_create("lin", hostname="lin1")
    assert native.vm_clone_customized("own", "lin-copy", "lin", linked=True).name == "lin-copy"
    with pytest.raises(errors.AlreadyExistsError):
        native.vm_clone_customized("own", "lin-copy", "lin")
    with pytest.raises(errors.NotFoundError):
        native.vm_clone_customized("own", "other", "no such specification")
    for wrong in ({"hostname": "a-name-that-is-too-long"}, {"domain": "lab.example"}):
        with pytest.raises(errors.InvalidSpecError):
            native.customization_create_windows("bad", **wrong)
    with pytest.raises(errors.SecretNotFoundError):
        native.customization_create_windows("bad", admin_password="no such secret")
    with pytest.raises(errors.InvalidSpecError):
        native.customization_create_cloudinit("bad", io.BytesIO(b"\xff"), io.BytesIO(b""))
    for name in ("win", "lab", "lin"):
        native.customization_delete(name)
        host.vms[f"{name}-copy"].delete(force=True)


def test_settings_that_vsphere_alone_has(host, govc, vm):
    changed = host.native.vm_settings(
        "own",
        latency_sensitivity="high",
        cpu_hot_add=True,
        memory_hot_add=True,
        cores_per_numa_node=2,
        boot_delay=5,
        enter_setup=True,
    )
    assert (changed.latency_sensitivity, changed.cpu_hot_add, changed.memory_hot_add) == ("high", True, True)
    assert (changed.cores_per_numa_node, changed.boot_delay_ms, changed.enter_setup) == (2, 5000, True)
    assert govc("object.collect", "-s", "/DC0/vm/own", "config.cpuHotAddEnabled") == "true"
    theirs = json.dumps(
        json.loads(govc("object.collect", "-json", "/DC0/vm/own", "config.bootOptions", "config.latencySensitivity"))
    )
    assert '"bootDelay": 5000' in theirs
    assert '"level": "high"' in theirs
    kept = host.native.vm_settings("own", cores_per_numa_node=0)
    assert (kept.latency_sensitivity, kept.cpu_hot_add, kept.cores_per_numa_node) == ("high", True, None)
    assert (kept.encrypted, kept.fault_tolerance) == (False, "notConfigured")


def test_extra_configuration(host, govc, vm):
    host.native.vm_extra_set("own", {"guestinfo.colour": "blue", "x.y": "a=b"})
    assert "blue" in govc("vm.info", "-e", "/DC0/vm/own")
    now = {each.name: each.value for each in host.native.vm_extra_list("own")}
    assert (now["guestinfo.colour"], now["x.y"]) == ("blue", "a=b")
    host.native.vm_extra_set("own", {"x.y": ""})
    assert "x.y" not in {each.name for each in host.native.vm_extra_list("own")}
    with pytest.raises(errors.InvalidSpecError):
        host.native.vm_extra_set("own", {"novacron.facts": "{}"})


def test_hardware_tools_and_consolidation(host, govc, vm):
    native = host.native
    assert native.vm_upgrade("own", version="vmx-19").hardware == "vmx-19"
    assert govc("object.collect", "-s", "/DC0/vm/own", "config.version") == "vmx-19"
    assert not native.vm_consolidate("own").needs_consolidation
    with pytest.raises(errors.InvalidStateError):
        native.vm_tools_mount("own")
    vm.start()
    with pytest.raises(errors.InvalidStateError):
        native.vm_upgrade("own")
    native.vm_tools_mount("own")
    assert govc("object.collect", "-s", "/DC0/vm/own", "runtime.toolsInstallerMounted") == "true"
    native.vm_tools_unmount("own")
    assert native.vm_tools_upgrade("own").tools_status == "guestToolsCurrent"
    assert govc("object.collect", "-s", "/DC0/vm/own", "guest.toolsVersionStatus2") == "guestToolsCurrent"
    vm.stop()


def test_a_running_vm_is_cloned(host, govc, vm):
    """As it is on its disks. The original runs on, and the copy is stopped."""
    vm.start()
    made = vm.clone("copy-of-running")
    assert made.status == "stopped"
    assert govc.lines("find", "/DC0/vm", "-type", "m", "-runtime.powerState", "poweredOn", "-name", "own") == ["/DC0/vm/own"]
    assert made.record.path in govc.lines("find", "/DC0/vm", "-type", "m", "-runtime.powerState", "poweredOff")
    assert [nic.network for nic in made.record.nics] == [nic.network for nic in vm.refresh().record.nics]
    assert not {nic.mac for nic in made.record.nics} & {nic.mac for nic in vm.record.nics}
    made.delete()
    vm.stop()


def test_a_vm_is_unregistered_and_registered_again(host, govc):
    vm = host.vms.create(VMSpec(name="away", memory="64MiB"))
    vm.start()
    with pytest.raises(errors.InvalidStateError):
        host.native.vm_unregister("away")
    vm.stop()
    gone = host.native.vm_unregister("away")
    assert "/DC0/vm/away" not in govc.lines("find", "/DC0/vm", "-type", "m")
    assert host.native.vm_register(gone.kept[0]).name == "away"
    assert "/DC0/vm/away" in govc.lines("find", "/DC0/vm", "-type", "m")
    with pytest.raises(errors.AlreadyExistsError):
        host.native.vm_register(gone.kept[0])
    with pytest.raises(errors.InvalidSpecError):
        host.native.vm_register("away.vmx")


def test_a_task_with_a_result_of_an_unknown_type_is_listed_with_the_others(host, govc):
    """pyVmomi does not know the result of queryVirtualDiskInfo, which govc begins, and many other programs' results."""
    govc("datastore.disk.create", "-ds", "LocalDS_0", "-size", "1MiB", "unknown.vmdk")
    govc("datastore.disk.info", "-ds", "LocalDS_0", "unknown.vmdk")
    newest = host.native.task_list(most=5)[0]
    assert (newest.operation, newest.state) == ("VirtualDiskManager.queryVirtualDiskInfo", "success")
    host.pools.delete_volume("unknown.vmdk", "LocalDS_0")


def test_a_datacenter_lists_itself(host):
    """The host is the datacenter of its URI."""
    assert [each.path for each in host.native.object_list(kind="Datacenter")] == ["/DC0"]


def test_inherited_permissions_are_listed_on_demand(host, govc):
    """As `govc permissions.ls` does, which `-a=false` limits to the object's own."""
    own = {(each.principal, each.role) for each in host.native.permission_list("/DC0/vm")}
    every = {(each.principal, each.role) for each in host.native.permission_list("/DC0/vm", inherited=True)}
    told = [line.split()[2] for line in govc.lines("permissions.ls", "/DC0/vm") if "Principal" not in line]
    assert own < every
    assert sorted(principal for principal, _ in every) == sorted({*told})
