"""The table of commands in docs/vsphere.md: each row names a command of govc that exists, and one of NovaCron that parses."""

from __future__ import annotations

import csv
import functools
import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from novacron.plugins.native import native_operations
from novacron_lab.vcenter import built
from novacron_shell.cli import cli
from novacron_vmware.plugin import areas

DOCS = Path(__file__).parents[3] / "docs"
BEGIN, END = "<!-- commands: begin -->", "<!-- commands: end -->"


def rows():
    with (DOCS / "vsphere-commands.csv").open() as file:
        return list(csv.DictReader(file))


def table():
    """The table as docs/vsphere.md has it."""
    lines = ["| govc | PowerCLI | novacron |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| `{row['govc']}` | `{row['powercli']}` | `{row['novacron']}` |" for row in rows())])


@functools.cache
def native_commands():
    """Made once: a hundred rows name it."""
    return cli.get_command(click.Context(cli), "vsphere")


def resolved(text):
    """The command that a line names, with its arguments parsed."""
    command, words, context, names = cli, shlex.split(text), click.Context(cli, info_name="novacron"), []
    while isinstance(command, click.Group):
        if words[0] == "vsphere":
            name, found, words = "vsphere", native_commands(), words[1:]
        else:
            name, found, words = command.resolve_command(context, words)
        assert found is not None, f"no command {name!r} in {text!r}"
        names.append(name)
        context, command = click.Context(found, parent=context, info_name=name), found
    return command, words, names


@pytest.mark.parametrize("text", [row["novacron"] for row in rows()])
def test_each_novacron_command_exists_and_parses(text, tmp_path, monkeypatch):
    """Click rejects unknown options, missing and surplus arguments; files that are read are there."""
    monkeypatch.chdir(tmp_path)
    command, words, _ = resolved(text)
    for name in ("a.iso", "disk.raw", "web1.ova", "motd"):
        (tmp_path / name).touch()
    with command.make_context(command.name, words):
        pass


def test_each_govc_command_exists():
    done = subprocess.run([built("govc"), "-h"], capture_output=True, text=True, check=False, timeout=60)
    known = set(re.findall(r"^  ([a-z0-9.]+)$", done.stdout + done.stderr, re.MULTILINE))
    assert "vm.power" in known
    assert [row["govc"] for row in rows() if row["govc"].split()[0] not in known] == []


def test_each_powercli_cmdlet_has_a_verb_and_a_noun():
    assert [
        row["powercli"] for row in rows() if not re.fullmatch(r"[A-Z][a-z]+-[A-Z][A-Za-z]+( [A-Za-z]+)?", row["powercli"])
    ] == []


def test_the_table_has_each_native_operation_and_stands_in_the_docs():
    """python plugins/vmware/tests/test_commands.py writes it again."""
    assert len(rows()) >= 120
    named = {".".join(["vsphere", "_".join(resolved(row["novacron"])[2][1:]).replace("-", "_")]) for row in rows()}
    assert [operation.name for operation in native_operations(areas()) if operation.name not in named] == []
    assert table() in (DOCS / "vsphere.md").read_text()


if __name__ == "__main__":
    page = DOCS / "vsphere.md"
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}")
