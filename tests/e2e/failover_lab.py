"""What tests of failover on real hosts share: a fleet of the lab's hosts with BMCs, and a count of the QEMU processes of a VM."""

import os
import threading

KERNEL_THREAD = 0x00200000
"""The flag PF_KTHREAD of Linux."""


def with_bmcs(fleet, lab, bmc, **settings):
    """Put the hosts of a lab into a fleet, in one group with failover, each with its BMC. The password is that of the fixture `lab_bmc`."""
    for host in lab.hosts:
        fleet.add(host.name, host.uri)
    fleet.nodes.refresh()
    for host in lab.hosts:
        fleet.nodes.set(host.name, group="lab", memory_ratio=4, vcpus_ratio=64)
        fleet.fencing.set(host.name, "redfish", **bmc.options(host.name, "lab-bmc"))
    fleet.groups.set("lab", **({"failover": "on", "failover_grace": 0, "shared_pools": ["default"]} | settings))


class Copies:
    """Counts the QEMU processes of a VM every 50 ms, in a thread.

    What a process is, is read when it is new. A child of libvirtd is read again each time: it becomes QEMU later. So is one without a
    command line, which is just becoming another program.
    """

    def __init__(self, vm_id):
        self._wanted, self._stop, self.most = vm_id.encode(), threading.Event(), 0
        self._others, self._found = set(), []
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)

    def _watch(self):
        while not self._stop.wait(0.05):
            self._look()
            self.most = max(self.most, len(self._found))

    def now(self):
        """Return the pids now."""
        seen = Copies(self._wanted.decode())
        seen._look()
        return [int(pid) for pid in seen._found]

    def _look(self):
        present = {name for name in os.listdir("/proc") if name.isdigit()}
        self._others &= present
        found = []
        for pid in present - self._others:
            words = _words(pid)
            program = words[0].rpartition(b"/")[2]
            if program.startswith(b"qemu-system") and self._wanted in words:
                found.append(pid)
            elif program != b"libvirtd" and (program or _of_the_kernel(pid)):
                self._others.add(pid)
        self._found = found


def _of_the_kernel(pid):
    """Whether a process is a thread of the kernel, which has no command line."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return bool(int(file.read().rpartition(")")[2].split()[6]) & KERNEL_THREAD)
    except OSError:
        return False


def _words(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return [b""]  # it has ended
