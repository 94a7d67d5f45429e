"""What tests of workflows share: processes that can be killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


class Processes:
    """Starts processes that run flows, and kills them."""

    def __init__(self):
        script = Path(__file__).with_name("flow_processes.py")
        self._parent = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._started = []
        assert self._parent.stdout.readline() == "ready\n"

    def start(self, what, *arguments):
        """Do what `flow_processes` has under that name, in a new process; return its number."""
        self._parent.stdin.write(json.dumps([what, *arguments]) + "\n")
        self._parent.stdin.flush()
        self._started.append(int(self._parent.stdout.readline()))
        return self._started[-1]

    def end(self, pid, number=signal.SIGKILL, seconds=60):
        """Send a process a signal and wait for its end."""
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        self.wait(pid, seconds)

    def wait(self, pid, seconds=60):
        """Wait for a process's end."""
        until = time.monotonic() + seconds
        while self._lives(pid):
            assert time.monotonic() < until
            time.sleep(0.002)

    def _lives(self, pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def close(self):
        for pid in self._started:
            if self._lives(pid):
                self.end(pid)
        self._parent.stdin.close()
        self._parent.wait()


@pytest.fixture
def processes(tmp_path, monkeypatch):
    """Processes that share a state directory, and the database that NOVACRON_DATABASE names, with the test."""
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path))
    found = Processes()
    yield found
    found.close()
