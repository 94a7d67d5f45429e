"""Names are completed from what a listing saw last."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

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


HOSTILE = [
    "vm-$(touch ran)",
    "vm-`touch ran`",
    "vm-*",
    "vm-;touch ran",
    "vm-\nplain,forged",
    "vm-\x1b]0;x\x07",
    "vm-\u202e",
    "vm-'a",
]
BASH = """
eval "$(novacron completion bash)"
COMP_WORDS=(novacron stop vm-) COMP_CWORD=2
_novacron_completion novacron
printf '%s|' "${COMPREPLY[@]}"
"""


def test_bash_offers_no_name_that_would_run_something(tmp_path):
    """bash inserts a completion as it is, and runs it when the line is entered. Other tools may give a VM any name."""
    (tmp_path / "names.json").write_text(json.dumps({"h": [*HOSTILE, "vm-good", "vm-bücher"]}))
    (tmp_path / "snapshots.json").write_text(json.dumps({"h/vm": HOSTILE}))
    environment = os.environ | {"NOVACRON_STATE": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert sorted(done.stdout.strip("|").split("|")) == ["vm-bücher", "vm-good"], done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(server, tmp_path, shell):
    done = server.run(["completion", shell], environment=os.environ | {"NOVACRON_STATE": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert "_NOVACRON_COMPLETE" in done.stdout
