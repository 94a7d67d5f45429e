"""Every output format for no, one and many records, narrow and wide terminals, and names of all kinds; values by path."""

import csv
import io
import json
import re
import sys

import click
import pytest
import yaml
from click.testing import CliRunner

import novacron
from novacron.errors import InvalidSpecError, VMNotFoundError
from novacron.records import VM
from novacron_shell.cli import cli
from novacron_shell.output import FORMATS, Format, show_many
from novacron_shell.paths import select_path

COLUMNS = {"name": "name", "status": "status", "memory": "memory_bytes", "host": "host"}
NASTY = ["plain", "Ünïcödé-日本", "quo\"te's", "com,ma; blank", "esc\x1b[31m\x07", "new\nline\ttab", "=SUM(A1)", "x" * 120]


def vms(count):
    return [
        VM(id=str(n), name=NASTY[n % len(NASTY)] + str(n), host="kvm1", status="running", vcpus=1, memory_bytes=2**30)
        for n in range(count)
    ]


def shown(capsys, records, output):
    show_many(records, COLUMNS, Format(output))
    return capsys.readouterr().out


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize("count", [0, 1, 5000])
def test_every_format_prints_each_record_and_no_control_character(capsys, output, count):
    count = min(count, 500) if output == "yaml" else count  # PyYAML takes 2 ms for each
    text = shown(capsys, vms(count), output)
    allowed = "\n\t" if output == "csv" else "\n"  # CSV has them within quotes
    assert not [character for character in text if ord(character) < 32 and character not in allowed]
    if output in ("table", "wide"):
        assert len(text.splitlines()) == count + 1
    elif output == "csv":
        assert len(list(csv.reader(io.StringIO(text)))) == count + 1
    elif output == "name":
        assert len(text.splitlines()) == count
    elif output == "ndjson":
        assert [json.loads(line)["id"] for line in text.splitlines()] == [str(n) for n in range(count)]
    elif output == "json":
        assert [each["name"] for each in json.loads(text)] == [vm.name for vm in vms(count)]
    elif count < 2:  # reading much YAML takes long
        assert len(yaml.safe_load(text)) == count
    else:
        assert text.count("\n- id:") + text.startswith("- id:") == count


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize("columns", [40, 200])
@pytest.mark.parametrize("count", [0, 1, 16])
def test_a_name_is_never_cut_however_narrow_the_terminal_is(monkeypatch, columns, count):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    records = [record for record in vms(count) if len(record.name) < 40]
    show_many(records, COLUMNS, "table")
    lines = terminal.getvalue().splitlines()
    for record in records:
        escaped = record.name.encode("unicode_escape").decode() if not record.name.isprintable() else record.name
        assert any(line.startswith(escaped) for line in lines) or not record.name.isprintable(), record.name
    assert all("\x1b" not in line for line in lines)


def test_no_word_of_a_wide_table_is_broken_in_a_narrow_terminal(monkeypatch):
    """A row that does not fit is a paragraph: a UUID or an address that is in two lines can't be copied."""
    record = vms(1)[0].replace(name="web1", description="the web server of the shop that sells everything there is")
    wide = {"id": "id", "description": "description"}
    for columns in (40, 60, 100):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("NO_COLOR", "1")
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        show_many([record], COLUMNS, "wide", wide=wide)
        lines = terminal.getvalue().splitlines()
        assert max(map(len, lines)) <= columns
        for word in (record.name, record.id, record.status, *record.description.split()):
            assert any(word in line for line in lines), (word, lines)


DATA = [
    {"name": "web1", "vcpus": 2, "tags": ["a", "b"], "nics": [{"mac": "m1"}, {"mac": "m2"}], "native": {"a-b": 1}},
    {"name": "db1", "vcpus": 8, "tags": [], "nics": [], "native": {}},
]


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("$", [DATA]),
        ("", [DATA]),
        ("$[*].name", ["web1", "db1"]),
        ("[*].name", ["web1", "db1"]),
        ("$.*.name", ["web1", "db1"]),
        ("$[0].name", ["web1"]),
        ("$[-1].name", ["db1"]),
        ("$[7].name", []),
        ("$[0:1].name", ["web1"]),
        ("$[:].name", ["web1", "db1"]),
        ("$[0]['native'][\"a-b\"]", [1]),
        ("$[0].native.a-b", [1]),
        ("$..mac", ["m1", "m2"]),
        ("$[*].nothing", []),
        ("$[0].name.deeper", []),
        ("$[?(@.vcpus>2)].name", ["db1"]),
        ("$[?(@.vcpus <= 2)].name", ["web1"]),
        ("$[?(@.name=='web1')].tags[1]", ["b"]),
        ('$[?(@.name!="web1")].name', ["db1"]),
        ("$[?(@.name>2)].name", []),
        ("$[?(@.native.a-b==1)].name", ["web1"]),
        ("$[*].nics[?(@.mac==m2)].mac", ["m2"]),
    ],
)
def test_a_path_selects_values(path, values):
    assert select_path(path, DATA) == values


@pytest.mark.parametrize("path", ["$[", "$[x]", "$.a..", "$[?(@.a=)]", "$[*]name", "$[?(a==1)]", "$['a]"])
def test_an_invalid_path_is_refused_before_anything_is_asked(path):
    with pytest.raises(InvalidSpecError, match="not understood"):
        select_path(path, DATA)
    done = CliRunner().invoke(cli, ["-c", "sim://never-asked-for", "vm", "list", "-o", f"jsonpath={path}"])
    assert isinstance(done.exception, InvalidSpecError)


def test_lists_records_and_empty_lists_by_path():
    def printed(*arguments):
        done = CliRunner().invoke(cli, ["-c", "sim://by-path?vms=3", *arguments])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout.splitlines()

    assert printed("vm", "list", "-o", "jsonpath=$[?(@.status=='stopped')].name") == ["vm-00003"]
    assert printed("vm", "show", "vm-00001", "-o", "jsonpath=nics[*].network") == ["default"]
    assert printed("vm", "list", "--status", "crashed", "-o", "jsonpath=$[*].name") == []
    assert printed("vm", "show", "vm-00001", "-o", "jsonpath=$.vcpus") == ["2"]


def test_vms_are_listed_without_the_state_database(tmp_path, monkeypatch):
    """All columns but the one that only the database knows: it may be one of the VMs that does not run."""
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("NOVACRON_DATABASE", "postgresql://nobody@127.0.0.1:1/none")
    done = CliRunner().invoke(cli, ["-c", "sim://without-database?vms=1", "vm", "list", "-o", "wide"])
    assert done.exit_code == 0, done.output
    heads, row = done.stdout.splitlines()
    assert (heads.split()[-1], row.split()[0], row.split()[-1]) == ("PROTECTION", "vm-00001", "-")
    assert "the protection of the VMs is not known" in done.stderr


def commands(group=cli, path=()):
    """Every command that can be typed, with its name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        elif command is not None:
            yield pytest.param(command, id=" ".join((*path, name)))


LISTS = [each for each in commands() if (each.values[0].help or "").startswith("List ")]


@pytest.mark.parametrize("command", LISTS)
def test_every_list_has_the_same_options(command):
    """docs/command-line.md promises them for lists, whatever they list."""
    options = {name for parameter in command.params for name in parameter.opts}
    assert {"--columns", "--sort", "--watch", "--output"} <= options


@pytest.mark.parametrize(
    ("arguments", "column"),
    [(["flow", "list"], "flow"), (["flow", "steps"], "kind"), (["run", "list"], "id"), (["host", "nodes"], "name")],
)
def test_the_column_that_was_asked_for_is_printed(arguments, column, tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    named = ["-c", "sim://columns-of-lists?vms=1"]
    if arguments[0] == "run":
        assert CliRunner().invoke(cli, [*named, "flow", "run", "vm-00001", "snapshot:a"]).exit_code == 0
    host = named if arguments[0] == "host" else []
    for output in ("table", "json", "csv"):
        done = CliRunner().invoke(cli, [*host, *arguments, "--columns", column, "--sort", f"-{column}", "-o", output])
        assert done.exit_code == 0, done.output
        values = [row[column] for row in json.loads(done.stdout)] if output == "json" else done.stdout.splitlines()[1:]
        assert values == sorted(values, reverse=True)
        assert values


@pytest.mark.parametrize(
    "arguments", [["run", "prune", "--older-than", "30"], ["snapshot", "list", "vm-00001", "--older-than", " 7.5 "]]
)
def test_an_age_needs_its_unit(arguments, tmp_path, monkeypatch):
    """30 would be 30 seconds, and `run prune` would delete nearly everything."""
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    done = CliRunner().invoke(cli, ["-c", "sim://ages?vms=1", *arguments])
    assert done.exit_code == 2
    assert "has no unit" in done.output
    done = CliRunner().invoke(cli, ["-c", "sim://ages?vms=1", *arguments[:-1], "30d"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(("column", "meant"), [("nam", "name"), ("memroy", "memory"), ("descripton", "description")])
def test_a_misspelt_column_is_told_the_right_one(column, meant):
    done = CliRunner().invoke(cli, ["-c", "sim://misspelt-columns?vms=1", "vm", "list", "-o", "wide", "--columns", column])
    assert isinstance(done.exception, InvalidSpecError)
    assert re.fullmatch(rf"did you mean .*\b{meant}\b.*\?", done.exception.hint)


def test_a_misspelt_vm_of_a_fleet_is_told_the_right_one(tmp_path, monkeypatch):
    """As with one host, and as in the shell."""
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    for name in ("kvm1", "kvm2"):
        novacron.fleet().add(name, f"sim://misspelt-{name}")
    try:
        novacron.fleet().hosts["kvm2"].vms.create(name="web1")
        done = CliRunner().invoke(cli, ["vm", "show", "wbe1"])
    finally:
        novacron.fleet().hosts.close()
    assert isinstance(done.exception, VMNotFoundError)
    assert done.exception.hint == "did you mean web1?"
