"""The configuration file: defaults of options, the host, aliases; mistakes are named."""

import itertools
import json

import pytest
from click.testing import CliRunner

import novacron as api
from novacron.errors import InvalidSpecError
from novacron_shell.cli import cli
from novacron_shell.config import config_file, read_config
from novacron_shell.repl.config import ShellConfig

WORLDS = itertools.count()


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    for name in ("NOVACRON_HOST", "NOVACRON_CONNECT", "NOVACRON_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    return (tmp_path / "config.toml").write_text


@pytest.fixture
def world():
    name = f"config-{next(WORLDS)}"
    return f"sim://{name}?vms=2"


def run(*arguments, code=0):
    done = CliRunner().invoke(cli, list(arguments))
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def test_a_missing_file_stands_for_the_defaults(write):
    assert read_config().output is None
    assert json.loads(run("config", "-o", "json"))["file"] == str(config_file())


def test_the_output_format_and_an_option_that_wins(write, world):
    write('output = "name"')
    assert run("-c", world, "vm", "list").split() == ["vm-00001", "vm-00002"]
    assert run("-c", world, "vm", "list", "-o", "csv").startswith("name,status")


def test_the_host(write, world):
    number = next(WORLDS)
    for name in ("one", "two"):
        api.fleet().add(name, f"sim://config-{name}-{number}?vms=1&prefix={name}-")
    write('host = "two"\noutput = "name"')
    try:
        assert run("vm", "list").split() == ["two-00001"]
        assert run("vm", "list", "--host", "one").split() == ["one-00001"]
        run("host", "use", "one")
        assert run("vm", "list").split() == ["one-00001"]
    finally:
        api.fleet().hosts.close()


def test_the_timeout_is_seconds(write):
    write('timeout = "2m"')
    assert read_config().timeout == 120


def test_aliases_name_commands_and_each_other(write, world):
    write('[aliases]\nnames = "vm list -o name"\nfirst = "names vm-00001"\nvm = "host list"\nround = "round"')
    assert run("-c", world, "names").split() == ["vm-00001", "vm-00002"]
    assert run("-c", world, "first", "-o", "json").startswith("[")
    assert run("-c", world, "vm", "list", "-o", "name").split() == ["vm-00001", "vm-00002"]  # a command wins
    run("round", code=2)


def test_the_shell_has_the_same_theme_and_aliases_unless_its_own_file_has_others(write, tmp_path):
    write('theme = "vim"\n[aliases]\nll = "vm list"\nn = "node list"')
    own = tmp_path / "shell.toml"
    own.write_text('[aliases]\nll = "vm list -o wide"\n')
    shell = ShellConfig.read(own).over(read_config())
    assert (shell.theme, shell.aliases) == ("vim", {"ll": "vm list -o wide", "n": "node list"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('outptu = "json"', ["outptu", "did you mean 'output'"]),
        ('nothing_like_it = 1\noutput = "xml"', ["nothing_like_it", "one of host", "a text of 3 characters", "ndjson"]),
        ("timeout = 0", ["timeout", '"20s"']),
        ("timeout = true", ["timeout"]),
        ('timeout = "soon"', ["timeout"]),
        ("host = 3", ["host"]),
        ('theme = ""', ["theme"]),
        ('aliases = "ll"', ["aliases", "table"]),
        ("[aliases]\nll = 'vm \"list'", ["aliases.ll"]),
        ("[aliases]\nll = 3\nx = ''", ["aliases.ll", "aliases.x"]),
        ("host", ["no TOML"]),
    ],
)
def test_mistakes_are_named(write, text, words):
    write(text)
    with pytest.raises(InvalidSpecError) as caught:
        read_config()
    assert all(word in str(caught.value) for word in words), caught.value
    assert "NOVACRON_CONFIG" in caught.value.hint


@pytest.mark.parametrize("key", ["host", "output", "timeout", "theme", "aliases", "aliases.x", "editing", "startup", "other"])
def test_a_secret_in_the_wrong_place_is_not_repeated(write, tmp_path, key):
    messages = []
    for value in ('"Hunt3r2 !"', '["Hunt3r2 !"]', '{x = "Hunt3r2 !"}', '"Hunt3r2 \'!"'):
        write(f"{key} = {value}")
        for read in (read_config, lambda: ShellConfig.read(tmp_path / "config.toml")):
            try:
                read()
            except InvalidSpecError as error:
                messages.append(f"{error} {error.hint}")
    assert len(messages) > 2
    assert "Hunt3r2" not in "".join(messages)


def test_a_file_that_is_no_text_is_named(write, tmp_path):
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidSpecError, match="no TOML"):
        read_config()


@pytest.mark.parametrize("variable", ["NOVACRON_HOST", "NOVACRON_CONNECT"])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("option", ["--host", "-c"])
def test_an_option_wins_over_the_environment_wherever_it_stands(write, monkeypatch, variable, before, option):
    """Otherwise a command would change another host than the one that it names."""
    number = next(WORLDS)
    uris = {name: f"sim://environment-{name}-{number}?vms=1&prefix={name}-" for name in ("asked", "other")}
    for name, uri in uris.items():
        api.fleet().add(name, uri)
    try:
        monkeypatch.setenv(variable, "other" if variable == "NOVACRON_HOST" else uris["other"])
        chosen = (option, "asked" if option == "--host" else uris["asked"])
        words = (*chosen, "vm", "list") if before else ("vm", "list", *chosen)
        assert run(*words, "-o", "name").split() == ["asked-00001"]
        assert run("vm", "list", "-o", "name").split() == ["other-00001"]
    finally:
        for name in uris:
            api.fleet().remove(name)


@pytest.mark.parametrize("words", [("--host", "", "vm", "list"), ("vm", "list", "--host", " "), ("-c", "", "vm", "list")])
def test_an_empty_name_of_a_host_is_refused(write, monkeypatch, words):
    """It is a variable of a script that is not set. Otherwise the command would change the host of the environment or of the file."""
    monkeypatch.setenv("NOVACRON_CONNECT", f"sim://environment-empty-{next(WORLDS)}?vms=1")
    done = CliRunner().invoke(cli, words)
    assert (done.exit_code, "is empty: it names no host" in done.output) == (2, True), done.output
