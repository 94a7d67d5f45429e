"""Names are completed from what a listing saw last."""

import os

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from novacron.drivers import sim
from novacron_shell.cli import cli
from novacron_shell.testing import CommandServer


@pytest.fixture(scope="module")
def server():
    with CommandServer() as server:
        yield server


def test_names_that_a_listing_saw_are_completed_and_selectors_too(server, tmp_path):
    environment = os.environ | {"NOVACRON_STATE": str(tmp_path)}

    def completed(words, last):
        asked = {
            "_NOVACRON_COMPLETE": "bash_complete",
            "COMP_WORDS": f"novacron {words} {last}",
            "COMP_CWORD": str(len(words.split()) + 1),
        }
        return [line.split(",")[1] for line in server.run([], environment=environment | asked).stdout.split()]

    assert completed("stop", "vm-") == []
    server.run(["-c", "sim://lab?vms=2", "vm", "list"], environment=environment)
    assert completed("stop", "vm-") == ["vm-00001", "vm-00002"]
    assert completed("snapshot list", "vm-00001") == ["vm-00001"]
    assert completed("stop", "status:st") == ["status:stopping", "status:stopped"]
    assert completed("", "mig") == ["migrate"]
    assert (tmp_path / "names.json").stat().st_mode & 0o077 == 0


def test_snapshots_of_the_vm_before_them_are_completed(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path))
    run = CliRunner().invoke

    def completed(*words):
        return [item.value for item in ShellComplete(cli, {}, "novacron", "_X").get_completions([*words], "be")]

    assert completed("snapshot", "revert", "vm-00001") == []
    for name in ("before", "between"):
        assert run(cli, ["-c", "sim://completed-snapshots?vms=2", "snapshot", "create", "vm-00001", name]).exit_code == 0
    assert completed("snapshot", "revert", "vm-00001") == ["before", "between"]
    assert completed("snapshot", "delete", "vm-00002") == []
    assert run(cli, ["-c", "sim://completed-snapshots", "snapshot", "delete", "vm-00001", "before", "-y"]).exit_code == 0
    assert completed("snapshot", "show", "vm-00001") == ["between"]
    assert run(cli, ["-c", "sim://completed-snapshots", "snapshot", "list", "vm-00001"]).exit_code == 0
    assert completed("snapshot", "show", "vm-00001") == ["between"]
    sim.forget("completed-snapshots")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(server, tmp_path, shell):
    done = server.run(["completion", shell], environment=os.environ | {"NOVACRON_STATE": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert "_NOVACRON_COMPLETE" in done.stdout
