"""From the catalogue to a login, with a real Debian cloud image, cloud-init and sshd. The longest part is the emulated boot."""

import hashlib
import http.server
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(3600)]

CATALOGUE = """\
[debian-13]
title = "Debian, built for this test"
url = "{url}/{name}"
checksums = "{url}/SHA256SUMS"
user = "debian"
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def catalogue(sample, tmp_path, monkeypatch):
    """The catalogue's debian-13 is an image that is built here, with its checksums, from a web server on loopback."""
    if not sample(0, 1):
        pytest.skip("runs in the soak: the image is built from Debian's packages, and its emulated boot takes minutes")
    from novacron_lab.cloud_image import cloud_image

    folder, image = tmp_path / "www", cloud_image()
    folder.mkdir()
    shutil.copy(image, folder / "debian.qcow2")
    digest = hashlib.sha256((folder / "debian.qcow2").read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  debian.qcow2\n")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    entries = tmp_path / "images.toml"
    entries.write_text(CATALOGUE.format(url=f"http://127.0.0.1:{server.server_port}", name="debian.qcow2"))
    monkeypatch.setenv("NOVACRON_IMAGES", str(entries))
    yield
    server.shutdown()
    server.server_close()


@pytest.fixture
def nv(lab_hosts, tmp_path, monkeypatch):
    """Return a function that types a command, on the first host of the lab, and returns its output. HOME has a new SSH key."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / ".ssh" / "id_ed25519"], check=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("NOVACRON_CONNECT", lab_hosts[0].uri)
    monkeypatch.chdir(tmp_path)
    program = str(Path(sys.executable).with_name("nv"))

    def typed(line, code=0):
        done = subprocess.run([program, *shlex.split(line)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        print(f"$ nv {line}\n{done.stdout}{done.stderr}")
        assert done.returncode == code, (line, done.stdout, done.stderr)
        return done.stdout

    typed.program = program
    yield typed
    for vm in [vm for vm in lab_hosts[0].vms.list() if vm.name == "web1"]:
        vm.delete(force=True)
    for image in lab_hosts[0].images.list():
        lab_hosts[0].images.remove(image.name)


def test_from_the_catalogue_to_a_login_with_the_users_own_key(catalogue, nv, tmp_path, free_port):
    nv("image pull debian-13")
    assert "debian-13" in nv("image list")
    nv("up debian-13 web1 --memory 512MiB --size 3GiB --cmd 'touch /ran-at-the-first-boot' --wait 15m")
    nv("wait web1 cloud-init --timeout 20m")
    assert nv("vm ip web1 -4").strip()
    assert nv("ssh web1 -- whoami").strip() == "debian", "no user and no key was named"
    assert nv("ssh web1 -- hostname").strip() == "web1"
    assert "done" in nv("ssh web1 -- cloud-init status")
    nv("ssh web1 -- test -e /ran-at-the-first-boot")
    nv("ssh web1 -- false", code=1)
    nv("ssh web1 -- 'exit 7'", code=7)

    (tmp_path / "a.txt").write_text("from here\n")
    nv("cp a.txt web1:/tmp")
    assert nv("ssh web1 -- cat /tmp/a.txt") == "from here\n"
    nv("cp web1:/etc/hostname fetched")
    assert (tmp_path / "fetched").read_text() == "web1\n"

    (tmp_path / "ssh_config").write_text(nv("ssh-config web1"))
    plain = subprocess.run(["ssh", "-F", "ssh_config", "web1", "hostname"], capture_output=True, text=True)
    assert (plain.returncode, plain.stdout) == (0, "web1\n"), plain.stderr

    port = free_port()
    forwarded = subprocess.Popen(
        [nv.program, "ssh", "web1", "-L", f"{port}:22", "--", "echo ready; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert forwarded.stdout.readline() == b"ready\n"
        with socket.create_connection(("127.0.0.1", port)) as connection:
            assert connection.recv(4) == b"SSH-"
    finally:
        forwarded.stdin.close()
        forwarded.wait(30)
    nv("vm delete web1 -y --force")
