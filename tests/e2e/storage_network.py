"""A disk on a storage network that each host of a lab reaches by itself, and that can be cut for one host.

An NBD server runs on the lab's switch. Each host has a client of its own, which shows the disk as a file in the shared folder (FUSE).
Such a file has no locks between hosts, so nothing but NovaCron keeps a second copy of its VM from starting.
"""

import subprocess
import time
from pathlib import Path

from novacron_lab import network

PORT = 10809


class StorageNetwork:
    """The disk `file` of a lab."""

    def __init__(self, lab, name, size):
        self.lab, self.file = lab, lab.shared / name
        self._backing = lab.folder / f"{name}.nbd"
        for path, length in ((self._backing, size), (self.file, 0)):
            with open(path, "wb") as made:
                made.truncate(length)
        self._address = f"10.231.{lab.subnet}.2"
        words = ["qemu-storage-daemon", "--blockdev", f"driver=file,filename={self._backing},node-name=disk,cache.direct=on"]
        words += ["--nbd-server", f"addr.type=inet,addr.host={self._address},addr.port={PORT}"]
        words += ["--export", "type=nbd,id=disk,node-name=disk,name=disk,writable=on"]
        self._server = subprocess.Popen(["ip", "netns", "exec", lab.switch, *words])
        for host in lab.hosts:
            self.attach(host)

    def attach(self, host):
        """Let a host see the disk, unless it does. A host that had no power needs it."""
        assert self._server.poll() is None, "the NBD server has ended"
        if host.exec("qemu-img", "info", "--force-share", str(self.file)).returncode == 0 and self._size(host):
            return
        host.exec("umount", "-l", str(self.file))
        node = f"driver=nbd,server.type=inet,server.host={self._address},server.port={PORT},export=disk,reconnect-delay=3600"
        words = ["qemu-storage-daemon", "--daemonize", "--blockdev", f"{node},node-name=net,cache.direct=on"]
        words += ["--export", f"type=fuse,id=disk,node-name=net,mountpoint={self.file},writable=on"]
        deadline, before = time.monotonic() + 120, set(self._clients(host))
        while (done := host.exec("timeout", "--kill-after=1", "20", *words)).returncode:
            assert time.monotonic() < deadline, done.stderr
            for pid in (
                set(self._clients(host)) - before
            ):  # its background process may hang while it connects, and would never end
                host.exec("kill", "-9", str(pid))
            host.exec("umount", "-l", str(self.file))
            time.sleep(0.1)

    @staticmethod
    def _clients(host):
        """Return the pids of the clients of a host."""
        commands = {pid: Path(f"/proc/{pid}/cmdline") for pid in host.processes()}
        found = {pid: command.read_bytes() for pid, command in commands.items() if command.exists()}
        return [pid for pid, words in found.items() if words.startswith(b"qemu-storage-daemon")]

    def _size(self, host):
        done = host.exec("stat", "--format=%s", str(self.file))
        return done.returncode == 0 and int(done.stdout) > 0

    def cut(self, host, way):
        """Lose the packets between the storage and one host."""
        network.cut_service(host.namespace, PORT, way, client=True)

    def mend(self, host):
        """End what `cut` did."""
        network.mend_service(host.namespace, PORT)

    def close(self):
        """End the server, and the clients of all hosts."""
        for host in self.lab.hosts:
            self.mend(host)
            host.exec("umount", "-l", str(self.file))
            for pid in self._clients(host):
                host.exec("kill", "-9", str(pid))
        self._server.kill()
        self._server.wait()
        self.file.unlink(missing_ok=True)
        self._backing.unlink(missing_ok=True)
