"""Completion without click offers what click offers, for every command."""

import random

import click
import pytest
from click.shell_completion import get_completion_class
from click.testing import CliRunner

import novacron
from novacron.state import state_directory
from novacron_shell import quick_completion
from novacron_shell.cli import cli
from novacron_shell.completion import known, remember, remember_snapshots, write_state

SHELLS = ("bash", "zsh", "fish")


def environment(shell, line):
    words = line.split(" ")
    place = words[-1] if shell == "fish" else str(len(words) - 1)
    return {"_NOVACRON_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": place}


def by_click(monkeypatch, given):
    with monkeypatch.context() as patched:
        for name, value in given.items():
            patched.setenv(name, value)
        shell = given["_NOVACRON_COMPLETE"].partition("_")[0]
        return get_completion_class(shell)(cli, {}, "novacron", "_NOVACRON_COMPLETE").complete()


def commands():
    found, waiting = [], [("novacron", cli)]
    while waiting:
        path, command = waiting.pop()
        found.append(path)
        if isinstance(command, click.Group):
            context = click.Context(command)
            waiting += [(f"{path} {name}", command.get_command(context, name)) for name in command.list_commands(context)]
    return sorted(found)


@pytest.fixture
def seen(own_state):
    state_directory(create=True)
    remember([("kvm1", "web1"), ("kvm1", "db1"), ("kvm2", "$(reboot)")])
    remember_snapshots("kvm1", "web1", ["before", "nightly"])


def test_every_command_is_completed_as_click_does(seen, monkeypatch, sample):
    quick, paths = 0, commands()
    assert len(paths) > 200
    for path in random.Random(26).sample(paths, min(len(paths), sample(25, 10_000))):
        for number, rest in enumerate(("", "-", "--", "s", "web1 ", "web1 -", "--output ", "-o j", "--host kvm1 ")):
            given = environment(SHELLS[number % 3], f"{path} {rest}")
            if (found := quick_completion.answer(given)) is None:
                quick_completion.learn(given)
                found = quick_completion.answer(given)
            if found is not None:
                quick += 1
                assert found == by_click(monkeypatch, given), given
    assert quick > 150, "most are answered without click"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("novacron stop w", ["plain,web1"]),
        ("novacron stop web1 d", ["plain,db1"]),
        ("novacron stop host:kvm1", ["plain,host:kvm1"]),
        ("novacron snapshot revert web1 be", ["plain,before"]),
        ("novacron snapshot rev", ["plain,revert"]),
        ("novacron -o json vm lis", ["plain,list"]),
        ("novacron vm list --outp", ["plain,--output"]),
        ("novacron vm list -o nd", ["plain,ndjson"]),
    ],
)
def test_names_are_completed_from_what_was_seen(seen, line, offered):
    quick_completion.learn(environment("bash", line))
    assert quick_completion.answer(environment("bash", line)).splitlines() == offered


@pytest.mark.parametrize("line", ['novacron stop "we', "novacron nonsense x", "novacron stop @", "novacron vm list --sort=na"])
def test_what_is_not_known_is_left_to_click(seen, line):
    given = environment("bash", line)
    quick_completion.learn(given)
    assert quick_completion.answer(given) is None


def test_commands_of_another_installation_are_not_used(seen, monkeypatch):
    given = environment("bash", "novacron snap")
    quick_completion.learn(given)
    assert quick_completion.answer(given) == "plain,snapshot"
    monkeypatch.setattr("sys.version", "another Python")
    assert quick_completion.answer(given) is None


def test_commands_are_not_used_after_a_plugin_was_disabled_or_named(seen, monkeypatch, tmp_path):
    given = environment("bash", "novacron snap")
    quick_completion.learn(given)
    write_state("plugins.json", {"disabled": ["example"]})
    assert quick_completion.answer(given) is None
    quick_completion.learn(given)
    assert quick_completion.answer(given) == "plain,snapshot"
    monkeypatch.setenv("NOVACRON_PLUGINS", str(tmp_path / "plugin.py"))
    assert quick_completion.answer(given) is None


def test_completion_goes_through_the_program(seen, monkeypatch, capsys):
    """What click told the first time is printed the second time."""
    from novacron_shell import main

    for name, value in environment("bash", "novacron snapshot re").items():
        monkeypatch.setenv(name, value)
    assert not main._completed()
    assert main._completed()
    assert capsys.readouterr().out == "plain,revert\n"
    assert CliRunner().invoke(cli, ["snapshot", "--help"]).exit_code == 0


def test_a_host_without_vms_keeps_no_names(own_state):
    state_directory(create=True)
    remember([("emptied", "gone1"), ("emptied", "gone2"), ("other", "stays")], ["emptied", "other"])
    remember([], ["emptied"])
    assert known() == {"emptied": [], "other": ["stays"]}


def test_listing_a_host_that_was_emptied_forgets_its_names(own_state):
    """`novacron vm list` is what stores them."""
    host = novacron.connect("sim://emptied-list")
    vm = host.vms.create(name="soon-gone", memory="64MiB")
    assert CliRunner().invoke(cli, ["-c", "sim://emptied-list", "vm", "list"]).exit_code == 0
    assert any("soon-gone" in names for names in known().values())
    vm.delete()
    assert CliRunner().invoke(cli, ["-c", "sim://emptied-list", "vm", "list"]).exit_code == 0
    assert not any("soon-gone" in names for names in known().values())
