"""The simulated vCenter: it starts, takes orders, and never outlives who started it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import novacron
from novacron.errors import InvalidStateError
from novacron_lab.vcenter import VCenter


def lives(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] not in "ZX"


def test_it_ends_with_the_process_that_started_it():
    """Also when that is killed."""
    code = (
        "import time; from novacron_lab.vcenter import VCenter; v = VCenter(); print(v.process.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(starter.stdout.readline())
    assert lives(pid)
    starter.kill()
    starter.wait()
    until = time.monotonic() + 60
    while lives(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not lives(pid)


def test_it_leaves_no_file_behind():
    """Its datastores go with it."""
    with VCenter() as vcenter:
        assert list(vcenter.folder.iterdir())
        with novacron.connect(vcenter.uri(), password=vcenter.password) as host:
            assert host.vms.list().total == 4
    assert not vcenter.folder.exists()


def test_an_unknown_fault_is_refused():
    """So that no test waits for a fault that never comes."""
    with VCenter() as vcenter, pytest.raises(InvalidStateError, match="NoSuchFault"):
        vcenter.fault("PowerOnVM_Task", "NoSuchFault")
