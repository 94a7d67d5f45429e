"""What people type who come from virsh, kcli, govc and docker is answered with the command that does it."""

import click
import pytest
from click.testing import CliRunner

from novacron_shell.cli import cli
from novacron_shell.familiar import BESIDE, OPTIONS, PHRASES, meant_option
from novacron_shell.main import report


def said(line, capsys):
    """Return what a command line that is wrong is answered with."""
    with pytest.raises(click.UsageError) as raised:
        cli.main(line.split(), prog_name="novacron", standalone_mode=False)
    assert report(raised.value) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("vms", "vm list"),
        ("list", "vm list"),
        ("ls", "vm list"),
        ("ps", "vm list"),
        ("list --all", "vm list"),
        ("instances", "vm list"),
        ("get vm", "vm list"),
        ("list pools", "pool list"),
        ("create vm web1", "vm create"),
        ("add disk -s 10 web1", "disk attach"),
        ("rm web1", "vm delete"),
        ("delete web1", "vm delete"),
        ("rename web1 web2", "vm rename"),
        ("rename vm web1 web2", "vm rename"),
        ("clone web1 web2", "vm clone"),
        ("show web1", "vm show"),
        ("edit web1", "vm edit"),
        ("restart web1", "reboot"),
        ("exec web1 ls", "guest exec"),
        ("images", "image list"),
        ("pull debian-13", "image pull"),
        ("dominfo web1", "vm show"),
        ("undefine web1", "vm delete"),
        ("net-list", "network list"),
        ("net-dhcp-leases default", "network leases"),
        ("vol-list default", "volume list"),
        ("snapshot-create-as web1 s1", "snapshot create"),
        ("nwfilter-list", "filter list"),
        ("vm.info web1", "vm show"),
        ("vm.power web1", "start"),
        ("vm.power -off web1", "stop"),
        ("vm power -off web1", "stop"),
        ("power off web1", "stop"),
        ("vm.destroy web1", "vm delete"),
        ("net-destroy default", "network stop"),
        ("pool-destroy default", "pool stop"),
        ("storage rm p1", "pool delete"),
        ("datastore.ls", "pool list"),
        ("vm info web1", "vm show"),
        ("vm console web1", "console"),
        ("vm ssh web1", "ssh"),
        ("help vm", "--help"),
        ("vm help", "vm --help"),
        ("version", "--version"),
    ],
)
def test_a_line_of_another_tool_is_answered_with_ours(typed, meant, capsys):
    assert f"did you mean `novacron {meant}`?" in said(typed, capsys)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("vmm list", "vm"),
        ("strat web1", "start"),
        ("vm ls", "list"),
        ("vm rm web1", "delete"),
        ("vm lst", "list"),
        ("host rm kvm1", "remove"),
        ("pool destroy p1", "stop"),
        ("network destroy lan", "stop"),
        ("snapshot destroy web1 s1", "delete"),
        ("fleet failover lst", "list"),
    ],
)
def test_a_word_like_a_command_of_the_group_is_answered_with_that(typed, meant, capsys):
    assert f"did you mean {meant!r}?" in said(typed, capsys)


def test_a_thing_that_can_not_be_deleted_is_not_answered_with_deleting_vms(capsys):
    assert "vm delete" not in said("delete plan p1", capsys)


def test_a_word_that_is_like_nothing_gets_no_guess_but_the_commands_of_its_group(capsys):
    assert "did you mean" not in said("frobnicate", capsys)
    assert "no command 'web1'; there are checkpoints, create, delete, list" in said("snapshot web1", capsys)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("vm list --json", "give -o json"),
        ("vm list -q", "give -o name"),
        ("vm list --all", "all VMs are listed anyway"),
        ("vm create --name web1", "NAME is given without an option"),
        ("vm create web1 --ram 1G", "give --memory"),
        ("vm create web1 --network lan", "give --nic network=NAME"),
        ("vm delete -f web1", "give --force"),
        ("snapshot delete -f web1 s1", "give --yes"),
        ("pool create p2 --type dir", "fields are given without dashes: type=VALUE"),
        ("vm set web1 --boot-order vda", "fields are given without dashes: boot_order=VALUE"),
        ("disk attach web1 --size 10G", "fields are given without dashes: size=VALUE"),
        ("disk attach web1 --hots kvm1", "the usage is"),
        ("destroy web1", "a VM is powered off by `novacron stop VM`"),
    ],
)
def test_an_option_of_another_tool_is_answered_with_ours(typed, hint, capsys):
    assert f"hint: {hint}" in said(typed, capsys)


def test_an_option_that_no_tool_has_gets_no_other_hint_than_the_usage():
    assert meant_option(None, "--json") is None
    assert meant_option(click.Context(click.Command("x")), "--json") is None


def test_all_that_is_suggested_exists():
    """A command in the tables has to be one, and an option in them is one of a command's."""
    context = click.Context(cli)
    for line in [*PHRASES.values(), *BESIDE]:
        command = cli
        for word in line.split():
            if not isinstance(command, click.Group) or word.startswith("-"):
                break
            command = command.get_command(context, word)
            assert command is not None, line
    group = cli.get_command(context, "vm")
    commands = [cli, *(group.get_command(context, name) for name in group.list_commands(context))]
    options = {option for command in commands for parameter in command.params for option in parameter.opts}
    for instead in OPTIONS.values():
        assert not instead or instead.split()[0] in options, instead


def test_a_disk_and_a_nic_of_a_new_vm_need_only_a_size_and_a_network():
    done = CliRunner().invoke(
        cli, ["-c", "sim://short", "vm", "create", "web1", "--disk", "10GiB", "--nic", "default,model=e1000e", "-o", "json"]
    )
    assert done.exit_code == 0, done.output
    for part in ('"size_bytes": 10737418240', '"network": "default"', '"model": "e1000e"'):
        assert part in done.output


@pytest.mark.parametrize("word", ["list", "ls", "ps"])
def test_a_group_without_a_list_is_answered_with_its_status(word, capsys):
    assert "did you mean 'status'?" in said(f"lab {word}", capsys)


@pytest.mark.parametrize("option", ["--force", "--forc", "-f", "--yes", "-y"])
def test_a_command_that_never_asks_says_so_when_it_is_forced(option, capsys):
    """The power commands have no option to force them, and a misspelt one is known too."""
    assert "powered off at once and without a question" in said(f"stop {option} web1", capsys)
    assert "reset at once and without a question" in said(f"vm reset {option} web1", capsys)
    assert "`novacron stop VM` powers a VM off at once" in said(f"shutdown {option} web1", capsys)


def test_a_misspelt_option_of_another_tool_is_known(capsys):
    assert "give -o json" in said("vm list --jsn", capsys)


def test_a_change_says_whether_the_vm_or_the_field_is_left_out(capsys):
    """The value is not repeated: it may be a secret."""
    answer = said("vm set description=hidden", capsys)
    assert "no VM is named before description=" in answer
    assert "hidden" not in answer
    assert "no FIELD=VALUE is given for web1" in said("vm set web1", capsys)
