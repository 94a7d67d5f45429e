"""The first process of a lab host, run as a program inside its namespaces: private folders, libvirtd, virtlockd, and reaping.

    python supervisor.py CONFIG.json

It adopts orphans (QEMU, when libvirtd dies) and reaps them at once: where nobody does, stopping a VM takes libvirtd 1.6 s instead of
0.2 s. SIGUSR1 starts a libvirtd that has ended, and a virtlockd if the host is configured to have one. It imports nothing of NovaCron, so
that it starts in 20 ms.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
PR_SET_PDEATHSIG = 1
CLONE_NEWCGROUP = 0x02000000
CGROUPS = "/sys/fs/cgroup"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
"""Where Linux tells one start of the machine from another. The kernel of all hosts is one, so each host gets a file of its own there."""
LEASES = "/etc/libvirt/virtlockd.conf"
"""The settings of virtlockd. A host without this file has no virtlockd."""
LEASES_SOCKET = "/run/libvirt/virtlockd-sock"
LEASES_TIMEOUT = 20.0
"""Seconds that virtlockd may take until it listens."""


def mount(source: str, target: str, *options: str) -> None:
    """Mount into this process's own mount namespace."""
    subprocess.run(["mount", *options, source, target], check=True)


def show_cgroups(libc: ctypes.CDLL, groups: "dict[str, str]") -> None:
    """Make this process's group of each controller the root of all that it and its children see."""
    if not groups or libc.unshare(CLONE_NEWCGROUP):
        return
    mount("tmpfs", CGROUPS, "-t", "tmpfs")
    for controller in groups:
        os.mkdir(os.path.join(CGROUPS, controller))
        mount("cgroup", os.path.join(CGROUPS, controller), "-t", "cgroup", "-o", controller)


def main(file: str) -> None:
    """Set the host up and supervise it until SIGTERM."""
    with open(file) as stream:
        config = json.load(stream)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    show_cgroups(libc, config["cgroups"])
    mount("tmpfs", "/run", "-t", "tmpfs", "-o", "mode=755")
    for private, target in config["folders"].items():
        os.makedirs(target, exist_ok=True)
        mount(private, target, "--bind")
    mount(config["hosts_file"], "/etc/hosts", "--bind")
    mount(config["boot_id"], BOOT_ID, "--bind")
    subprocess.run(["hostname", config["name"]], check=True)
    for folder in ("/run/libvirt", "/run/lock"):
        os.makedirs(folder, exist_ok=True)

    pids: dict[str, int] = {}

    def run(*words: str) -> bool:
        """Start a daemon, unless it runs. Returns whether it was started."""
        name = words[0]
        if name in pids and _alive(pids[name]):
            return False
        for stale in (f"/run/{name}.pid", LEASES_SOCKET if name == "virtlockd" else ""):
            if os.path.exists(stale):
                os.unlink(stale)
        with open(config["log"], "ab") as log:
            pids[name] = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "LANG": "C", "LC_ALL": "C"},
            ).pid
        return True

    def start(*_: object) -> None:
        if os.path.exists(LEASES) and run("virtlockd", "-f", LEASES):
            deadline = time.monotonic() + LEASES_TIMEOUT
            while not os.path.exists(LEASES_SOCKET) and _alive(pids["virtlockd"]) and time.monotonic() < deadline:
                time.sleep(0.01)
        if run("libvirtd", "-l"):
            with open(config["daemon_pid"], "w") as out:
                out.write(str(pids["libvirtd"]))

    def end(*_: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGUSR1, start)
    signal.signal(signal.SIGTERM, end)
    start()
    while True:
        try:
            pid, _ = os.wait()
        except ChildProcessError:
            signal.pause()
            continue
        for name in [name for name, its in pids.items() if its == pid]:
            del pids[name]


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    main(sys.argv[1])
