"""Every command of a VM takes selectors: patterns, tags, hosts, statuses and names from standard input."""

import itertools
import json

import click
import pytest
from click.testing import CliRunner

import novacron as api
from novacron.drivers import sim
from novacron_shell.cli import VM_COMMANDS, cli
from novacron_shell.completion import suggestions

WORLDS = itertools.count()
ONE = {
    "clone": "the copy has a name of its own",
    "rename": "the VM gets a name of its own",
    "create": "it makes one VM",
    "export": "it writes one document",
    "export-appliance": "it writes one file",
    "import": "it makes one VM",
    "import-appliance": "it makes one VM",
    "edit": "an editor shows one VM",
    "history": "it is a time series of one VM",
    "question": "a question is of one VM",
    "guest read": "it prints one file",
    "guest password": "the password is typed for one VM",
}
"""Commands of one VM, and why."""
GROUPS = ("guest", "snapshot", "disk", "nic", "resources")


@pytest.fixture
def world():
    name = f"selectors-{next(WORLDS)}"
    return f"sim://{name}?vms=6"


@pytest.fixture
def host(world):
    with api.connect(world) as host:
        yield host


@pytest.fixture
def novacron(world):
    def run(*arguments, code=0, stdin=None):
        done = CliRunner().invoke(cli, ["-c", world, *arguments], input=stdin)
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


def vm_commands():
    """Yield the words and the command of each command of VMs."""
    context = click.Context(cli)
    vm = cli.get_command(context, "vm")
    for name in VM_COMMANDS:
        yield name, vm.get_command(context, name)
    for group in GROUPS:
        for name, command in cli.get_command(context, group).commands.items():
            yield f"{group} {name}", command


def test_each_command_of_vms_takes_selectors_or_says_why_not():
    commands = dict(vm_commands())
    assert {*ONE} <= {*commands}
    for name, command in commands.items():
        arguments = {parameter.name for parameter in command.params if isinstance(parameter, click.Argument)}
        assert bool(arguments & {"words", "selector", "names"}) != (name in ONE), name


DRY = [name for name, command in vm_commands() if name not in ONE and any(p.name == "dry_run" for p in command.params)]


def dry_run(novacron, name, selector):
    """Return the names of the VMs that a command would change."""
    command = dict(vm_commands())[name]
    more = [_example(parameter) for parameter in command.params if isinstance(parameter, click.Argument)][1:]
    options = {"migrate": ["--pool", "default"], "update": ["--description", "x"], "resources set": ["--vcpus", "1"]}
    if name == "set":
        more = ["description=x"]
    words = name.split() if name.split()[0] in GROUPS else ["vm", name]
    done = novacron(*words, selector, *more, *options.get(name, []), "--dry-run", "-o", "json")
    return {row.get("name") or row["vm"] for row in json.loads(done.stdout)}


@pytest.mark.parametrize("name", DRY)
def test_a_dry_run_of_each_command_lists_the_vms_and_changes_nothing(novacron, host, name):
    before = [vm.record for vm in host.vms.list(detail="full")]
    assert dry_run(novacron, name, "vm-0000[12]") == {"vm-00001", "vm-00002"}
    assert [vm.record for vm in host.vms.list(detail="full")] == before


ODD = ("vm-0000[12]", "vm-00001,vm-00002", "vm-*", "tag:x", "status:running", "host:kvm1", "@prod")
"""Names that other tools may give a VM, and that are selectors, too."""


@pytest.mark.parametrize("odd", ODD)
def test_a_vm_whose_name_is_a_selector_is_chosen_by_it_and_alone(novacron, host, odd):
    """By each command that takes selectors: an exact name wins over the pattern."""
    world = sim.world(host.name)
    world.rename(world.find(host.vms["vm-00003"].id), odd)
    for name in DRY:
        assert dry_run(novacron, name, odd) == {odd}, name
    listed = [json.loads(line)["name"] for line in novacron("vm", "list", odd, "-o", "ndjson").stdout.splitlines()]
    assert listed == [odd]
    assert [each["name"] for each in json.loads(novacron("vm", "show", odd, "-o", "json").stdout)] == [odd]
    planned = json.loads(novacron("flow", "plan", odd, "start", "-o", "json").stdout)
    assert [each["name"] for each in planned["vms"]] == [odd]


def _example(parameter):
    if isinstance(parameter.type, click.Choice):
        return parameter.type.choices[0]
    if isinstance(parameter.type, click.File):
        return "/dev/null"
    return {"size": "9GiB", "limits": "read_iops=100", "pins": "0=0", "fields": "size=1GiB", "given_fields": "size=1GiB"}.get(
        parameter.name, "x"
    )


def test_changes_and_reads_of_many_in_one_command(novacron, host):
    names = "vm-00001\nvm-00002\n"
    assert "2 of 2 done" in novacron("snapshot", "create", "-", "before", stdin=names).stderr
    rows = json.loads(novacron("snapshot", "list", "vm-0000[12]", "-o", "json").stdout)
    assert [row["name"] for row in rows] == ["before", "before"]
    assert "vm-00002" in novacron("snapshot", "list", "vm-0000[12]").stdout
    assert "2 of 2 done" in novacron("snapshot", "delete", "vm-0000[12]", "before", "--yes").stderr
    assert "--yes" in novacron("disk", "detach", "vm-*", "vda", code=2).stderr
    assert "6 of 6 done" in novacron("vm", "update", "vm-*", "--add-tag", "x").stderr
    assert all("x" in vm.tags for vm in host.vms.list(detail="full"))
    assert "6 of 6 done" in novacron("nic", "link", "vm-*", "1", "down").stderr
    assert len(json.loads(novacron("vm", "show", "tag:x", "-o", "json").stdout)) == 6
    assert "vm-00001: hi" in novacron("guest", "exec", "vm-0000[12]", "--", "echo", "hi").stdout


def test_some_failures_are_named_and_the_exit_code_says_partly(novacron, host):
    host.vms["vm-00001"].snapshots.create("only")
    done = novacron("snapshot", "show", "vm-0000[12]", "only", code=3)
    assert "vm-00002" in done.stderr
    assert "only" in done.stdout
    done = novacron("snapshot", "delete", "vm-0000[12]", "only", "--yes", code=3)
    assert "1 of 2 done, 1 failed" in done.stderr


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    """A fleet of two hosts, of which one belongs to the group `prod`."""
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    number = next(WORLDS)
    for name in "ab":
        api.fleet().add(name, f"sim://selectors-{name}-{number}?vms=2&prefix={name}-")
    api.fleet().nodes.refresh()
    api.fleet().nodes.set("a", group="prod")
    yield api.fleet()
    api.fleet().hosts.close()


def test_a_group_chooses_the_vms_of_its_nodes(fleet):
    def run(*arguments, code=0):
        done = CliRunner().invoke(cli, list(arguments))
        assert done.exit_code == code, (done.output, done.exception)
        return done

    assert run("vm", "list", "@prod", "-o", "name").stdout.split() == ["a-00001", "a-00002"]
    assert run("stop", "@prod", "--dry-run", "-o", "name").stdout.split() == ["a-00001", "a-00002"]
    assert run("vm", "list", "@prod", "b-00001", "-o", "name").stdout.split() == ["a-00001", "a-00002", "b-00001"]
    assert "did you mean @prod?" in run("vm", "list", "@prd", code=1).exception.hint
    assert suggestions("@p", {}) == ["@prod"]


def test_a_list_of_chosen_vms_reads_their_tags(novacron, host):
    """A field that was not read looked like an empty one."""
    host.vms["vm-00001"].update(tags=["chosen"])
    assert json.loads(novacron("vm", "list", "vm-*1", "--full", "-o", "json").stdout)[0]["tags"] == ["chosen"]
    assert "chosen" in novacron("vm", "list", "vm-*1", "-o", "wide").stdout
    assert novacron("vm", "list", "vm-*", "--tag", "chosen", "-o", "name").stdout.split() == ["vm-00001"]


def test_a_list_is_printed_again_until_it_is_interrupted(novacron, host, monkeypatch):
    rounds = []

    def pause(seconds):
        rounds.append(seconds)
        host.vms["vm-00001"].delete(force=True) if len(rounds) == 1 else None
        if len(rounds) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("novacron_shell.watching.pause", pause)
    done = novacron("vm", "list", "-w", "--interval", "7s", "--columns", "name", "--sort", "-name", "-o", "csv", code=1)
    lists = [each.split() for each in done.stdout.split("name\n") if each]
    assert [len(each) for each in lists] == [6, 5]
    assert lists[1][0] == "vm-00006"
    assert rounds == [7.0, 7.0]


def test_old_snapshots_are_deleted_and_young_ones_stay(novacron):
    for name in ("one", "two"):
        novacron("snapshot", "create", "vm-0000[12]", name, "--no-memory")
    novacron("snapshot", "delete", "vm-0000[12]", "--older-than", "1h", "--yes")
    assert sorted(novacron("snapshot", "list", "vm-0000[12]", "-o", "name").stdout.split()) == ["one", "one", "two", "two"]
    assert "deleted: two, one" in novacron("snapshot", "delete", "vm-00001", "--older-than", "0s", "--yes").stderr
    assert novacron("snapshot", "list", "vm-0000[12]", "-o", "name").stdout.split() == ["one", "two"]
    for words in ((), ("one", "--older-than", "1h"), ("--older-than", "1h", "--children"), ("--older-than", "0s", "--children")):
        assert "give either" in novacron("snapshot", "delete", "vm-00002", *words, "--yes", code=2).stderr
