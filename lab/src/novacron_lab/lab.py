"""A lab: hosts, their network, shared storage and a guest; brought up and taken down as one."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from novacron.conversion import decode
from novacron.secrets import environment_without_secrets
from novacron_lab import network, requirements
from novacron_lab.certificates import make_authority, make_client
from novacron_lab.guest import Guest
from novacron_lab.host import LabHost, end_processes
from novacron_lab.running import LabError, ProcessIdentity, run

if TYPE_CHECKING:
    from novacron_lab.bmc import BMC

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Lab:
    """A running lab.

    Example:
        lab = Lab.up(hosts=2, name="lab")
        lab.host("lab-a").exec("virsh", "list")
        lab.down()
    """

    def __init__(self, name: str, subnet: int, hosts: tuple[LabHost, ...], owner: ProcessIdentity | None = None) -> None:
        self.name, self.subnet, self.hosts, self.owner = name, subnet, hosts, owner

    @property
    def folder(self) -> Path:
        """Where the lab keeps everything."""
        return lab_folder(self.name)

    @property
    def shared(self) -> Path:
        """The storage that all hosts share, at the same path; the pool `default` of each."""
        return self.folder / "shared"

    @property
    def lockspace(self) -> Path:
        """The folder with the leases of disks, on storage that all hosts share. Only a lab with leases has it."""
        return self.folder / "lockspace"

    @property
    def switch(self) -> str:
        """The network namespace with the bridge that joins the hosts."""
        return _switch(self.name)

    @property
    def link(self) -> str:
        """This machine's cable to the switch."""
        return f"nlab{self.subnet}"

    @property
    def guest(self) -> Guest:
        """The tiny guest; its files are in `shared`."""
        return Guest(self.shared)

    @classmethod
    def up(cls, *, hosts: int = 2, name: str = "lab", temporary: bool = False, leases: bool = False) -> Lab:
        """Bring a lab up. If a lab of that name is complete, a libvirtd of it that died is started; otherwise the lab is made again.

        First removes temporary labs whose owner has ended without taking them down.

        Args:
            hosts: how many hosts, 1 to 26.
            name: the name of the lab; its hosts are NAME-a, NAME-b, ...
            temporary: the lab belongs to this process. When the process is killed, the next `up` of any lab, or
                `novacron lab down --all`, removes it.
            leases: each host has virtlockd, with leases that all hosts share. A lab that is up gets it too.

        Raises:
            LabError: no root, a missing package, or a host that does not start; nothing is left then.
        """
        requirements.check()
        cls.remove_abandoned()
        if not 1 <= hosts <= len(LETTERS):
            raise LabError(f"a lab has 1 to {len(LETTERS)} hosts, not {hosts}")
        if not (name.isidentifier() or name.replace("-", "").isalnum()) or len(name) > 32:
            raise LabError(f"not a lab's name: {name!r}", hint="letters, digits and - , at most 32")
        with _alone(name):
            there = cls._read(name)
            if there and len(there.hosts) == hosts and all(h.running for h in there.hosts):
                for host in there.hosts:
                    host.restart_daemon()  # nothing, where it answers
                    if leases:
                        host.lease_disks(there.lockspace)
                return there
            if there or lab_folder(name).exists():
                (there or cls(name, -1, ()))._remove()
            subnet = network.free_subnet()
            planned = tuple(_plan(name, subnet, number) for number in range(hosts))
            lab = cls(name, subnet, planned, ProcessIdentity.of() if temporary else None)
            try:
                lab._start(leases)
            except BaseException:
                lab._remove()
                raise
            return lab

    @classmethod
    def attach(cls, name: str = "lab") -> Lab:
        """Return the lab of that name. Raises LabError when there is none."""
        lab = cls._read(name)
        if lab is None:
            raise LabError(f"there is no lab named {name!r}", hint="`novacron lab up` makes one")
        return lab

    @classmethod
    def all(cls) -> list[Lab]:
        """Return all labs of this machine, sorted by name."""
        parent = _parent()
        names = sorted(entry.name for entry in parent.iterdir() if entry.is_dir()) if parent.is_dir() else []
        return [cls._read(name) or cls(name, -1, ()) for name in names]

    @classmethod
    def remove_abandoned(cls) -> list[str]:
        """Remove temporary labs whose owner has ended; return their names.

        Includes labs whose start was interrupted before they said what they consist of.
        """
        return [lab.name for lab in cls.all() if lab.abandoned and lab._remove_if_abandoned()]

    @property
    def abandoned(self) -> bool:
        """Whether the lab belongs to a process that has ended."""
        return not self.hosts or (self.owner is not None and not self.owner.alive)

    @property
    def in_use(self) -> bool:
        """Whether the lab belongs to another process that runs."""
        return self.owner is not None and self.owner.alive and self.owner != ProcessIdentity.of()

    def host(self, name: str) -> LabHost:
        """Return a host by name. Raises LabError."""
        found = next((h for h in self.hosts if h.name == name), None)
        if found is None:
            raise LabError(f"no host named {name!r} in the lab", hint=f"there are {', '.join(h.name for h in self.hosts)}")
        return found

    def status(self) -> list[dict[str, object]]:
        """Return name, URI and status of each host: "up", "down", or "silent" if it runs and its libvirtd does not answer."""
        return [{"name": h.name, "uri": h.uri, "status": h.status} for h in self.hosts]

    def register(self) -> None:
        """Make the hosts known to the fleet by their names, in place of older ones of the same names."""
        from novacron import fleet

        for host in self.hosts:
            fleet().add(host.name, host.uri, replace=True)

    def unregister(self) -> None:
        """Let the fleet forget the hosts."""
        from novacron import fleet
        from novacron.errors import HostNotFoundError

        for host in self.hosts:
            try:
                fleet().remove(host.name)
            except HostNotFoundError:
                pass  # somebody else removed it

    def start_bmc(self) -> BMC:
        """Start the Redfish server with a system for each host, if it does not run. It ends with the lab.

        Raises:
            LabError: sushy-tools is not installed, or it does not start.
        """
        from novacron_lab.bmc import start

        return start(self)

    def down(self) -> None:
        """End the hosts with all their guests and remove everything that the lab made."""
        with _alone(self.name):
            self._remove()

    def _remove_if_abandoned(self) -> bool:
        with _alone(self.name):
            there = self._read(self.name) or Lab(self.name, -1, ())  # another process may have been quicker
            abandoned = self.folder.exists() and there.abandoned
            if abandoned:
                there._remove()
            return abandoned

    def _start(self, leases: bool) -> None:
        self.folder.mkdir(mode=0o700)
        self.shared.mkdir()
        hosts_file = self.folder / "hosts"
        hosts_file.write_text("127.0.0.1 localhost\n" + "".join(f"{h.address} {h.name}\n" for h in self.hosts))
        self._write()
        make_authority(self.folder / "authority")
        make_client(self.folder / "authority", self.folder / "client")
        network.make_switch(self.switch, self.link, self.subnet)
        with ThreadPoolExecutor(len(self.hosts) + 2) as pool:
            guest = pool.submit(self.guest.install)
            dhcp = pool.submit(self._start_dhcp)
            lockspace = self.lockspace if leases else None
            for started in [pool.submit(self._start_host, host, hosts_file, lockspace) for host in self.hosts]:
                started.result()
            guest.result()
            dhcp.result()

    def _start_host(self, host: LabHost, hosts_file: Path, lockspace: Path | None) -> None:
        peers = [h.address for h in self.hosts]
        host.start(hosts_file=hosts_file, authority=self.folder / "authority", peers=peers, lockspace=lockspace)
        host.wait_until_up()
        pool = f"<pool type='dir'><name>default</name><target><path>{self.shared}</path></target></pool>"
        net = f"<network><name>default</name><forward mode='bridge'/><bridge name='{network.GUEST_BRIDGE}'/></network>"
        for kind, definition in (("pool", pool), ("net", net)):
            file = Path(host.folder) / f"{kind}.xml"
            file.write_text(definition)
            run("virsh", "-c", host.uri, f"{kind}-define", file)
            run("virsh", "-c", host.uri, f"{kind}-start", "default")
            run("virsh", "-c", host.uri, f"{kind}-autostart", "default")
        run("virsh", "-c", host.uri, "domcapabilities", "--virttype", "qemu")  # the first probe of QEMU takes seconds

    def _start_dhcp(self) -> None:
        log = self.folder / "dnsmasq.log"
        subprocess.Popen(
            [
                "ip",
                "netns",
                "exec",
                self.switch,
                "dnsmasq",
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                f"--interface={network.SWITCH_BRIDGE}",
                "--bind-interfaces",
                "--except-interface=lo",
                "--port=0",
                f"--dhcp-range=10.231.{self.subnet}.100,10.231.{self.subnet}.250,255.255.255.0,1h",
                f"--dhcp-leasefile={self.folder / 'leases'}",
                "--pid-file=",
                "--dhcp-authoritative",
                "--no-ping",
                f"--log-facility={log}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env=environment_without_secrets(),
        )

    def _remove(self) -> None:
        with ThreadPoolExecutor(len(self.hosts) or 1) as pool:
            list(pool.map(LabHost.stop, self.hosts))
        end_processes(self.switch)
        network.remove_switch(self.switch, self.link)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self) -> None:
        hosts = [{f: getattr(h, f) for f in h.__struct_fields__} for h in self.hosts]
        (self.folder / "lab.json").write_text(json.dumps({"subnet": self.subnet, "hosts": hosts, "owner": str(self.owner or "")}))

    @classmethod
    def _read(cls, name: str) -> Lab | None:
        try:
            stored = read_stored((lab_folder(name) / "lab.json").read_bytes())
        except OSError:
            return None
        if stored is None:
            return None
        return cls(name, stored.subnet, stored.hosts, ProcessIdentity.parse(stored.owner) if stored.owner else None)


class StoredLab(msgspec.Struct, frozen=True):
    """What `lab.json` has of a lab."""

    subnet: int
    hosts: tuple[LabHost, ...]
    owner: str = ""


def read_stored(content: bytes) -> StoredLab | None:
    """Return what `lab.json` says, None if it is damaged; `novacron lab down` then removes what is left of the lab."""
    try:
        stored = decode(content, StoredLab)
        if stored.owner:
            ProcessIdentity.parse(stored.owner)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return stored


def lab_folder(name: str) -> Path:
    """Return where a lab keeps everything: below `$NOVACRON_LAB_DIR`, otherwise /var/lib/novacron-lab."""
    return _parent() / name


def _parent() -> Path:
    return Path(os.environ.get("NOVACRON_LAB_DIR", "/var/lib/novacron-lab"))


def _switch(name: str) -> str:
    return f"novacron-{name}-net"


def _plan(name: str, subnet: int, number: int) -> LabHost:
    letter = LETTERS[number]
    return LabHost(
        name=f"{name}-{letter}",
        address=f"10.231.{subnet}.{11 + number}",
        namespace=f"novacron-{name}-{letter}",
        switch=_switch(name),
        port=f"port-{letter}",
        folder=str(lab_folder(name) / f"host-{letter}"),
    )


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Let one process at a time change labs: they choose addresses."""
    parent = lab_folder(name).parent
    parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    status = parent.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise LabError(
            f"other users can write to {parent}", hint="let NOVACRON_LAB_DIR name a folder that only root can write to"
        )
    with (parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


__all__ = ["Lab", "lab_folder"]
