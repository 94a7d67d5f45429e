"""The clock of a host that is reached by SSH, against a real OpenSSH server whose `date` is wrong."""

import os
import pwd
import shutil
import subprocess
import time

import pytest

from novacron_kvm.inventory.clock import HostClock

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])


@pytest.fixture
def wrong_host(tmp_path, free_port):
    """The URI of a host whose clock is 100 s ahead, and its SSH server."""
    if SSHD is None:
        pytest.skip("needs openssh-server")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    port = free_port()
    host_key = (tmp_path / "host.pub").read_text()
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    (tmp_path / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/user.pub\nStrictModes no\n"
        f"UsePAM no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication no\nLogLevel VERBOSE\n"
        'ForceCommand test "$SSH_ORIGINAL_COMMAND" = "date +%s.%N" && date -d "100 seconds" +%s.%N\n'
    )
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(tmp_path / "config")], stderr=subprocess.PIPE, text=True)
    assert any("listening" in line for line in process.stderr)
    user = pwd.getpwuid(os.geteuid()).pw_name
    yield f"qemu+ssh://{user}@127.0.0.1:{port}/system?keyfile={tmp_path}/user&known_hosts={tmp_path}/known_hosts", process
    process.terminate()
    process.stderr.close()
    process.wait()


def test_a_host_is_asked_for_its_time_by_ssh_and_not_each_time(wrong_host):
    uri, server = wrong_host
    clock = HostClock(uri)
    assert abs(clock.now() - time.time() - 100) < 60  # far from the clock of this machine, however slow it is
    server.terminate()
    server.wait()
    assert abs(clock.now() - time.time() - 100) < 60


def test_a_host_that_can_not_be_asked_tells_no_time(wrong_host):
    uri, server = wrong_host
    server.terminate()
    server.wait()
    assert HostClock(uri).now() is None
    assert HostClock("qemu+tls://kvm1/system").now() is None


def test_the_clock_of_this_machine_is_that_of_its_own_host():
    assert abs(HostClock("qemu:///system").now() - time.time()) < 60
