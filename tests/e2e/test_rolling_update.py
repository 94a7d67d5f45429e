"""A rolling update of real hosts by real SSH: each host is emptied, runs the command, loses its power, boots, and gets its VM back."""

import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

from novacron import Site, errors

sys.path.insert(0, str(Path(__file__).parent))
from ssh_servers import SSHServers
from test_failover import Copies

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not shutil.which("sshd", path="/usr/sbin:/usr/local/sbin"), reason="needs openssh-server"),
]
UPDATE = """#!/bin/sh
echo "$(hostname) $(id -un) $(virsh list --name | grep -c .)" >>{folder}/log
touch {folder}/reboot-$(hostname)
sleep 3600
"""
"""What is run on each host. It asks for a restart, and its connection breaks when the host has no power."""


class PowerButton(threading.Thread):
    """Restarts each host that asks for it, with everything in it."""

    def __init__(self, lab, servers, folder):
        super().__init__(daemon=True)
        self._lab, self._servers, self._folder, self.stop = lab, servers, folder, threading.Event()
        self.restarted = []

    def run(self):
        while not self.stop.wait(0.05):
            for host in self._lab.hosts:
                asked = self._folder / f"reboot-{host.name}"
                if asked.exists():
                    asked.unlink()
                    host.power_off()
                    assert not host.powered
                    self.restarted.append(host.name)
                    host.power_on()
                    self._servers.start(host)


@pytest.fixture
def servers(lab, monkeypatch, sample):
    if not sample(False, True):
        pytest.skip("runs in the soak: two hosts boot; core/tests/fleets/test_rolling_update.py restarts simulated hosts")
    made = SSHServers(lab, lab.folder / "ssh")
    monkeypatch.setenv("PATH", f"{made.programs}{os.pathsep}{os.environ['PATH']}")
    yield made
    made.close()
    shutil.rmtree(lab.folder / "ssh")


def boot_of(host):
    return host.exec("cat", "/proc/sys/kernel/random/boot_id").stdout


def test_hosts_are_updated_by_ssh_one_after_the_other_and_restart(lab, lab_hosts, servers, boot, tmp_path):
    vm = boot(lab_hosts[0], "updated", ticks=0, kernel=None)
    script = lab.folder / "ssh" / "update"
    script.write_text(UPDATE.format(folder=script.parent))
    script.chmod(0o700)
    button = PowerButton(lab, servers, script.parent)
    before = [boot_of(host) for host in lab.hosts]
    with Site(tmp_path / "state") as site, Copies(vm.id) as copies:
        for host in lab.hosts:
            site.fleet.add(host.name, servers.uri(host))
        site.fleet.nodes.refresh()
        for host in lab.hosts:
            site.fleet.nodes.set(host.name, group="lab", memory_ratio=4, vcpus_ratio=64)
        logins = [servers.logins(host) for host in lab.hosts]
        update = site.fleet.maintenance.rolling_update
        with pytest.raises(errors.WorkflowError, match=f"ended with 1 for {lab.hosts[0].name}"):
            update("lab", command=["false"])
        button.start()
        try:
            site.fleet.maintenance.leave(lab.hosts[0].name)
            done = update("lab", command=[str(script)], reboots=True)
        finally:
            button.stop.set()
            button.join()
        names = [host.name for host in lab.hosts]
        assert [node.stage for node in done.nodes] == ["done", "done"]
        assert (script.parent / "log").read_text().splitlines() == [f"{name} root 0" for name in names]
        assert button.restarted == names
        after = [boot_of(host) for host in lab.hosts]
        assert len({*before, *after}) == 4
        assert all(servers.logins(host) > number for host, number in zip(lab.hosts, logins, strict=True))
        assert {node.status for node in site.fleet.nodes} == {"up"}
        found = site.fleet.vms[vm.id]
        assert (found.host.name, found.status) == (names[0], "running")
        assert len(copies.now()) == 1
