"""Names, agent output, errors and event texts of others never control the terminal, and are never markup."""

import ast
import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import novacron
import novacron_shell
from novacron.records import VM
from novacron.text import escaped_json, printable, printable_line
from novacron_shell.output import FORMATS, Format, show_many, show_one, tell, write
from novacron_shell.repl.display import card, records_table

ATTACKS = [
    "\x1b]0;owned\x07",
    "\x1b]52;c;ZWNobyBvd25lZA==\x07",
    "\x9b31m",
    "\x9d0;owned\x9c",
    "a\rb",
    "a\bb",
    "\x7f",
    "name\u202egnp.exe",
    "\u2066x\u2069",
    "two\nlines",
    "tab\there",
    "[/x]",
    "[red]x[/red]",
    "[bold",
    "\udcff",
    "line\u2028separator",
]
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")


def attacked(name):
    return VM(id="1", name=name, host=name, status="running", status_reason=name, description=name, tags=frozenset({name}))


@given(st.text())
def test_the_filter_leaves_no_control_character_and_keeps_other_text(text):
    assert not UNSAFE.search(printable(text))
    assert "\n" not in printable_line(text)
    if not UNSAFE.search(text) and not re.search("[\u2028\u2029\ud800-\udfff]", text):
        assert printable(text) == text


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("output", FORMATS)
def test_no_format_lets_a_name_control_the_terminal(capsys, name, output):
    for wide in ((), ("name", "description")):
        show_many([attacked(name)], {"name": "name", "host": "host"}, Format(output).with_choice(wide))
    if output not in ("json", "ndjson", "yaml") or "\udcff" not in name:
        show_one(attacked(name), output)
    tell(name)
    said = capsys.readouterr()
    assert not UNSAFE.search(said.out + said.err)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("name", ATTACKS)
def test_data_is_safe_on_a_terminal_and_whole_in_a_pipe(monkeypatch, capsys, name):
    monkeypatch.setattr(sys, "stdout", Terminal())
    write(name)
    assert not UNSAFE.search(sys.stdout.getvalue())
    monkeypatch.undo()
    if "\udcff" not in name:
        write(name, end="")
        assert capsys.readouterr().out == name


def test_all_commands_write_through_the_filter():
    """`print` and `click.echo` would send foreign text to the terminal as it is."""
    calls = {
        f"{file.name}: {ast.unparse(node)[:60]}"
        for file in Path(novacron_shell.__file__).parent.glob("commands/*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "click.echo", "sys.stdout.write")
    }
    assert calls == set()


@pytest.mark.parametrize("name", ATTACKS)
def test_json_keeps_the_value(name):
    import msgspec

    if "\udcff" in name:
        return
    text = escaped_json(msgspec.json.encode({"name": name}).decode())
    assert msgspec.json.decode(text) == {"name": name}
    assert not UNSAFE.search(text)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_shells_tables_cards_and_errors_neither_obey_nor_interpret(name):
    host = novacron.connect("sim://foreign")
    for drawn in (records_table([novacron.VMHandle(host, attacked(name))]), card(attacked(name))):
        console = Console(file=io.StringIO(), width=400)
        console.print(drawn)
        said = console.file.getvalue()
        assert not UNSAFE.search(said)
        if "[" in name:
            assert name in said
    host.close()


def test_a_guest_that_says_escapes_does_not_reach_the_terminal(tmp_path):
    """The real command in a pseudo-terminal; into a pipe the bytes are as the guest wrote them."""
    environment = os.environ | {"NOVACRON_STATE": str(tmp_path), "TERM": "xterm"}
    command = ["novacron", "-c", "sim://lab?vms=1", "guest", "exec", "vm-00001", "--", "echo", "\x1b]0;owned\x07\x9b1m", "[/x]"]
    assert (
        subprocess.run(command, env=environment, capture_output=True, check=True).stdout
        == "\x1b]0;owned\x07\x9b1m [/x]\n".encode()
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, env=environment, stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        said += part
    assert process.wait() == 0
    assert b"\\x1b]0;owned\\x07\\x9b1m [/x]" in said
    assert b"\x1b" not in said


def test_a_password_is_not_taken_from_the_command_line(tmp_path, capsys):
    from click.testing import CliRunner

    from novacron_shell.cli import cli

    base = ["-c", "sim://passwords?vms=1", "call", "guest_password_set", "vm=vm-00001", "user=root"]
    seen = CliRunner().invoke(cli, [*base, "password=hunter2"])
    assert seen.exit_code == 2
    assert "hunter2" not in seen.output
    assert CliRunner().invoke(cli, base).exit_code == 2
    file = tmp_path / "secret"
    file.write_text("hunter2\n")
    for more, stdin in (([f"password=@{file}"], None), (["password=@-"], "hunter2\n")):
        done = CliRunner().invoke(cli, [*base, *more], input=stdin)
        assert done.exit_code == 0, done.output
        assert "hunter2" not in done.output


@pytest.mark.parametrize("operation", ["console_open", "event_subscribe", "volume_upload", "console_screenshot"])
def test_no_call_prints_the_address_of_an_object(operation):
    from click.testing import CliRunner

    from novacron_shell.cli import cli

    done = CliRunner().invoke(cli, ["-c", "sim://addresses?vms=1", "call", operation, "vm=vm-00001", "force=false"])
    assert done.exit_code == 2
    assert " object at 0x" not in done.output
    assert "novacron " in done.output


LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(("redirected", "code"), [(">/dev/full", 74), (">&-", 74), ("2>&-", 0)])
def test_output_that_can_not_be_written_is_one_line(tmp_path, redirected, code):
    environment = os.environ | {"NOVACRON_STATE": str(tmp_path)} | LOCALE
    command = f"novacron -c 'sim://lab?vms=1' vm list {redirected}"
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == (1 if code else 0)


def test_text_that_the_locale_lacks_is_escaped(tmp_path):
    environment = os.environ | {"NOVACRON_STATE": str(tmp_path)} | LOCALE
    command = ["novacron", "-c", "sim://lab?vms=1", "vm", "show", "bücher".encode()]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode in (13, 16)
    assert b"Traceback" not in done.stderr
