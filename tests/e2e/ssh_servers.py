"""Real OpenSSH servers inside the hosts of a lab, with keys that are made for it."""

import subprocess
import time
from pathlib import Path


class SSHServers:
    """An SSH server in each host of a lab, at port 22 of its address. One key may log in as root.

    Args:
        lab: the lab.
        folder: where keys, settings and logs are kept. It is seen by all hosts.

    libvirt's `ssh` looks for host keys only where the user's settings say. So each host sees the folder in place of root's own settings,
    and whoever has `programs` first in PATH uses the real `ssh` with the settings of this lab.
    """

    def __init__(self, lab, folder):
        self._lab, self._folder, self._servers = lab, folder, {}
        folder.mkdir(mode=0o700)
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        key = (folder / "host.pub").read_text()
        (folder / "known_hosts").write_text("".join(f"{host.address} {key}" for host in lab.hosts))
        (folder / "config").write_text(
            f"UserKnownHostsFile {folder}/known_hosts\nIdentityFile {folder}/user\nIdentitiesOnly yes\n"
        )
        self.programs = folder / "programs"
        self.programs.mkdir()
        (self.programs / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {folder}/config "$@"\n')
        (self.programs / "ssh").chmod(0o755)
        Path("/root/.ssh").mkdir(mode=0o700, exist_ok=True)
        for host in lab.hosts:
            assert host.exec("mount", "--bind", str(folder), "/root/.ssh").returncode == 0
            (folder / f"{host.name}.conf").write_text(
                f"ListenAddress {host.address}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\n"
                "PidFile none\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nLogLevel VERBOSE\n"
            )
            self.start(host)

    def uri(self, host):
        """The URI with which NovaCron and the other hosts reach a host by SSH."""
        return f"qemu+ssh://root@{host.address}/system?keyfile={self._folder}/user&known_hosts={self._folder}/known_hosts"

    def start(self, host):
        """Start the server of a host, and wait until it listens. A host that had no power needs it."""
        assert host.exec("mkdir", "-p", "/run/sshd").returncode == 0
        log = self._folder / f"{host.name}.log"
        at = log.stat().st_size if log.exists() else 0
        words = host.enter("/usr/sbin/sshd", "-D", "-E", str(log), "-f", str(self._folder / f"{host.name}.conf"))
        self._servers[host.name] = server = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
        while not (log.exists() and b"Server listening" in log.read_bytes()[at:]):
            assert server.poll() is None, log.read_text() if log.exists() else "sshd has ended"
            time.sleep(0.02)

    def logins(self, host):
        """How many programs have logged in to a host by the key."""
        return (self._folder / f"{host.name}.log").read_text().count("Accepted publickey for root")

    def close(self):
        """End all servers, and give the hosts root's own settings again."""
        for server in self._servers.values():
            server.terminate()
            server.wait()
        for host in self._lab.hosts:
            host.exec("umount", "/root/.ssh")
