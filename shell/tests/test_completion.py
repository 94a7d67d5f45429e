"""Names are completed from what a listing saw last."""

import os

import pytest

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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(server, tmp_path, shell):
    done = server.run(["completion", shell], environment=os.environ | {"NOVACRON_STATE": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert "_NOVACRON_COMPLETE" in done.stdout
