"""The daily tasks of docs/keystrokes.csv: each is typed on simulated hosts, and none takes more keystrokes than another tool does."""

import csv
import itertools
import shlex
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import novacron as api
from novacron.specs.volumes import VolumeSpec
from novacron_shell.cli import cli

ROOT = Path(__file__).parents[2]
WORLDS = itertools.count()
ROWS = list(csv.DictReader((ROOT / "docs" / "keystrokes.csv").open()))
PEERS = ("virsh", "kcli", "govc")
STATUS = {"start": "stopped", "clone": "stopped", "rename": "stopped", "resume": "suspended", "delete": "stopped"}
"""What web1 is before a command; otherwise it runs."""
PARSED = {"up", "ssh", "cp", "console", "top", "events", "image"}
"""Commands that need a guest, a terminal or no end: here they are only parsed. Others tests show what they do."""
LAB = "name: shop\nhost: kvm1\nvms:\n  shop1: {vcpus: 1}\n"


def words_of(row):
    program, *words = shlex.split(row["novacron"])
    assert program == "nv"
    return words


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yaml").write_text(LAB)
    (tmp_path / "a.txt").write_text("")
    number = next(WORLDS)
    for name in ("kvm1", "kvm2"):
        api.fleet().add(name, f"sim://keystrokes-{name}-{number}")
    host = api.fleet().hosts["kvm1"]
    host.invoke("volume_create", pool="default", spec=VolumeSpec(name="a.iso", capacity="1MiB", format="raw"))
    for each in ("kvm1", "kvm2"):
        api.fleet().hosts[each].networks.create(name="lan", type="isolated", cidr="10.99.0.1/24")
    for name in ("web1", "ci-1"):
        host.vms.create(
            name=name,
            disks=[{"size": "1GiB"}, {"size": "1GiB"}, {"device": "cdrom", "bus": "sata"}],
            nics=[{"network": "lan"}],
            display={"type": "vnc"},
            vcpus_max=4,
            start=True,
        )
    yield api.fleet()
    api.fleet().hosts.close()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["task"])
def test_no_other_tool_takes_fewer_keystrokes(row):
    others = {peer: row[peer] for peer in PEERS if row[peer]}
    assert len(row["novacron"]) <= min((len(line) for line in others.values()), default=99), others


@pytest.mark.parametrize("row", [row for row in ROWS if not PARSED & set(words_of(row)[:1])], ids=lambda row: row["task"])
def test_the_command_does_the_task(fleet, row):
    words, vm = words_of(row), fleet.hosts["kvm1"].vms["web1"]
    if "s1" in words and "create" not in words:
        vm.snapshots.create("s1")
    if "migrate" in words:  # the hosts have no storage in common
        for target in ("vda", "vdb"):
            vm.disks[target].detach()
    status = next((STATUS[word] for word in words if word in STATUS), "running")
    if status == "stopped":
        vm.stop()
    elif status == "suspended":
        vm.suspend()
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, (done.output, done.exception)


@pytest.mark.parametrize("row", [row for row in ROWS if PARSED & set(words_of(row)[:1])], ids=lambda row: row["task"])
def test_the_command_is_understood(fleet, row):
    name, *rest = words_of(row)
    command = cli.get_command(click.Context(cli), name)
    command.make_context(name, rest, parent=click.Context(cli))


def test_the_short_name_is_the_same_program():
    scripts = tomllib.loads((ROOT / "shell" / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts["nv"] == scripts["novacron"]


def test_the_table_of_the_documentation_is_this_file():
    text = (ROOT / "docs" / "command-line.md").read_text()
    lines = [
        f"| {row['task']} | " + " | ".join(f"`{row[name]}`" if row[name] else "" for name in ("novacron", *PEERS)) + " |"
        for row in ROWS
    ]
    assert "\n".join(lines) in text
