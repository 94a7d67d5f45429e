"""The fence agent `program`: any program of the package fence-agents, such as fence_ipmilan, fence_apc_snmp or fence_vmware_rest.

All these programs have one interface: options as `key=value` lines on standard input. Status 2 of the action `status` means off.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence

from novacron.errors import (
    AuthenticationError,
    DriverError,
    InvalidSpecError,
    OperationTimeoutError,
    SpecProblem,
    UnsupportedOperationError,
)
from novacron.records.fencing import FenceTarget, PowerStatus
from novacron.secrets import environment_without_secrets

ON, OFF, LOGIN_DENIED = 0, 2, 3
"""The exit status of the action `status`. The other ones are errors; LOGIN_DENIED is one of all actions."""
PROGRAMS = ("_path", "_script")
"""Endings of options that name a program to run. They are rejected: whoever can write the state database could run any program."""


class FenceProgram:
    """Runs a fence agent of the operating system.

    The option `program` is its name; all others are its own options: `ip`, `username`, `password_secret`, `plug`, ... They are given on
    standard input, so that no other user sees a password in the list of processes.
    """

    name = "program"
    required: Sequence[str] = ("program",)
    optional: Sequence[str] | None = None

    def off(self, target: FenceTarget) -> None:
        """Run the action `off`."""
        status = _run(target, "off")
        if status != 0:
            raise DriverError(
                f"{target.options['program']} could not switch {target.node} off: exit status {status}",
                resource=target.node,
                outcome="unknown",
                hint="run the program by hand with its option verbose",
            )

    def status(self, target: FenceTarget) -> PowerStatus:
        """Run the action `status`."""
        return {ON: "on", OFF: "off"}.get(_run(target, "status"), "unknown")  # type: ignore[return-value]


def _run(target: FenceTarget, action: str) -> int:
    """Run the program and return its exit status. Its output is not used, because it may contain the password."""
    program = target.options["program"]
    if not re.fullmatch(r"fence_[a-z0-9_]+", program):
        raise InvalidSpecError("invalid fence device", problems=[SpecProblem("program", program, "a name such as fence_ipmilan")])
    path = shutil.which(program)
    if path is None:
        raise UnsupportedOperationError(
            f"there is no program {program}", outcome="not_sent", hint="install it; on Debian: apt install fence-agents"
        )
    options = {**target.options, "action": action}
    programs = sorted(name for name in options if name.endswith(PROGRAMS))
    if programs:
        problem = SpecProblem(
            programs[0], "a program", "an option that runs no program: programs are found on PATH, secrets by name"
        )
        raise InvalidSpecError("invalid fence device", problems=[problem], resource=target.node)
    lines = [f"{name}={value}" for name, value in options.items() if name != "program"]
    if not all(line.isprintable() for line in lines):
        raise InvalidSpecError("invalid fence device", problems=[SpecProblem("options", "a value", "one line of text")])
    try:
        done = subprocess.run(
            [path],
            input="\n".join(lines) + "\n",
            text=True,
            capture_output=True,
            timeout=target.timeout,
            check=False,
            env=environment_without_secrets(),
        )
    except subprocess.TimeoutExpired:
        raise OperationTimeoutError(
            f"{program} did not end within {target.timeout:g} s", resource=target.node, outcome="unknown"
        ) from None
    if done.returncode == LOGIN_DENIED:
        hint = "check the options and the secret of the password; `novacron fence test` tries them"
        raise AuthenticationError(f"{program} could not log in to the fence device of {target.node}", hint=hint)
    return done.returncode


__all__ = ["FenceProgram"]
