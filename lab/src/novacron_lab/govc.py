"""govc, vSphere's own command line, as an independent witness of what a simulator holds."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from novacron.errors import InvalidStateError
from novacron_lab.vcenter import USER, VCenter, built


class Govc:
    """Runs govc against a simulator.

    Attributes:
        environment: the environment variables of each run.
    """

    def __init__(self, vcenter: VCenter) -> None:
        self._program = built("govc")
        self.environment = os.environ | {
            "GOVC_URL": f"https://127.0.0.1:{vcenter.port}/sdk",
            "GOVC_USERNAME": USER,
            "GOVC_PASSWORD": vcenter.password,
            "GOVC_INSECURE": "1",
            "GOVMOMI_HOME": str(vcenter.folder),
            "GOVC_PERSIST_SESSION": "false",
        }

    def __call__(self, *arguments: str) -> str:
        """Run a command and return what it printed. Raises InvalidStateError when it fails."""
        done = subprocess.run(
            [self._program, *arguments], env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise InvalidStateError(
                f"govc {' '.join(arguments)}: {done.stderr.strip()[:400]}", hint="look at the message of govc"
            )
        return done.stdout.strip()

    def lines(self, *arguments: str) -> list[str]:
        """Run a command and return its lines, sorted."""
        return sorted(filter(None, self(*arguments).splitlines()))

    def json(self, *arguments: str) -> Any:
        """Run a command with -json and return what it printed."""
        command, *rest = arguments
        return json.loads(self(command, "-json", *rest))


__all__ = ["Govc"]
