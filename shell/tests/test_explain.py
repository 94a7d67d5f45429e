"""`novacron explain`, and `host use`."""

import shlex

import click
import pytest
from click.testing import CliRunner

import novacron as api
from novacron.errors import HostNotFoundError
from novacron.meanings import meanings
from novacron.specs.describing import described_classes, described_fields
from novacron_shell.cli import cli
from novacron_shell.usage import usage

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEmK9cQ7c0lBqWcV0Zb5cV3bq1W0n4zv9cYk8o7u1qQ2 ann@example\n"
FILES = {
    "user-data.yaml": "#cloud-config\n{}\n",
    "vendor-data.yaml": "#cloud-config\n{}\n",
    "network.yaml": "version: 2\n",
    "filter.xml": "<filter name='web'/>",
    "web1.ova": "",
}


@pytest.fixture
def novacron(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))

    def run(*arguments, code=0):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


def words(text):
    """Return a text without line breaks and indentation."""
    return " ".join(text.split())


CLASSES = described_classes()
GIVEN = [field for cls in CLASSES.values() if cls.__module__.startswith("novacron.specs.") for field in described_fields(cls)]


def test_all_specs_and_records_are_listed(novacron):
    listed = {line.split()[0] for line in novacron("explain").stdout.splitlines() if line.startswith("  ")}
    assert CLASSES.keys() <= listed
    assert {"VMSpec", "DiskSpec", "GroupSettings", "VMQuery", "VM", "Alert"} <= listed


@pytest.mark.parametrize("name", ["VMSpec", "NICUpdate", "VMQuery", "VM"])
def test_a_class_shows_its_fields_with_their_meanings(novacron, name):
    text = words(novacron("explain", name).stdout)
    assert all(f"{field} {meaning}" in text for field, meaning in meanings(CLASSES[name]).items())


def test_a_field_has_its_meaning_values_default_drivers_option_and_example(novacron):
    text = words(novacron("explain", "VMSpec.memory").stdout)
    assert "Memory of the VM in bytes" in text
    assert 'Value a number of bytes, or text such as "2GiB"; 16 MiB to 256 TiB' in text
    assert "Default 512 MiB" in text
    assert "Drivers kvm, sim, vmware" in text
    assert "Option novacron vm create --memory" in text
    assert "Example novacron vm create web1 --memory 2GiB" in text


def test_a_driver_that_refuses_a_field_says_why(novacron):
    text = words(novacron("explain", "VMSpec.virt_type").stdout)
    assert "kvm (not for template_deploy), sim Refused by vmware: an ESXi has one kind of virtualization" in text
    assert "vmware (not for nic_attach)" in words(novacron("explain", "NICSpec.boot_order").stdout)
    assert "native.guest_id" in words(novacron("explain", "VMSpec.native").stdout)


def test_a_field_of_many_classes_is_explained_for_each(novacron):
    text = words(novacron("explain", "memory").stdout)
    assert text.startswith("VMSpec.memory Memory of the VM in bytes")
    assert "SnapshotSpec.memory Whether the memory of a running VM is saved" in text
    assert "Snapshot.memory Whether it contains the memory" in text


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["vm.memory"], "VMSpec.memory"),
        (["nic.mac"], "NICSpec.mac"),
        (["disks.cache"], "DiskSpec.cache"),
        (["VMSpec.disks.0.cache"], "DiskSpec.cache"),
        (["numa.memory"], "NUMANodeSpec.memory"),
        (["cloud-init.ssh-keys"], "CloudInitSpec.ssh_keys"),
        (["--", "--boot-menu"], "VMSpec.boot_menu"),
        (["pool"], "StoragePoolSpec (spec"),
        (["StoragePool"], "StoragePool (record"),
        (["VM.tags"], "VM.tags"),
        (["vm.create"], "vm_create (operation)"),
        (["vm", "create"], "vm_create (operation)"),
        (["vm_update"], "vm_update (operation)"),
        (["vmupdate"], "VMUpdate (spec"),
    ],
)
def test_names_are_found_as_people_write_them(novacron, asked, found):
    assert novacron("explain", *asked).stdout.startswith(found)


def test_an_operation_shows_its_arguments_drivers_and_command(novacron):
    text = words(novacron("explain", "vm.create").stdout)
    assert "Arguments spec (VMSpec) Drivers kvm, sim, vmware Command novacron vm create --help" in text
    assert "Command novacron migrate" in words(novacron("explain", "vm_migrate").stdout)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("wachdog", "watchdog"), ("VMSpec.memroy", "VMSpec.memory"), ("vm.craete", "vm.create"), ("DiskSpc", "DiskSpec")],
)
def test_a_misspelt_name_is_answered_with_the_one_that_was_meant(novacron, asked, meant):
    assert f"did you mean {meant!r}" in novacron("explain", asked, code=2).stderr


def test_a_name_that_nothing_is_like_leads_to_the_list(novacron):
    assert "`novacron explain` lists all" in novacron("explain", "qqqqqq", code=2).stderr


WITHOUT_EXAMPLE = {
    *(f"DHCPHostSpec.{field}" for field in ("mac", "address", "hostname")),
    *(f"DNSHostSpec.{field}" for field in ("address", "names")),
    *(f"PortGroupSpec.{field}" for field in meanings(CLASSES["PortGroupSpec"])),
    *(f"MigrationSpec.{field}" for field in ("peer_to_peer", "persistent", "destination_uri")),
    "ApplianceSpec.tags",
    "ApplianceSpec.metadata",
    "GroupSettings.failover_disarmed",
    "NICUpdate.mac",
    "RollingUpdateSpec.run_on",
    "SecurityLabelSpec.base_label",
    "VMQuery.detail",
}
"""Fields that the command line sets in another way, or not at all."""


def test_each_field_has_an_example_or_is_known_to_have_none():
    assert {f"{field.owner}.{field.name}" for field in GIVEN if not usage(field).example} == WITHOUT_EXAMPLE


def test_the_examples_are_accepted(novacron, tmp_path, monkeypatch, sample):
    """A VM, host or pool that an example names may be missing. Options and values that are wrong fail."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(KEY)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    examples = sorted({usage(field).example for field in GIVEN} - {""})
    assert len(examples) > 250
    for example in examples[:: sample(10, 1)]:
        arguments = shlex.split(example.replace("--image debian-13", "--disk size=1GiB"))[1:]
        if arguments[:2] in (["vm", "create"], ["fleet", "rolling-update"]):
            arguments.append("--dry-run")
        if arguments[0] not in ("fleet", "node"):
            arguments += ["-c", "sim://explained"]
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code != 2, (example, done.output)
        assert not str(done.exception).startswith("invalid "), (example, done.exception)


def options(command, context):
    """Yield each option of a command and of its commands, with the words of the command."""
    yield from ((context.command_path, each) for each in command.params if isinstance(each, click.Option))
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        inner = command.get_command(context, name)
        yield from options(inner, click.Context(inner, parent=context, info_name=name))


def test_each_option_says_what_it_does():
    found = list(options(cli, click.Context(cli, info_name="novacron")))
    assert len(found) > 500
    assert not [f"{path} {each.opts[0]}" for path, each in found if not each.help and not each.hidden]


def test_a_host_is_used_until_another_one_is_named(novacron):
    fleet = api.fleet()
    for name in ("use-a", "use-b"):
        fleet.add(name, f"sim://{name}?vms=1&prefix={name}-", replace=True)
    try:
        assert len(novacron("vm", "list", "-o", "name").stdout.split()) >= 2
        novacron("host", "use", "use-a")
        assert novacron("host", "use").stdout.strip() == "use-a"
        assert novacron("vm", "list", "-o", "name").stdout.split() == ["use-a-00001"]
        assert novacron("vm", "list", "--host", "use-b", "-o", "name").stdout.split() == ["use-b-00001"]
        assert isinstance(novacron("host", "use", "nowhere", code=1).exception, HostNotFoundError)
        novacron("host", "use", "--all")
        assert novacron("host", "use").stdout.strip() == "all"
        novacron("host", "use", "use-b")
        novacron("host", "remove", "use-b")
        assert novacron("host", "use").stdout.strip() == "all"
    finally:
        for name in ("use-a", "use-b"):
            if name in {host.name for host in fleet.list()}:
                fleet.remove(name)
