"""`%load_ext novacron` in a real IPython."""

import atexit

import pytest

import novacron
from novacron import errors


@pytest.fixture
def ipython(tmp_path, monkeypatch):
    from IPython.core.interactiveshell import InteractiveShell

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    novacron.fleet().add("noted", "sim://noted?vms=3")
    shell = InteractiveShell()
    yield shell
    novacron.unload_ipython_extension(shell)
    atexit.unregister(shell.atexit_operations)
    shell.atexit_operations()


def run(ipython, capsys, cell):
    """Return what a cell prints, and its result."""
    done = ipython.run_cell(cell)
    return capsys.readouterr().out, done.result


def test_the_extension_gives_the_names_displays_and_commands_of_the_shell(ipython, capsys):
    ipython.user_ns["stop"] = "mine"
    assert run(ipython, capsys, "%load_ext novacron") == ("", None)
    out, value = run(ipython, capsys, "vms")
    assert "vm-00002" in out
    assert len(value) == 3
    out, value = run(ipython, capsys, "vms['vm-00001']")
    assert "memory_bytes" in out
    assert "<table>" in ipython.display_formatter.format(value)[0]["text/html"]
    assert "start: 1 of 1 done" in run(ipython, capsys, "vms.where(name='vm-00003') | start")[0]
    assert ipython.user_ns["stop"] == "mine"
    assert "vm-00001" in run(ipython, capsys, ":vm list 'vm-00001'")[0]
    assert "vm-00002" in run(ipython, capsys, "%novacron vm list")[0]
    assert run(ipython, capsys, "1 + 1")[1] == 2
    assert run(ipython, capsys, "(await noted.submit('vm_stop', vm='vm-00001')).status")[1] == "stopped"


def test_errors_are_a_line_and_commands_are_completed(ipython, capsys):
    run(ipython, capsys, "%load_ext novacron")
    out, _ = run(ipython, capsys, "noted.vms['vm-0001']")
    assert "error: " in out
    assert "hint: did you mean" in out
    assert "Traceback" not in out
    assert "VMNotFoundError" in run(ipython, capsys, ":why")[0]
    ipython.run_cell(":vm shw")
    assert "exit code 2" in capsys.readouterr().err
    assert {"start", "stop"} <= {text.rpartition(" ")[2] for text in ipython.complete("st", "%novacron vm st")[1]}


def test_unloading_removes_what_was_loaded(ipython, capsys):
    before = set(ipython.user_ns)
    run(ipython, capsys, "%load_ext novacron")
    run(ipython, capsys, "mine = vms")
    run(ipython, capsys, "%unload_ext novacron")
    assert {name for name in set(ipython.user_ns) - before if not name.startswith("_")} == {"mine"}
    assert "error" not in run(ipython, capsys, "%load_ext novacron")[0]


def test_without_the_shell_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [])
    with pytest.raises(errors.UnsupportedOperationError) as caught:
        novacron.load_ipython_extension(None)
    assert "novacron[shell]" in caught.value.hint
