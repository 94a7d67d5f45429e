"""`novacron vm set` and `vm edit`: fields of VMs change later, and the differences are shown before."""

import itertools
import json
import stat

import pytest
from click.testing import CliRunner

import novacron as api
from novacron.errors import InvalidSpecError, InvalidStateError, NovaCronError
from novacron.handles.vm import VMHandle
from novacron.records.vm import VMConfiguration
from novacron.specs.vm import HARDWARE
from novacron.workflow import step, steps
from novacron_shell.cli import cli

WORLDS = itertools.count()


@pytest.fixture
def world():
    name = f"set-{next(WORLDS)}"
    return f"sim://{name}?vms=4"


@pytest.fixture
def vm(world):
    with api.connect(world) as host:
        yield host.vms["vm-00001"]


@pytest.fixture
def novacron(world):
    def run(*arguments, code=0, **options):
        done = CliRunner().invoke(cli, ["-c", world, *arguments], **options)
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


def rows(done):
    return {row["field"]: (row["before"], row["after"], row["applies"]) for row in json.loads(done.stdout)}


def test_each_hardware_field_can_be_changed_and_restored(vm):
    from novacron.testing.values import VALUES

    before = vm.configuration().fields
    for field in HARDWARE:
        value = VALUES["VMUpdate"][field]
        asked = {**value.extra, field: ["vda"] if field == "boot_order" else value.tried[0]}
        plan = vm.plan_update(when="next_start", **asked)
        assert any(change.field.split(".")[0] == field for change in plan), field
        plan.apply()
        assert not len(vm.plan_update(when="next_start", **asked)), field
        vm.plan_update(when="next_start", **plan.undo).apply()
        now = vm.configuration().fields
        assert {name for name in now if (now[name] or None) != (before[name] or None)} <= {"vcpus_max"}, field


def test_a_dry_run_shows_the_differences_and_changes_nothing(novacron, vm):
    done = novacron("vm", "set", "vm-00001", "watchdog=reset", "description=x", "vcpus=99", "--dry-run", "-o", "json")
    assert rows(done) == {
        "watchdog": (None, "reset", "next start"),
        "description": ("", "x", "at once"),
        "vcpus": (vm.record.vcpus, 99, "needs a stop"),
    }
    assert vm.configuration().fields["watchdog"] is None


def test_a_change_shows_what_it_did_and_how_to_undo_it(novacron, vm):
    done = novacron("vm", "set", "vm-00001", "features.hyperv=true", "features.pmu=false", "tags=a,b", "metadata.owner.name=ann")
    assert "features.hyperv: False -> True (next start)" in done.stderr
    assert vm.configuration().fields["features"]["hyperv"] is True
    assert vm.refresh().record.metadata == {"owner.name": "ann"}
    undo = next(line for line in done.stderr.splitlines() if line.startswith("undo: novacron "))
    novacron(*undo.removeprefix("undo: novacron ").split())
    fields = vm.configuration().fields
    assert (fields["features"]["hyperv"], fields["tags"], fields["metadata"]) == (False, ["web"], {})
    assert "no change" in novacron("vm", "set", "vm-00001", "description=").stderr


def test_many_vms_are_changed_by_selectors(novacron, vm):
    assert "4 of 4 done" in novacron("vm", "set", "vm-*", "watchdog=reset").stderr
    assert {each.configuration().fields["watchdog"] for each in vm.host.vms.list()} == {"reset"}


def test_what_a_running_vm_cannot_take_is_refused_and_can_be_set_for_the_next_start(novacron, vm):
    done = novacron("vm", "set", "vm-00001", "vcpus=99", "watchdog=reset", code=1)
    assert isinstance(done.exception, InvalidStateError)
    assert "next start" in done.exception.hint
    assert vm.configuration().fields["watchdog"] is None
    assert isinstance(novacron("vm", "set", "vm-00001", "watchdog=reset", "--live", code=1).exception, InvalidStateError)
    more = str(vm.record.vcpus)
    novacron("vm", "set", "vm-00001", f"vcpus={more}", "watchdog=reset", "--next-start")
    novacron("vm", "set", "vm-00001", "vcpus=1", "--live", "--next-start", code=2)


@pytest.mark.parametrize("field", ["firmware=uefi", "arch=aarch64", "name=x", "disks=x", "host_devices=x", "iso=/x"])
def test_fields_that_no_driver_can_change_are_refused_by_name(novacron, field):
    done = novacron("vm", "set", "vm-00001", field, code=1)
    assert isinstance(done.exception, InvalidSpecError)
    assert field.partition("=")[0] in str(done.exception)


@pytest.mark.parametrize(
    "field", ["wachdog=reset", "watchdog=explode", "vcpus=0", "boot_order=nvme9", "boot_order=vda,vda", "cpu_mode=x", "memory=2"]
)
def test_bad_fields_and_values_change_nothing(novacron, vm, field):
    before = vm.configuration()
    assert novacron("vm", "set", "vm-00001", "description=new", field, code=2 if field == "memory=2" else 1)
    assert vm.configuration() == before


def test_a_vm_is_edited_as_yaml(novacron, vm, tmp_path, monkeypatch):
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/^watchdog: null/watchdog: reset/; s/^description: .*/description: edited/' \"$1\"\n")
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("VISUAL", str(editor))
    assert "watchdog: none -> reset" in novacron("vm", "edit", "vm-00001").stderr
    assert vm.configuration().fields["watchdog"] == "reset"
    assert vm.refresh().record.description == "edited"
    monkeypatch.setenv("VISUAL", "true")
    assert "nothing was changed" in novacron("vm", "edit", "vm-00001").stderr


@step
def fail_on_purpose(context):
    raise InvalidSpecError("on purpose")


def test_a_workflow_undoes_a_hardware_change(vm):
    flow = steps.update(watchdog="reset", features={"hyperv": True}) >> fail_on_purpose()
    with pytest.raises(NovaCronError, match="on purpose"):
        flow.run(vm).result()
    fields = vm.configuration().fields
    assert (fields["watchdog"], fields["features"].get("hyperv")) == (None, False)


def test_memory_is_shown_with_its_unit(novacron, vm):
    told = novacron("set", vm.name, "memory=3GiB", "--next-start").stderr
    assert "memory: 2 GiB -> 3 GiB" in told
    assert "memory=2048MiB" in told, "what undoes it can be typed"


def test_the_configuration_is_a_table_of_fields(novacron, vm, monkeypatch):
    found = VMConfiguration(vm=vm.name, fields={"memory": 2**31, "features": {"hyperv": True}}, pending=("features",))
    monkeypatch.setattr(VMHandle, "configuration", lambda _: found)
    lines = [line.split() for line in novacron("vm", "configuration", vm.name).stdout.splitlines()]
    assert lines[1:] == [["memory", "2", "GiB", "no"], ["features", "hyperv=yes", "yes"]]
    assert json.loads(novacron("vm", "configuration", vm.name, "-o", "json").stdout)["pending"] == ["features"]
