"""One lab host: its namespaces, its libvirtd, and the faults that tests provoke in it.

Whoever may call a libvirtd is root on this machine, so libvirtd lets in only those who can read a folder that belongs to root: over TLS
a client needs a certificate of the lab's authority, and the Unix sockets are private. There is no TCP port without TLS.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec

from novacron.secrets import environment_without_secrets
from novacron_lab import cgroups, emulators, leases, network, supervisor
from novacron_lab.certificates import make_certificate
from novacron_lab.running import LabError, ProcessIdentity, run

PRIVATE = ("/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt")
TLS_PORT = 16514
"""libvirtd's port for TLS."""
HELLO = struct.pack(">IIiiiIi", 28, 0x20008086, 1, 66, 0, 1, 0)
"""A call of libvirt's protocol that needs no login: which ways to log in there are (REMOTE_PROC_AUTH_LIST)."""
PATIENCE = 5
"""How often a host may leave a call unanswered, each for a second, until it counts as silent: the machine may be busy."""
START_TIMEOUT = 20.0
KILL_TIMEOUT = 10.0
"""Seconds that killed processes have to end."""


class LabHost(msgspec.Struct, frozen=True):
    """A host of a lab.

    Attributes:
        name: its name in the fleet, "lab-a".
        address: its address on the lab's network.
        namespace: its network namespace.
        switch: the namespace of the lab's switch.
        port: the port of the switch that it is plugged into.
        folder: where its private files are.
    """

    name: str
    address: str
    namespace: str
    switch: str
    port: str
    folder: str

    @property
    def uri(self) -> str:
        """Where NovaCron and other hosts connect to. Only root can read the certificate that it names."""
        return f"qemu+tls://{self.address}/system?pkipath={self.client}"

    @property
    def client(self) -> Path:
        """The folder with the certificate and key of the lab's clients, the same for all hosts."""
        return Path(self.folder).parent / "client"

    def start(self, *, hosts_file: Path, authority: Path, peers: Sequence[str], lockspace: Path | None = None) -> None:
        """Make the namespaces and start libvirtd in them, without waiting for it.

        Args:
            hosts_file: what /etc/hosts is in this host.
            authority: the folder of the authority that issues the host's certificate.
            peers: the addresses of all hosts of the lab, which may migrate VMs to this one.
            lockspace: the folder with the leases of virtlockd, the same for all hosts; None for a host without virtlockd.
        """
        folder = Path(self.folder)
        folder.mkdir(parents=True)
        folders = {}
        for path in PRIVATE:
            private = folder / path.strip("/").replace("/", "-")
            private.mkdir()
            folders[str(private)] = path
        folders[str(emulators.folder())] = emulators.SEEN
        make_certificate(authority, folder / "etc-libvirt" / "pki", self.name, self.address)
        groups = cgroups.make(self.namespace)
        config = folder / "config.json"
        config.write_text(
            json.dumps(
                {
                    "name": self.name,
                    "folders": folders,
                    "hosts_file": str(hosts_file),
                    "boot_id": str(self._new_boot()),
                    "cgroups": groups,
                    "log": str(folder / "libvirtd.log"),
                    "daemon_pid": str(folder / "libvirtd.pid"),
                }
            )
        )
        self._configure(folder / "etc-libvirt", sorted(groups))
        if lockspace is not None:
            leases.configure(folder / "etc-libvirt", lockspace)
        network.make_host(self.namespace, self.switch, self.port, self.address, peers)
        with (folder / "supervisor.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *cgroups.entering(groups),
                    "ip",
                    "netns",
                    "exec",
                    self.namespace,
                    "unshare",
                    "--mount",
                    "--uts",
                    "--propagation",
                    "private",
                    sys.executable,
                    "-I",
                    supervisor.__file__,
                    str(config),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env=environment_without_secrets(),
            )
        # each of these programs replaces itself with the next, so this is the supervisor's own pid
        (folder / "supervisor.pid").write_text(str(ProcessIdentity.of(process.pid)))

    def _configure(self, etc: Path, controllers: list[str]) -> None:
        if Path("/etc/libvirt").is_dir():
            for name in ("libvirt.conf", "qemu.conf", "libvirtd.conf"):
                if Path("/etc/libvirt", name).exists():
                    shutil.copy(Path("/etc/libvirt", name), etc / name)
            if Path("/etc/libvirt/nwfilter").is_dir():
                shutil.copytree("/etc/libvirt/nwfilter", etc / "nwfilter", dirs_exist_ok=True)
        identity = uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.namespace}.{time.time_ns()}")
        (etc / "libvirtd.conf").write_text(
            f'host_uuid = "{identity}"\nlisten_tls = 1\nlisten_tcp = 0\nlisten_addr = "{self.address}"\n'
            'ca_file = "/etc/libvirt/pki/ca-cert.pem"\ncert_file = "/etc/libvirt/pki/server-cert.pem"\n'
            'key_file = "/etc/libvirt/pki/server-key.pem"\ntls_no_verify_certificate = 0\nauth_tls = "none"\n'
            'unix_sock_rw_perms = "0700"\nunix_sock_ro_perms = "0700"\nunix_sock_admin_perms = "0700"\n'
            'auth_unix_rw = "none"\nauth_unix_ro = "none"\nmax_clients = 500\nmax_queued_clients = 500\n'
        )
        (etc / "qemu.conf").write_text(
            'user = "root"\ngroup = "root"\nsecurity_driver = "none"\nnamespaces = []\n'
            f"cgroup_controllers = {json.dumps(controllers)}\n"
            f'remember_owner = 0\nstdio_handler = "file"\nmigration_host = "{self.address}"\n'
            'migrate_tls_x509_cert_dir = "/etc/libvirt/pki"\nmigrate_tls_x509_verify = 1\n'
            # between two daemons a link that is cut is known after 12 s, as it is between NovaCron and a daemon; usually it takes 30 s
            "keepalive_interval = 3\nkeepalive_count = 3\n"
        )

    @property
    def leased(self) -> bool:
        """Whether virtlockd holds leases of the disks of its VMs."""
        return leases.configured(Path(self.folder) / "etc-libvirt")

    def lease_disks(self, lockspace: Path) -> None:
        """Give a host that runs virtlockd, unless it has it. Its libvirtd is restarted.

        Raises:
            LabError: VMs run on it. They have no leases, and once resumed they would leave one behind when they end.
        """
        if self.leased:
            return
        if names := sorted(file.stem for file in self.guest_records.glob("*.xml")):
            raise LabError(f"VMs run on {self.name}: {', '.join(names)}", hint="stop them: a VM gets its leases when it starts")
        leases.configure(Path(self.folder) / "etc-libvirt", lockspace)
        self.kill_daemon()
        self.restart_daemon()

    def wait_until_up(self) -> None:
        """Wait until libvirtd answers. Raises LabError with its log when it does not."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._answers():
                return
            if not self.running:
                break
            time.sleep(0.02)
        log = "".join(
            (Path(self.folder) / name).read_text(errors="replace")[-1500:]
            for name in ("supervisor.log", "libvirtd.log")
            if (Path(self.folder) / name).exists()
        )
        raise LabError(f"libvirtd of {self.name} did not start: {log.strip()}")

    @property
    def supervisor_pid(self) -> int | None:
        """The pid of the host's first process, None when it has ended."""
        try:
            supervisor = ProcessIdentity.parse((Path(self.folder) / "supervisor.pid").read_text())
        except (OSError, ValueError):
            return None
        return supervisor.pid if supervisor.alive else None

    @property
    def daemon_pid(self) -> int:
        """The pid of libvirtd. Raises LabError when it does not run."""
        try:
            pid = int((Path(self.folder) / "libvirtd.pid").read_text())
        except (OSError, ValueError):
            pid = 0
        if pid not in self.processes():
            raise LabError(f"libvirtd of {self.name} does not run")
        return pid

    @property
    def running(self) -> bool:
        """Whether the host's first process is there."""
        return self.supervisor_pid is not None

    @property
    def status(self) -> str:
        """What it does: "up", "silent" if its libvirtd does not answer, "down" if its first process is gone."""
        if not self.running:
            return "down"
        return "up" if any(self._answers() for _ in range(PATIENCE)) else "silent"

    def processes(self) -> list[int]:
        """Return the pids of all processes in the host's network namespace. It does not need the supervisor, which may be gone."""
        return network.processes(self.namespace)

    def cgroup(self, controller: str) -> Path:
        """Return the folder of the host's group of a controller ("cpu", "memory"); its VMs' are below it."""
        folder = self._groups().get(controller)
        if folder is None:
            raise LabError(f"{self.name} has no control group of {controller!r}", hint="this machine gives it none")
        return Path(folder)

    def _groups(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads((Path(self.folder) / "config.json").read_text())["cgroups"]
        except (OSError, ValueError):
            return {}  # it was never started
        return found

    def exec(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program inside the host and return its output and exit status."""
        return run(*self.enter(*argv), check=False)

    def enter(self, *argv: str) -> list[str]:
        """Return the command line that runs a program inside the host. Raises LabError when the host is down."""
        pid = self.supervisor_pid
        if pid is None:
            raise LabError(f"{self.name} is down", hint="`novacron lab up` starts it")
        return ["nsenter", "--target", str(pid), "--mount", "--uts", "--net", "--root", "--", *argv]

    def kill_daemon(self) -> None:
        """Kill libvirtd as a crash does; guests go on."""
        pid = self.daemon_pid
        os.kill(pid, signal.SIGKILL)
        while pid in self.processes():
            time.sleep(0.005)

    @property
    def guest_records(self) -> Path:
        """Where libvirtd keeps its records of the running guests and the numbers of their processes, seen from this machine."""
        return Path(f"/proc/{self.supervisor_pid}/root/run/libvirt/qemu")

    def kill_guest(self, vm: str) -> None:
        """Kill the QEMU process of a guest, also one that libvirtd does not know."""
        os.kill(int((self.guest_records / f"{vm}.pid").read_text()), signal.SIGKILL)

    def restart_daemon(self) -> None:
        """Start libvirtd again and wait until it answers."""
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            pid = self.supervisor_pid
            if pid is None:
                raise LabError(f"{self.name} is down")
            os.kill(pid, signal.SIGUSR1)  # again is nothing, when it runs
            for _ in range(20):
                if self._answers():
                    return
                time.sleep(0.05)
            if time.monotonic() > deadline:
                self.wait_until_up()
                return

    def _answers(self) -> bool:
        """Whether libvirtd answers a call. A libvirtd that has just begun to listen may reset its first connections."""
        try:
            context = ssl.create_default_context(cafile=self.client / "cacert.pem")
            context.load_cert_chain(self.client / "clientcert.pem", self.client / "clientkey.pem")
            with (
                socket.create_connection((self.address, TLS_PORT), timeout=1) as plain,
                context.wrap_socket(plain, server_hostname=self.address) as connection,
            ):
                if connection.recv(1) != b"\1":  # libvirt's server says so that it accepts the client's certificate
                    return False
                connection.sendall(HELLO)
                return len(connection.recv(4)) == 4
        except OSError:
            return False

    @property
    def powered(self) -> bool:
        """Whether any process of the host runs, except for the supervisor, which keeps its namespaces."""
        return bool(self._guest_side())

    def power_off(self) -> None:
        """End all processes of the host at once, as a loss of power does. Its namespaces, its network and its files stay.

        Raises:
            LabError: a process does not end.
        """
        deadline = time.monotonic() + KILL_TIMEOUT
        while pids := self._guest_side():
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # it has ended
            if time.monotonic() > deadline:
                raise LabError(f"processes of {self.name} do not end: {', '.join(map(str, pids))}")
            time.sleep(0.01)

    def power_on(self) -> None:
        """Start the host's libvirtd again, if it does not run, and wait until it answers. A host without power boots anew."""
        if not self.powered:
            self._new_boot()
        self.restart_daemon()

    def _new_boot(self) -> Path:
        """Give the host a new number of its boot, and return the file with it."""
        file = Path(self.folder) / "boot-id"
        file.write_text(f"{uuid.uuid4()}\n")  # in place: the host has this file mounted
        return file

    def _guest_side(self) -> list[int]:
        supervisor = self.supervisor_pid
        return [pid for pid in self.processes() if pid != supervisor]

    def freeze_daemon(self) -> None:
        """Make libvirtd hang."""
        os.kill(self.daemon_pid, signal.SIGSTOP)

    def thaw_daemon(self) -> None:
        """Let a frozen libvirtd go on."""
        os.kill(self.daemon_pid, signal.SIGCONT)

    def cut_link(self) -> None:
        """Unplug the host's cable."""
        network.set_link(self.switch, self.port, up=False)

    def mend_link(self) -> None:
        """Plug the host's cable in again."""
        network.set_link(self.switch, self.port, up=True)

    def cut_management(self, way: network.Way) -> None:
        """Lose the packets between libvirtd and its clients. Guests and other networks go on."""
        network.cut_service(self.namespace, TLS_PORT, way)

    def mend_management(self) -> None:
        """End what `cut_management` did."""
        network.mend_service(self.namespace, TLS_PORT)

    def stop(self) -> None:
        """End everything in the host and remove its namespaces."""
        end_processes(self.namespace)
        network.remove_host(self.namespace)
        cgroups.remove(self._groups())


def end_processes(namespace: str) -> None:
    """Kill all processes in a network namespace, and wait until they have ended."""
    deadline = time.monotonic() + KILL_TIMEOUT
    while (pids := network.processes(namespace)) and time.monotonic() < deadline:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for pid in pids:
            _reap(pid)
        time.sleep(0.01)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass  # somebody else's child


__all__ = ["LabHost", "end_processes"]
