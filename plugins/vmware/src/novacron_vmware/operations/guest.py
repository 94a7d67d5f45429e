"""The guest from inside, through VMware Tools. Files and programs need a user of the guest's: the options `guest_user` and
`guest_password` of the connection, or the environment variables below.
"""

from __future__ import annotations

import http.client
import os
import re
import shlex
import time
from typing import Any
from urllib.parse import urlsplit

from novacron.errors import (
    AuthenticationError,
    GuestAgentError,
    GuestAgentUnavailableError,
    InvalidSpecError,
    OperationTimeoutError,
    SpecProblem,
)
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.guest import ExecResult, GuestInfo
from novacron.records.vm import VM
from novacron_vmware.errors import translated
from novacron_vmware.sdk import vim
from novacron_vmware.vm_operations import VMOperations

USER, PASSWORD = "NOVACRON_VSPHERE_GUEST_USER", "NOVACRON_VSPHERE_GUEST_PASSWORD"
POLL = 0.2
PATIENCE = 30.0
"""Seconds that a program which changes a user may take."""
OUTPUT_MOST = 16 * 2**20
"""Bytes of a program's output that are returned; no more than these are read."""
FILE_MOST = 256 * 2**20
"""Bytes of a guest's file that are read into memory."""
USERS = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?")
"""Names that users of Linux guests can have."""
KEYS = "umask 077; cd && mkdir -p .ssh && cat >.ssh/.novacron && mv .ssh/.novacron .ssh/authorized_keys"
"""Run by the user itself: root's hand would follow what links the user has laid."""
KEYS_OF = 'if [ "$(id -un)" = "$1" ]; then exec sh -c "$2"; else exec su -s /bin/sh -c "$2" "$1"; fi'
RUN = 'cd "$1" && { "./program" <stdin >stdout 2>stderr; echo $? >status; }'


class VMwareGuest(VMOperations):
    """Asks VMware Tools."""

    @hookimpl
    def guest_info(self, vm: str) -> GuestInfo:
        """Return what the Tools report; it needs no user of the guest's."""
        thing, _ = self._running(vm)
        read = self._connection.read(thing, ["guest", "config.instanceUuid"])
        guest = read["guest"]
        addresses = [a for net in guest.net or () for a in net.ipAddress or ()] or ([guest.ipAddress] if guest.ipAddress else [])
        return GuestInfo(
            vm=read["config.instanceUuid"],
            hostname=guest.hostName or None,
            os=guest.guestFullName or None,
            addresses=tuple(addresses),
            agent_version=guest.toolsVersion or None,
        )

    @hookimpl
    def guest_exec(self, vm: str, argv: list[str], stdin: bytes, seconds: float, job: Job[ExecResult]) -> ExecResult:
        """Run a program of a Linux guest in a directory of its own, from which its output is fetched; killed when it takes too long."""
        if not argv:
            raise InvalidSpecError(
                f"there is nothing to run in {vm!r}",
                resource=vm,
                problems=[SpecProblem("argv", "[]", "a program and its arguments")],
            )
        thing, name = self._running(vm)
        auth, processes = self._auth(), self._manager.processManager
        files = self._manager.fileManager
        job.report("preparing", 0.0)
        with translated(name):
            folder = files.CreateTemporaryDirectoryInGuest(thing, auth, "novacron-", "", None)
            try:
                # the guest's shell sees the arguments quoted, in a file: none of them is ever part of a command line
                self._write(thing, auth, f"{folder}/program", f"#!/bin/sh\nexec {shlex.join(argv)}\n".encode(), mode=0o700)
                self._write(thing, auth, f"{folder}/stdin", stdin, mode=0o600)
                program = vim.vm.guest.ProcessManager.ProgramSpec(
                    programPath="/bin/sh", arguments=f"-c {shlex.quote(RUN)} sh {shlex.quote(folder)}"
                )
                pid = processes.StartProgramInGuest(thing, auth, program)
                self._wait(thing, auth, pid, argv[0], seconds, job)
                text = self._read_file(thing, auth, f"{folder}/status", 64).decode().strip()
                out, err = (
                    self._read_file(thing, auth, f"{folder}/{stream}", OUTPUT_MOST + 1) for stream in ("stdout", "stderr")
                )
                status = int(text) if re.fullmatch(r"\d+", text) else 127
                return ExecResult(
                    exit_status=status,
                    stdout=out[:OUTPUT_MOST],
                    stderr=err[:OUTPUT_MOST],
                    truncated=max(len(out), len(err)) > OUTPUT_MOST,
                )
            finally:
                files.DeleteDirectoryInGuest(thing, auth, folder, True)

    @hookimpl
    def guest_file_read(self, vm: str, path: str) -> bytes:
        """Fetch a file."""
        thing, name = self._running(vm)
        with translated(name):
            data = self._read_file(thing, self._auth(), path, FILE_MOST + 1)
            if len(data) > FILE_MOST:
                raise GuestAgentError(
                    f"{path!r} in {name!r} has more than {FILE_MOST} bytes",
                    resource=name,
                    hint="copy it over the network instead",
                )
            return data

    @hookimpl
    def guest_file_write(self, vm: str, path: str, data: bytes) -> VM:
        """Send a file; one that is there is replaced."""
        thing, name = self._running(vm)
        with translated(name):
            self._write(thing, self._auth(), path, data)
        return self._read(thing)

    @hookimpl
    def guest_password_set(self, vm: str, user: str, password: str) -> VM:
        """Set a password with `chpasswd`. The guest user must be root. The password is the program's input, never an argument."""
        if "\n" in password:
            raise InvalidSpecError(
                f"can't set a password in {vm!r}",
                resource=vm,
                problems=[SpecProblem("password", "a password with a line break", "one line")],
            )
        return self._as_root(vm, user, f"can't set the password of {user!r}", ["chpasswd"], f"{user}:{password}\n")

    @hookimpl
    def guest_ssh_keys_set(self, vm: str, user: str, keys: tuple[str, ...]) -> VM:
        """Write the user's authorized_keys, as the user itself; the guest's user has to be that one, or root."""
        program = ["sh", "-c", KEYS_OF, "sh", user, KEYS]
        return self._as_root(vm, user, f"can't set the SSH keys of {user!r}", program, "".join(f"{key}\n" for key in keys))

    def _as_root(self, vm: str, user: str, failure: str, argv: list[str], stdin: str) -> VM:
        """Run a program that changes a user of a Linux guest."""
        thing, name = self._running(vm)
        if not USERS.fullmatch(user):
            raise InvalidSpecError(
                f"{name!r} can't have a user of that name",
                resource=name,
                problems=[SpecProblem("user", user, "the name of a user")],
            )
        done = self.guest_exec(vm, argv, stdin.encode(), PATIENCE, Job("guest_exec", name))
        if done.exit_status != 0:
            why = done.stderr.decode(errors="replace").strip() or f"{argv[0]} ended with {done.exit_status}"
            raise GuestAgentError(
                f"{failure} in {name!r}: {why}",
                resource=name,
                hint="the guest is a Linux with that user, and the connection's guest_user is root in it",
            )
        return self._read(thing)

    @property
    def _manager(self) -> Any:
        return self._connection.content.guestOperationsManager

    def _running(self, vm: str) -> tuple[Any, str]:
        thing = self._find(vm)
        record = self._read(thing)
        if record.status != "running" or self._tools(thing) != "guestToolsRunning":
            runs = record.status == "running"
            first = "" if runs else "resume the VM; " if record.status == "suspended" else "start the VM; "
            raise GuestAgentUnavailableError(
                f"can't ask the guest of {record.name!r}: {'its VMware Tools do not run' if runs else f'it is {record.status}'}",
                resource=record.name,
                hint=f"{first}VMware Tools (open-vm-tools) must run in the guest",
            )
        return thing, record.name

    def _auth(self) -> Any:
        options = self._connection.options
        user = options.get("guest_user") or os.environ.get(USER)
        password = options.get("guest_password") or os.environ.get(PASSWORD)
        if not user or password is None:
            raise AuthenticationError(
                "no user of the guest operating system is given",
                outcome="not_sent",
                hint=f"give guest_user and guest_password, or set {USER} and {PASSWORD}",
            )
        return vim.vm.guest.NamePasswordAuthentication(username=user, password=password, interactiveSession=False)

    def _wait(self, thing: Any, auth: Any, pid: int, program: str, seconds: float, job: Job[ExecResult]) -> None:
        processes, until = self._manager.processManager, time.monotonic() + seconds
        while True:
            found = processes.ListProcessesInGuest(thing, auth, [pid])
            if not found or found[0].endTime is not None:
                return
            if time.monotonic() > until or job.cancel_asked:
                processes.TerminateProcessInGuest(thing, auth, pid)
                job.raise_if_cancelled()
                raise OperationTimeoutError(
                    f"{program!r} did not end within {seconds:g} s and was killed",
                    resource=program,
                    outcome="failed",
                    hint="give it more time",
                )
            job.report(f"{program} runs")
            time.sleep(POLL)

    def _read_file(self, thing: Any, auth: Any, path: str, most: int) -> bytes:
        there = self._manager.fileManager.InitiateFileTransferFromGuest(thing, auth, path)
        return self._transfer("GET", there.url, None, most)

    def _write(self, thing: Any, auth: Any, path: str, data: bytes, mode: int | None = None) -> None:
        attributes = (
            vim.vm.guest.FileManager.PosixFileAttributes(permissions=mode) if mode else vim.vm.guest.FileManager.FileAttributes()
        )
        url = self._manager.fileManager.InitiateFileTransferToGuest(thing, auth, path, attributes, len(data), True)
        self._transfer("PUT", url, data)

    def _transfer(self, verb: str, url: str, data: bytes | None, most: int = 2**16) -> bytes:
        """Send or fetch a file's bytes, at most `most`; a "*" in the URL stands for the server that was asked."""
        parts = urlsplit(url)
        host = self._connection.address[0] if parts.hostname in (None, "*") else str(parts.hostname)
        port = parts.port or self._connection.address[1]
        # a file's size is limited by `most`, and a link may be slow
        web = self._connection.session.web(host, port, limited=most <= 2**16)
        try:
            web.request(verb, f"{parts.path}?{parts.query}" if parts.query else parts.path, body=data)
            answer = web.getresponse()
            if answer.status >= http.client.BAD_REQUEST:
                raise GuestAgentError(f"the transfer of a file failed: {answer.status} {answer.reason}")
            return answer.read(most)
        finally:
            web.close()


__all__ = ["PASSWORD", "USER", "VMwareGuest"]
