"""Commands of the command line, of the system and of the shell itself, typed in the shell."""

import json
import os
import re
import subprocess
from pathlib import Path

import click
import pytest

import novacron
from novacron.errors import DriverError, HostConnectionError, NotFoundError, VMNotFoundError
from novacron_shell.cli import cli
from novacron_shell.repl.commands import split
from novacron_shell.repl.config import ShellConfig
from novacron_shell.repl.jobs import JobBook
from novacron_shell.repl.transcript import Transcript
from novacron_shell.repl.words import WORDS
from novacron_shell.testing import CommandServer


def paths(command, context, words=()):
    """Every command of a tree, as its words."""
    if words:
        yield words
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from paths(command.get_command(context, name), context, (*words, name))


TREE = [*paths(cli, click.Context(cli)), *((word,) for word in WORDS)]


def test_every_command_of_the_command_line_runs_in_the_shell(session, capsys):
    assert len(TREE) > 100
    for words in TREE:
        session.run(f":{' '.join(words)} --help")
        assert (words, session.interpreter.code) == (words, 0)
        assert f"Usage: novacron {' '.join(words)}" in capsys.readouterr().out


def test_no_command_has_an_option_twice():
    for words in paths(cli, click.Context(cli)):
        command, context = cli, click.Context(cli)
        for word in words:
            command = command.get_command(context, word)
        names = [name for parameter in command.params for name in parameter.opts]
        assert len(names) == len(set(names)), words
        arguments = {each.name for each in command.params if isinstance(each, click.Argument)}
        options = {each.name for each in command.params if isinstance(each, click.Option)}
        assert not arguments & options, (words, "one would overwrite the other")


def test_every_command_of_the_shell_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "shell.md").read_text()
    assert [word for word in WORDS if f"`:{word}" not in text] == []


def test_the_shells_own_commands_hide_no_command_of_the_command_line():
    assert not {words[0] for words in paths(cli, click.Context(cli))} & set(WORDS)


def test_a_command_uses_the_connection_of_the_shell_and_leaves_it_open(session, capsys):
    session.run(":vm stop vm-00001")
    session.run(":vm list 'vm-0000*' -o csv")
    assert capsys.readouterr().out.splitlines()[1].startswith("vm-00001,stopped")
    assert not session.host.closed
    session.run(f":--host {session.host.name} vm list -o name")
    session.run(f":vm list -c {session.host.uri} -o name")
    assert capsys.readouterr().out.split() == ["vm-00001", "vm-00002", "vm-00003"] * 2
    assert not session.host.closed


@pytest.mark.parametrize(
    ("raised", "code"), [(SystemExit(3), 3), (SystemExit("text"), 0), (click.Abort(), 130), (click.UsageError("bad"), 2)]
)
def test_a_command_that_exits_does_not_end_the_shell(session, monkeypatch, raised, code):
    def fail():
        raise raised

    monkeypatch.setitem(WORDS, "fail", click.Command("fail", callback=fail))
    session.run(":fail")
    assert session.interpreter.code == code


def test_an_error_of_novacron_is_the_shells_error(session):
    with pytest.raises(VMNotFoundError):
        session.run(":vm show nope")


def test_mistakes_are_one_line_and_a_hint(session, capsys):
    for line, said in ((":vm lst", "did you mean 'list'"), (":vm list 'a", "No closing quotation"), (":shell", "already")):
        session.run(line)
        assert said in capsys.readouterr().err
        assert session.interpreter.code == 2


def test_the_terminal_and_the_signals_are_as_before(session, monkeypatch):
    import signal

    monkeypatch.setitem(WORDS, "fail", click.Command("fail", callback=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)))
    before = signal.getsignal(signal.SIGINT)
    session.run(":fail")
    assert signal.getsignal(signal.SIGINT) is before


def texts(found):
    return [text for text, _, _ in found]


def test_commands_options_and_names_are_completed(session):
    commands = session.interpreter.commands
    assert texts(commands.complete("vm sta")) == ["start"]
    assert "why" in texts(commands.complete("w"))
    assert texts(commands.complete("start vm-")) == ["vm-00001", "vm-00002", "vm-00003"]
    assert texts(commands.complete("vm list --out")) == ["--output"]
    assert "json" in texts(commands.complete("vm list -o "))
    assert texts(commands.complete("vm list status:st")) == ["status:stopping", "status:stopped"]
    assert texts(commands.complete("screenshot vm-00001 /etc/hostn")) == ["/etc/hostname"]
    assert next(commands.complete("start 'vm-0"))[1] == len("'vm-0")


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("", ([], "", "")),
        ("vm", ([], "vm", "vm")),
        ("vm ", (["vm"], "", "")),
        ("  vm  list   w", (["vm", "list"], "w", "w")),
        ('a "b c', (["a"], "b c", '"b c')),
        ("a 'b' c\\ d", (["a", "b"], "c d", "c\\ d")),
        ("a '' b", (["a", ""], "b", "b")),
    ],
)
def test_a_line_is_split_as_the_command_line_does(line, parts):
    assert split(line) == parts


def test_an_alias_is_kept_completed_and_removed(session, tmp_path, capsys):
    file = tmp_path / "shell.toml"
    file.write_text('# mine\nediting = "vi"\n\n[aliases]\nold = "vm list"\n')
    session.shell.config = ShellConfig.read(file)
    session.run(""":alias mine vm list 'vm-0000[12]' -o "csv" """)
    session.run(":mine --sort -name")
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == ["name", "vm-00002", "vm-00001"]
    assert "# mine" in file.read_text()
    again = ShellConfig.read(file)
    assert again.aliases == {"mine": """vm list 'vm-0000[12]' -o "csv\"""", "old": "vm list"}
    assert again.editing == "vi"
    assert set(texts(session.interpreter.commands.complete("mi"))) == {"migrate", "mine"}
    assert "vm-00003" in texts(session.interpreter.commands.complete("old vm-"))
    assert "old" in session.run(":alias")
    session.run(":unalias old")
    assert "old" not in ShellConfig.read(file).aliases


def test_aliases_that_name_each_other_end():
    assert ShellConfig(aliases={"a": "b", "b": "a x"}).expanded("a") == "a x"


@pytest.mark.parametrize(
    "text", ["editing = 'ed'", "colour = 'red'", "[aliases]\na = 1", "not toml", "aliases = 3", "startup = 'x'"]
)
def test_a_bad_configuration_names_what_is_wrong(tmp_path, text):
    from novacron.errors import InvalidSpecError

    (tmp_path / "shell.toml").write_text(text)
    with pytest.raises(InvalidSpecError, match=r"shell\.toml"):
        ShellConfig.read(tmp_path / "shell.toml")


def test_why_shows_the_whole_chain_with_the_words_of_the_sdk(session):
    assert "no error yet" in session.run(":why")
    try:
        try:
            raise ConnectionResetError("end of file while reading data\x1b[2J")
        except ConnectionResetError as low:
            raise HostConnectionError("lost the connection", host="kvm1", operation="vm_start", hint="check the host") from low
    except HostConnectionError as error:
        session.shell.error = error
    said = session.run(":why")
    for part in (
        "HostConnectionError: lost the connection on kvm1",
        "operation: vm_start",
        "caused by ConnectionResetError",
        "hint: ",
    ):
        assert part in said
    assert "end of file while reading data\\x1b[2J" in said


def test_causes_that_form_a_ring_end(session):
    one, two = DriverError("one"), DriverError("two")
    one.__cause__, two.__cause__ = two, one
    session.shell.error = one
    assert session.run(":why").count("one") == 1


def test_jobs_are_listed_waited_for_and_cancelled(session):
    from novacron.jobs import Job

    book: JobBook = session.shell.jobs
    job = Job("vm_migrate", "web1")
    job.report("copying", 0.5)
    listed = book.begin("migrate web1", "kvm1", job)
    said = session.run(":jobs")
    assert re.search(r"1 +migrate web1 +kvm1 +running .*50% copying", said)
    job.on_cancel(lambda: job.set_exception(DriverError("rolled back")))
    with pytest.raises(DriverError):
        session.run(":jobs 1 --cancel")
    book.end(listed, DriverError("rolled back"))
    assert "failed rolled back" in session.run(":jobs 1")
    with pytest.raises(NotFoundError, match="no job 7"):
        session.run(":jobs 7")


def test_a_program_runs_and_its_exit_code_is_said(session, capfd):
    session.run("!echo from-the-system && exit 3")
    said = capfd.readouterr()
    assert "from-the-system" in said.out
    assert "exit code 3" in said.err


def test_questions_show_documentation_and_source(session):
    assert "Migrate the VM" in session.run('vms["vm-00001"].migrate?')
    assert "def patch" in session.run("flows.patch??")
    assert ":why" in session.run("?")
    from novacron.errors import InvalidSpecError

    with pytest.raises(InvalidSpecError):
        session.run("connect('sim://made')?")
    assert session.run(":vm list ?") == ""


def test_time_says_how_long_python_and_commands_take(session, capsys):
    assert "3\ntook" in session.run(":time len(vms)")
    assert "took" in session.run(":time :vm list -o name")
    assert capsys.readouterr().out.split() == ["vm-00001", "vm-00002", "vm-00003"]
    assert "took" in session.run(":time vm list -o name")  # the second colon may be left out
    assert capsys.readouterr().out.split() == ["vm-00001", "vm-00002", "vm-00003"]


def test_top_shows_a_host_of_the_session_that_is_in_no_fleet(session, capsys):
    session.run(":top --once -o json")
    (host,) = json.loads(capsys.readouterr().out)["hosts"]
    assert (host["name"], host["error"], host["vms"]) == (session.host.name, None, 3)


def test_history_is_searched(session):
    session.shell.history = lambda: ["vms", ":vm list", "x = 1", ":vm start web1"]
    assert session.run(":history vm").split("\n")[:3] == ["vms", ":vm list", ":vm start web1"]
    assert session.run(":history -n 1") == ":vm start web1\n"
    assert session.run(":history ':vm st*'") == ":vm start web1\n"


def test_a_loaded_file_leaves_its_names_and_is_saved_with_the_session(session, tmp_path):
    file = tmp_path / "names.py"
    file.write_text("chosen = 'vm-00001'\n")
    session.run(f":load {file}")
    assert session.shell.names["chosen"] == "vm-00001"
    session.run(f":save {tmp_path}/again.py")
    assert "chosen = 'vm-00001'" in (tmp_path / "again.py").read_text()
    session.run(f":save {tmp_path}/again.py")
    assert session.interpreter.code != 0


def test_a_saved_session_runs_as_a_script(tmp_path):
    transcript = Transcript()
    for number, (line, failed) in enumerate(
        [
            ("vms['vm-00003'].start()", False),
            ("print(_.status)", False),
            ("vms['nope']", True),
            (":vm list vm-00001 -o csv", False),
            ("!echo it\\'s 'here'", False),
            (":why", False),
            ("host?", False),
            ("for i in range(2):\n    print(i)", False),
        ],
        1,
    ):
        transcript.add(line, number, failed=failed)
    transcript.save(tmp_path / "session.py", ("-c", "sim://saved?vms=3"))
    command = ["novacron", "-c", "sim://saved?vms=3", "script", str(tmp_path / "session.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert sorted(lines) == sorted(
        [
            "running",
            "name,status,vcpus,memory,host",
            lines[lines.index("name,status,vcpus,memory,host") + 1],
            "it's here",
            "0",
            "1",
        ]
    )
    assert "# failed: vms['nope']" in (tmp_path / "session.py").read_text()


def test_a_saved_session_runs_its_startup_files_and_does_not_watch(session, tmp_path):
    (tmp_path / "my names.py").write_text("mine = 42\n")
    session.shell.config.startup = [str(tmp_path / "my names.py")]
    for number, line in enumerate(("print(mine)", "watch(lambda: vms)", "nope"), 1):
        session.shell.transcript.add(line, number)
    session.run(f":save {tmp_path}/saved.py")
    assert "# watched: watch(lambda: vms)" in (tmp_path / "saved.py").read_text()
    with CommandServer() as server:
        done = server.run([*session.shell.started_for, "script", str(tmp_path / "saved.py")], environment=os.environ)
    assert (done.stdout, done.returncode) == ("42\n", 1)
    assert "line 5" in done.stderr
    assert "NameError: name 'nope' is not defined" in done.stderr
    assert "defect" not in done.stderr
    assert "runpy" not in done.stderr


def test_a_script_without_uses_of_results_is_as_it_was_typed():
    transcript = Transcript()
    transcript.add("len(vms)", 1)
    assert transcript.script().splitlines()[1:] == ["len(vms)"]


def test_an_alias_of_another_shell_and_of_the_command_line_is_left_where_it_is(tmp_path):
    from novacron_shell.config import Config

    file = tmp_path / "shell.toml"
    first, second = (ShellConfig.read(file).over(Config(aliases={"shared": "vm list"})) for _ in range(2))
    first.save_alias("one", "vm list -o name")
    second.save_alias("two", "vm list -o csv")
    assert set(ShellConfig.read(file).aliases) == {"one", "two"}
    second.save_alias("two", None)
    assert set(ShellConfig.read(file).aliases) == {"one"}


@pytest.mark.parametrize("variable", ["NOVACRON_CONNECT", "NOVACRON_HOST"])
def test_a_session_for_a_host_stays_with_it_whatever_the_environment_says(session, monkeypatch, capsys, variable):
    """`novacron -c URI`, and then `:stop web1`: it went to the host of the environment."""
    name = f"elsewhere-{variable.lower()}"
    uri = f"sim://{name}?vms=1&prefix=other-"
    novacron.fleet().add(name, uri)
    try:
        monkeypatch.setenv(variable, uri if variable == "NOVACRON_CONNECT" else name)
        session.run(":vm list -o name")
        assert capsys.readouterr().out.split() == ["vm-00001", "vm-00002", "vm-00003"]
    finally:
        novacron.fleet().remove(name)


def test_a_session_whose_host_is_not_connected_asks_no_other_one(session, capsys):
    """It asked the hypervisor of this machine."""
    session.shell.hosts.close()
    session.run(":vm list -o name")
    assert capsys.readouterr().out.split() == ["vm-00001", "vm-00002", "vm-00003"]


def test_a_saved_script_does_not_wait_for_a_person():
    transcript = Transcript()
    looked = ("top", "console web1", "vm console web1", "ssh web1", "viewer web1", "vm edit web1", "vm list -w", "events -f")
    ran = ("top --once", "ssh web1 -- uptime", "viewer web1 --print", "vm list", "events --count 1", "vm set top memory=1GiB")
    for number, line in enumerate((*looked, *ran), 1):
        transcript.add(f":{line}", number)
    assert transcript.script().splitlines()[1:] == [
        *(f"# looked at: :{line}" for line in looked),
        *(f'command("{line}")' for line in ran),
    ]
