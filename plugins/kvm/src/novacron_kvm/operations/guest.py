"""The guest from inside, through the QEMU guest agent. Its protocol: JSON, binary data in base64, one command at a time."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import libvirt

from novacron.errors import (
    GuestAgentError,
    GuestAgentUnavailableError,
    NovaCronError,
    OperationTimeoutError,
    UnsupportedOperationError,
)
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.guest import ExecResult, GuestInfo
from novacron.records.vm import VM
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import mapped
from novacron_kvm.inventory.records import vm_record

PATIENCE = 10
"""Seconds that the agent has to answer one command."""
CHUNK = 64 * 1024
"""Bytes of a file in one command: a slow guest has to finish one within `PATIENCE`."""
LARGEST = 256 * 2**20
"""Bytes of the largest file that is read; larger ones are no matter for an agent."""


MOST_ADDRESSES = 1024
"""IP addresses of one guest that are taken in."""
LONGEST = 1024
"""Characters of a text that the agent says of its guest that are taken in."""


class KVMGuest:
    """Talks to the guest agent."""

    def __init__(self, connection: KVMConnection) -> None:
        self._connection = connection

    @hookimpl
    def guest_info(self, vm: str) -> GuestInfo:
        """Ask for everything that the agent knows to say."""
        with self._agent(vm) as agent:
            system = agent.ask("guest-get-osinfo", optional=True) or {}
            interfaces = agent.ask("guest-network-get-interfaces", optional=True) or []
            hostname = (agent.ask("guest-get-host-name", optional=True) or {}).get("host-name")
            version = agent.ask("guest-info").get("version")
            addresses = [
                address["ip-address"]
                for interface in interfaces
                for address in interface.get("ip-addresses", ())
                if interface.get("name") != "lo" and not address["ip-address"].startswith("fe80:")
            ]
            return GuestInfo(
                vm=agent.domain.UUIDString(),
                hostname=_short(hostname),
                os=_short(system.get("pretty-name") or system.get("name")),
                kernel=_short(system.get("kernel-release")),
                addresses=tuple(_short(address) or "" for address in addresses[:MOST_ADDRESSES]),
                agent_version=_short(version),
            )

    @hookimpl
    def guest_exec(self, vm: str, argv: list[str], stdin: bytes, seconds: float, job: Job[ExecResult]) -> ExecResult:
        """Run a program; it is killed when it does not end in time or the job is cancelled."""
        if not argv:
            raise GuestAgentError("no program was named", resource=vm, hint="give a program and its arguments")
        with self._agent(vm) as agent:
            asked: dict[str, Any] = {"path": argv[0], "arg": argv[1:], "capture-output": True}
            if stdin:
                asked["input-data"] = base64.b64encode(stdin).decode()
            pid = agent.ask("guest-exec", asked)["pid"]
            deadline, pause = time.monotonic() + seconds, 0.02
            while not (status := agent.ask("guest-exec-status", {"pid": pid}))["exited"]:
                try:
                    job.raise_if_cancelled()
                    if time.monotonic() > deadline:
                        raise OperationTimeoutError(f"{argv[0]} did not end within {seconds:g} s", resource=vm)
                except NovaCronError as error:
                    if not agent.kill(pid):
                        error.outcome, error.hint = "unknown", f"it could not be killed: look for pid {pid} in the guest"
                    raise
                job.wait_cancelled(pause)
                pause = min(0.5, pause * 1.5)
            return ExecResult(
                exit_status=128 + status["signal"] if "signal" in status else status.get("exitcode", 0),
                stdout=base64.b64decode(status.get("out-data", ""), validate=True),
                stderr=base64.b64decode(status.get("err-data", ""), validate=True),
                truncated=bool(status.get("out-truncated") or status.get("err-truncated")),
            )

    @hookimpl
    def guest_file_read(self, vm: str, path: str) -> bytes:
        """Read a file piece by piece."""
        found = bytearray()
        with self._agent(vm) as agent, agent.file(path, "r") as handle:
            while True:
                piece = agent.ask("guest-file-read", {"handle": handle, "count": CHUNK})
                data = base64.b64decode(piece.get("buf-b64", ""), validate=True)
                found += data
                if piece["eof"]:
                    return bytes(found)
                if not 0 < len(data) <= CHUNK:  # an agent that says neither data nor end would be asked for ever
                    raise ValueError(f"{len(data)} bytes of a file, 1 to {CHUNK} were expected")
                if len(found) > LARGEST:
                    raise GuestAgentError(
                        f"{path!r} is larger than {LARGEST} bytes", resource=vm, hint="copy it over the guest's network"
                    )

    @hookimpl
    def guest_file_write(self, vm: str, path: str, data: bytes) -> VM:
        """Write a file piece by piece."""
        with self._agent(vm) as agent, agent.file(path, "w") as handle:
            view = memoryview(data)
            while view:
                piece = {"handle": handle, "buf-b64": base64.b64encode(view[:CHUNK]).decode()}
                written = agent.ask("guest-file-write", piece)["count"]
                if not 0 < written <= min(CHUNK, len(view)):
                    raise ValueError(f"{written} bytes written, 1 to {min(CHUNK, len(view))} were expected")
                view = view[written:]
            agent.ask("guest-file-flush", {"handle": handle})
        return vm_record(self._connection, agent.domain)

    @hookimpl
    def guest_freeze(self, vm: str) -> VM:
        """Freeze all file systems."""
        with self._agent(vm) as agent:
            agent.domain.fsFreeze()
        return vm_record(self._connection, agent.domain)

    @hookimpl
    def guest_thaw(self, vm: str) -> VM:
        """Thaw all file systems."""
        with self._agent(vm) as agent:
            agent.domain.fsThaw()
        return vm_record(self._connection, agent.domain)

    @hookimpl
    def guest_password_set(self, vm: str, user: str, password: str) -> VM:
        """Set a user's password."""
        with self._agent(vm) as agent:
            agent.domain.setUserPassword(user, password, 0)
        return vm_record(self._connection, agent.domain)

    @hookimpl
    def guest_ssh_keys_set(self, vm: str, user: str, keys: tuple[str, ...]) -> VM:
        """Write a user's authorized_keys."""
        with self._agent(vm) as agent:
            agent.domain.authorizedSSHKeysSet(user, list(keys), 0)
        return vm_record(self._connection, agent.domain)

    @contextmanager
    def _agent(self, vm: str) -> Iterator[Agent]:
        """Give the agent of a VM that runs and has one."""
        with self._connection.dedicated() as conn:
            domain = self._connection.domain(vm, conn)
            record = vm_record(self._connection, domain, sizes=False)
            if record.status != "running":
                raise GuestAgentUnavailableError(f"no guest agent answers in {record.name!r}: it is {record.status}", resource=vm)
            try:
                domain.agentSetResponseTimeout(PATIENCE, 0)
                yield Agent(domain)
            except libvirt.libvirtError as error:
                raise _of_the_agent(error, record.name) from error
            except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
                raise GuestAgentError(  # what is in a guest is not trusted to keep to the protocol
                    f"the guest agent of {record.name!r} answered against its protocol: {str(error)[:200]}",
                    resource=record.name,
                    hint="a program in the guest poses as the agent, or the agent is defective",
                ) from error


class Agent:
    """The guest agent of one running VM."""

    def __init__(self, domain: Any) -> None:
        self.domain = domain

    def ask(self, command: str, arguments: dict[str, Any] | None = None, *, optional: bool = False) -> Any:
        """Give a command and return its answer; None for one that this agent does not know, when that is allowed."""
        import libvirt_qemu

        asked = {"execute": command} | ({"arguments": arguments} if arguments else {})
        try:
            return json.loads(libvirt_qemu.qemuAgentCommand(self.domain, json.dumps(asked), PATIENCE, 0))["return"]
        except libvirt.libvirtError as error:
            if optional and ("has not been found" in str(error) or "disabled" in str(error)):
                return None
            raise

    @contextmanager
    def file(self, path: str, mode: str) -> Iterator[int]:
        """Open a file in the guest, and close it."""
        handle = self.ask("guest-file-open", {"path": path, "mode": mode})
        try:
            yield handle
        finally:
            try:
                self.ask("guest-file-close", {"handle": handle})
            except libvirt.libvirtError:
                pass  # what went wrong before is what is told

    def kill(self, pid: int) -> bool:
        """Kill a program; whether that was done."""
        try:
            killer = self.ask("guest-exec", {"path": "kill", "arg": ["-9", str(pid)]})["pid"]
            time.sleep(0.1)
            done = self.ask("guest-exec-status", {"pid": killer})
            self.ask("guest-exec-status", {"pid": pid})
        except libvirt.libvirtError:
            return False
        return bool(done["exited"] and done.get("exitcode") == 0)


def _short(text: object) -> str | None:
    """Return a text that the agent said, cut to a length that no honest guest reaches. Raises ValueError for what is no text."""
    if text is not None and not isinstance(text, str):
        raise ValueError(f"a {type(text).__name__} where a text was expected")
    return text[:LONGEST] if text else None


def _of_the_agent(error: libvirt.libvirtError, vm: str) -> NovaCronError:
    """Return NovaCron's error for one of libvirt's while it talked to an agent."""
    found = mapped(error, resource=vm)
    text = found.message
    if "not configured" in text or "not connected" in text:
        return GuestAgentUnavailableError(f"no guest agent answers in {vm!r}: {text}", resource=vm)
    if "has not been found" in text or "has been disabled" in text:
        return UnsupportedOperationError(f"the guest agent of {vm!r} can't: {text}", resource=vm, hint="a newer agent may")
    if "unable to execute QEMU agent command" in text:
        reason = text.partition("': ")[2] or text
        return GuestAgentError(f"the guest agent of {vm!r} says: {reason}", resource=vm)
    return found


__all__ = ["Agent", "KVMGuest"]
