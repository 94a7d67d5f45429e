"""A lab's libvirtd obeys root alone: other users of this machine and the lab's own guests are attackers here.

Calling libvirtd means being root, because a definition names the program that it starts (`<emulator>`).
"""

import json
import os
import subprocess
import uuid
from pathlib import Path

import pytest

from novacron.testing.marked import mark
from novacron_lab import network
from novacron_lab.certificates import make_authority, make_client
from novacron_lab.running import run

pytestmark = pytest.mark.lab

PYTHON = "/usr/bin/python3"
"""The system's, which every user can run."""
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
ATTACK = """
import json, socket, ssl, struct, sys
hello = struct.pack(">IIiiiIi", 28, 0x20008086, 1, 66, 0, 1, 0)
address, credentials = sys.argv[1:]
answers = {}

def attempt(port, context):
    try:
        with socket.create_connection((address, port), timeout=5) as connection:
            with context.wrap_socket(connection) if context else connection as stream:
                if context and stream.recv(1) != b"\\1":
                    return "rejected"
                stream.sendall(hello)
                return "answered" if len(stream.recv(4)) == 4 else "rejected"
    except OSError:
        return "rejected"

plain_tls = ssl._create_unverified_context()
with_certificate = ssl._create_unverified_context()
try:
    with_certificate.load_cert_chain(credentials + "/clientcert.pem", credentials + "/clientkey.pem")
except OSError:
    with_certificate = None
for port in (16509, 16514):
    answers[f"{port} plain"] = attempt(port, None)
    answers[f"{port} TLS without a certificate"] = attempt(port, plain_tls)
    if with_certificate:
        answers[f"{port} TLS with a certificate"] = attempt(port, with_certificate)
print(json.dumps(answers))
"""
"""Makes a harmless call of libvirt's protocol in every way there is; prints which ways were answered."""


def attack(address, credentials, *prefix):
    """Return how each way to call a libvirtd ended: "answered" or "rejected"."""
    words = [*prefix, PYTHON, "-I", "-c", ATTACK, address, str(credentials)]
    return json.loads(subprocess.run(words, capture_output=True, check=True, text=True, timeout=60, cwd="/").stdout)


@pytest.fixture
def forged(tmp_path):
    """A certificate of an attacker's own authority, readable by everybody."""
    make_authority(tmp_path / "authority")
    make_client(tmp_path / "authority", tmp_path / "client")
    for path in (*tmp_path.parents, tmp_path):
        if path.stat().st_uid == os.getuid() and path.name.startswith(("pytest", "popen", tmp_path.name)):
            path.chmod(0o755)
    (tmp_path / "client").chmod(0o755)
    for file in (tmp_path / "client").iterdir():
        file.chmod(0o644)
    return tmp_path / "client"


@pytest.fixture
def beside_the_guests(lab):
    """A network namespace plugged into the lab's switch, where guests are; yields the words that run a program in it."""
    name = f"novacron-attacker-{uuid.uuid4().hex[:6]}"
    run("ip", "netns", "add", name)
    try:
        port = f"attack-{uuid.uuid4().hex[:4]}"
        run("ip", "-n", lab.switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "-n", lab.switch, "link", "set", port, "master", network.SWITCH_BRIDGE, "up")
        run("ip", "-n", name, "address", "add", f"10.231.{lab.subnet}.99/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        yield ("ip", "netns", "exec", name)
    finally:
        run("ip", "netns", "delete", name)


def test_root_with_the_labs_certificate_is_answered_over_tls_only(lab):
    """The attack itself works: with what only root can read it gets its answer."""
    answers = attack(lab.hosts[0].address, lab.hosts[0].client)
    assert [way for way, outcome in answers.items() if outcome == "answered"] == ["16514 TLS with a certificate"]


def test_another_user_gets_no_answer_from_libvirtd(lab, forged):
    for credentials in (lab.hosts[0].client, forged):
        answers = attack(lab.hosts[0].address, credentials, *NOBODY)
        assert set(answers.values()) == {"rejected"}, answers
    assert "16514 TLS with a certificate" in attack(lab.hosts[0].address, forged, *NOBODY)


def test_another_user_can_not_use_the_uri_of_a_host(lab):
    host = lab.hosts[0]
    socket = f"/proc/{host.daemon_pid}/root/run/libvirt/libvirt-sock"
    for uri in (
        host.uri,
        host.uri.partition("?")[0],
        f"qemu+tcp://{host.address}/system",
        f"qemu+unix:///system?socket={socket}",
    ):
        done = subprocess.run(
            [*NOBODY, "virsh", "-c", uri, "hostname"], capture_output=True, text=True, timeout=60, cwd="/", env=os.environ
        )
        assert done.returncode, f"{uri}: {done.stdout}"
    assert run("virsh", "-c", host.uri, "hostname").stdout.strip() == host.name


def test_another_user_reads_nothing_of_a_lab(lab):
    """Neither certificates nor disks, memory images, consoles or definitions."""
    done = subprocess.run([*NOBODY, "find", str(lab.folder)], capture_output=True, text=True, cwd="/")
    assert done.stdout.split() == [str(lab.folder)]
    for private in ("client", "authority", "host-a/etc-libvirt/pki"):
        assert Path(lab.folder, private).stat().st_mode & 0o077 == 0, private


def test_no_process_of_a_lab_keeps_the_secrets_of_whoever_started_it(lab, monkeypatch):
    """They run for days. The fixture `lab` starts them with a secret in the environment."""
    monkeypatch.setenv("NOVACRON_SECRET_OF_A_LAB", mark("environment", "lab"))
    lab.start_bmc()
    found = {pid for namespace in (lab.switch, *(host.namespace for host in lab.hosts)) for pid in network.processes(namespace)}
    environments = {pid: Path(f"/proc/{pid}/environ").read_bytes() for pid in found}
    assert len(environments) > 4
    assert [pid for pid, content in environments.items() if mark("environment", "lab").encode() in content] == []


def test_a_guest_s_neighbour_on_the_wire_gets_no_answer_from_libvirtd(lab, forged, beside_the_guests):
    for host in lab.hosts:
        assert "answered" in attack(host.address, host.client, *beside_the_guests).values()  # the wire carries the attack
        answers = attack(host.address, forged, *beside_the_guests)
        assert set(answers.values()) == {"rejected"}, answers


LISTEN = """
import selectors, socket
listening = selectors.DefaultSelector()
for port in (49200, 49300):
    made = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    listening.register(made, selectors.EVENT_READ, port)
print("up", flush=True)
while True:
    for key, _ in listening.select():
        connection, peer = key.fileobj.accept()
        connection.close()
        if key.data == 49200:
            print(peer[0].removeprefix("::ffff:"), flush=True)
"""
"""Stands in for a QEMU that waits for a VM at port 49200, on IPv4 and IPv6 as QEMU does. Port 49300 is open to everybody."""
CONNECT = """
import socket, sys, time
address, deadline = sys.argv[1], time.monotonic() + 20
while True:  # an IPv6 address is of no use in its first second
    try:
        socket.create_connection((address, 49300), timeout=5).close()
        break
    except OSError:
        if time.monotonic() > deadline:
            raise
try:
    socket.create_connection((address, 49200), timeout=10).close()
    print("connected")
except ConnectionRefusedError:
    print("refused")
"""


def test_only_hosts_reach_the_ports_that_accept_migrations(lab, beside_the_guests):
    """QEMU listens there without authentication while a VM migrates. Everybody on the wire has an IPv6 address, too."""
    source, destination = lab.hosts
    listening = subprocess.Popen(destination.enter(PYTHON, "-c", LISTEN), stdout=subprocess.PIPE, text=True)
    found = json.loads(run("ip", "-n", destination.namespace, "-j", "-6", "address", "show", "dev", network.GUEST_BRIDGE).stdout)
    link_local = found[0]["addr_info"][0]["local"]

    def connect(*enter, to):
        return run(*enter, PYTHON, "-c", CONNECT, to, cwd=Path("/")).stdout.strip()

    try:
        assert listening.stdout.readline() == "up\n"
        for attacker, link in (((), lab.link), (NOBODY, lab.link), (beside_the_guests, "eth0")):
            assert connect(*attacker, to=destination.address) == "refused", attacker
            assert connect(*attacker, to=f"{link_local}%{link}") == "refused", attacker
        assert connect(*source.enter(), to=destination.address) == "connected"
        assert listening.stdout.readline().strip() == source.address
    finally:
        listening.kill()
        listening.wait()
        listening.stdout.close()


REDFISH = """
import base64, json, socket, ssl, sys, urllib.error, urllib.request
url, system, address = sys.argv[1:]
password = sys.stdin.read()
silent = [socket.create_connection((address, 8443), timeout=10) for _ in range(3)]
context = ssl._create_unverified_context()

def status(path, user, body=None):
    headers = {"Content-Type": "application/json"}
    if user is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    request = urllib.request.Request(url + path, body, headers)
    try:
        return urllib.request.urlopen(request, timeout=20, context=context).status
    except urllib.error.HTTPError as error:
        return error.code

reset, off = f"/redfish/v1/Systems/{system}/Actions/ComputerSystem.Reset", b'{"ResetType": "ForceOff"}'
media = "/redfish/v1/Managers/x/VirtualMedia/Cd/Actions/VirtualMedia.InsertMedia"
refused = [
    status(path, user, body)
    for user in (None, "", ":", "admin:", "admin:admin", "admin:password", "root:", "admin\\n:x", "x" * 10000)
    for path, body in ((reset, off), ("/redfish/v1/Systems", None), (media, b'{"Image": "http://127.0.0.1/x"}'))
]
print(json.dumps([sorted(set(refused)), status("/redfish/v1/Systems", f"admin:{password}")]))
"""
"""Connects three times without a word, then asks a Redfish server as nobody, with wrong passwords, and with the right one."""


def test_nobody_switches_a_host_off_without_the_password_of_its_bmc(lab, beside_the_guests):
    from novacron_lab.bmc import system_of

    bmc, host = lab.start_bmc(), lab.hosts[0]
    address = bmc.url.partition("//")[2].partition(":")[0]
    attack = (PYTHON, "-I", "-c", REDFISH, bmc.url, system_of(host.name), address)
    answers = json.loads(run(*beside_the_guests, *attack, cwd=Path("/"), stdin=bmc.password.encode()).stdout)
    assert min(answers[0]) >= 400, answers
    assert 401 in answers[0], answers
    assert answers[1] == 200, answers
    assert host.powered
    done = subprocess.run([*NOBODY, "cat", f"{bmc.folder}/password"], capture_output=True, text=True, cwd="/")
    assert (done.returncode != 0, done.stdout) == (True, "")


def test_a_guest_gets_no_answer_from_the_libvirtd_it_runs_on(lab, lab_hosts, boot, wait_for_agent):
    vm = boot(lab_hosts[0], "attacker", ticks=0, nics=[{"network": "default"}])
    vm.console.wait_for("NOVACRON ADDRESS")
    wait_for_agent(vm)
    hello = r"printf '\0\0\0\034\040\0\200\206\0\0\0\1\0\0\0\102\0\0\0\0\0\0\0\1\0\0\0\0'"
    address = lab.hosts[0].address
    calls = "".join(f"({hello}; sleep 1) | nc -w 2 {address} {port} | wc -c & " for port in (16509, 16514))
    said = vm.guest.exec("/bin/sh", "-c", f"ping -c 1 -W 5 {address} >/dev/null && echo reached; {calls} wait")
    assert said.stdout.decode().split() == ["reached", "0", "0"]
