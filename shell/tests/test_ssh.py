"""`novacron ssh`, `cp` and `ssh-config`, with a real OpenSSH server on the loopback interface."""

import itertools
import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

import novacron as api
from novacron.errors import HostConnectionError, InvalidSpecError, NotFoundError
from novacron.ssh.commands import forward, scp_argv, ssh_argv
from novacron.ssh.config import host_entry
from novacron.ssh.known_hosts import KnownHosts
from novacron.ssh.target import JumpHost, SSHTarget, jump_of, parse_jump
from novacron.state import StateDirectory
from novacron_shell.cli import cli
from novacron_shell.first_boot import own_identity

WORLDS = itertools.count()
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    name = f"ssh-{next(WORLDS)}"
    return f"sim://{name}?vms=3"


@pytest.fixture
def vm(world):
    with api.connect(world) as host:
        yield host.vms["vm-00001"]


@pytest.fixture
def novacron(world):
    def run(*arguments, code=0):
        done = CliRunner().invoke(cli, ["-c", world, *map(str, arguments)])
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


TARGET = SSHTarget(name="web1", id="6b1f", address="192.0.2.5", known_hosts=Path("/state/a b/known_hosts"), user="ann")


def test_a_command_of_several_words_reaches_the_guest_word_for_word():
    argv = ssh_argv(TARGET, ["touch", "a b", "$(reboot)", "-x"])
    assert argv[-6:] == ["--", "192.0.2.5", "touch", "'a b'", "'$(reboot)'", "-x"]
    assert ssh_argv(TARGET, ["ls | wc -l"])[-1] == "ls | wc -l"
    assert 'UserKnownHostsFile="/state/a b/known_hosts"' in argv
    assert "HostKeyAlias=novacron-6b1f" in argv
    assert argv[argv.index("-l") + 1] == "ann"


def test_files_are_never_read_as_options_or_as_other_hosts():
    argv = scp_argv(TARGET, ["-oProxyCommand=x", "a:b", "/x:y"], "/tmp/", upload=True)
    assert argv[argv.index("--") :] == ["--", "./-oProxyCommand=x", "./a:b", "/x:y", "ann@192.0.2.5:/tmp/"]
    argv = scp_argv(TARGET, ["/etc/motd"], "-d", upload=False, recursive=True)
    assert argv[argv.index("--") :] == ["--", "ann@192.0.2.5:/etc/motd", "./-d"]
    assert "-r" in argv


@pytest.mark.parametrize("text", ["", "x", "0", "65536", "1:2:3:4:5", "80:-oX:80", "80:a b:80", "80:[::1:80", "80:$(x):80", "٣"])
def test_invalid_ports_to_forward_are_refused(text):
    with pytest.raises(InvalidSpecError):
        forward(text)


@pytest.mark.parametrize("text", ["-oProxyCommand=x", "-x@host", "host:0", "host:x", "a b", "x@-y", "::1", "", "user@"])
def test_invalid_jump_hosts_are_refused(text):
    with pytest.raises(InvalidSpecError):
        parse_jump(text)


def test_a_host_that_is_reached_by_ssh_is_the_jump_host_of_its_vms():
    assert str(jump_of("qemu+ssh://root@kvm1/system")) == "root@kvm1"
    assert str(jump_of("qemu+libssh2://[2001:db8::1]:2222/system")) == "[2001:db8::1]:2222"
    assert jump_of("qemu+tls://kvm1/system") is None
    with pytest.raises(InvalidSpecError):
        jump_of("qemu+ssh://-oProxyCommand=x@kvm1/system")
    assert ssh_argv(msgspec.structs.replace(TARGET, jump=JumpHost(address="kvm1")))[1:3] == ["-J", "kvm1"]


def test_entries_of_ssh_config_and_names_that_can_be_none():
    entry = host_entry(msgspec.structs.replace(TARGET, port=2222, jump=JumpHost(address="kvm1", user="root")))
    assert "    ProxyJump root@kvm1\n" in entry
    assert "    Port 2222\n" in entry
    for name in ("a b", "web*", "!web", "web\nHost *", "-web", "#web"):
        with pytest.raises(InvalidSpecError):
            host_entry(TARGET, name)


def test_host_keys_are_known_by_the_vm_and_not_by_its_address(tmp_path):
    known = KnownHosts(StateDirectory(tmp_path / "state"))
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxx root@web1"
    assert known.add("one", [key, "no key", "ssh-rsa AAAA\nevil ssh-rsa AAAA"]) == 1
    assert known.add("two", [key]) == 1
    assert known.forget("one")
    assert (known.has("one"), known.has("two"), known.forget("one")) == (False, True, False)
    assert known.file.stat().st_mode & 0o077 == 0


def test_the_user_of_the_image_is_the_default_and_a_vm_without_address_is_named(novacron, vm):
    stopped = vm.host.vms["vm-00003"]
    with pytest.raises(NotFoundError, match="vm-00003"):
        stopped.ssh.target()
    vm.update(metadata={"login-user": "debian"})
    assert vm.ssh.target(address="192.0.2.1").user == "debian"
    assert vm.ssh.target("ann", address="192.0.2.1").user == "ann"
    for user in ("-oX", "a b", "$(x)"):
        with pytest.raises(InvalidSpecError):
            vm.ssh.target(user, address="192.0.2.1")
    said = novacron("ssh", "ann@vm-00001", "--address", "192.0.2.1", "-L", "8080:80", "-N", "--print").stdout
    assert "-l ann -N" in said
    assert "-L 8080:localhost:80" in said


def test_the_agents_host_keys_are_used(vm):
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxx root@web1"
    vm.guest.write("/etc/ssh/ssh_host_ed25519_key.pub", key.encode())
    assert vm.ssh.learn_host_keys()
    assert key.split()[1] in vm.ssh.known_hosts.file.read_text()


def test_the_agent_copies_when_no_ssh_server_answers(novacron, vm, tmp_path, monkeypatch, free_port):
    monkeypatch.chdir(tmp_path)
    Path("motd").write_text("welcome")
    done = novacron("cp", "motd", "vm-00001:/etc/", "--address", "127.0.0.1", "--port", free_port())
    assert "guest agent" in done.stderr
    assert vm.guest.read("/etc/motd") == b"welcome"
    novacron("cp", "--agent", "vm-00001:/etc/motd", "copy")
    assert Path("copy").read_text() == "welcome"
    for arguments in (["motd", "other"], ["vm-00001:/a", "vm-00002:/b"], ["motd", "vm-00001:/a", "vm-00001:/b"]):
        novacron("cp", *arguments, code=2)
    novacron("cp", "--agent", "motd", "vm-00001:relative", code=2)
    novacron("cp", "--agent", "-r", ".", "vm-00001:/x", code=2)


@pytest.fixture(scope="module")
def server(tmp_path_factory, free_port):
    """An OpenSSH server on a free port of the loopback interface, and the key that may log in as the user of this process."""
    if SSHD is None:
        pytest.skip("needs openssh-server")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port = free_port()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\nStrictModes no\n"
        f"UsePAM no\nPidFile none\nPermitRootLogin yes\nSubsystem sftp internal-sftp\nPasswordAuthentication no\nLogLevel VERBOSE\n"
    )
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "listening" in line:
            break
    else:
        pytest.fail("sshd did not start")
    yield folder, port
    process.terminate()
    process.stderr.close()
    process.wait()


@pytest.fixture
def login(server):
    folder, port = server
    user = pwd.getpwuid(os.geteuid()).pw_name
    return ["--address", "127.0.0.1", "--port", port, "--identity", folder / "user", "--user", user]


def target_of(vm, login):
    options = dict(zip([name[2:] for name in login[::2]], login[1::2], strict=True))
    return vm.ssh.target(**options | {"identity": str(options["identity"])})


def test_a_program_runs_by_ssh_and_its_exit_code_is_passed_on(novacron, vm, login):
    done = vm.ssh.run("printf", "%s|", "a b", "$HOME", "'", target=target_of(vm, login))
    assert done.stdout == b"a b|$HOME|'|"
    assert vm.ssh.run("cat; exit 7", target=target_of(vm, login), stdin=b"x").exit_status == 7
    novacron("ssh", "vm-00001", *login, "--", "exit 9", code=9)


def test_a_server_with_other_keys_than_the_vms_is_refused(novacron, vm, login, server):
    vm.ssh.known_hosts.add(vm.id, [(server[0] / "user.pub").read_text()])
    with pytest.raises(HostConnectionError, match=r"(?i)host key"):
        vm.ssh.run("true", target=target_of(vm, login))
    novacron("ssh", "vm-00001", *login, "--", "true", code=255)
    novacron("ssh", "vm-00001", *login, "--new-host-key", "--", "true")


def test_files_are_copied_both_ways(novacron, login, tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:b").write_text("colon")
    (tmp_path / "-f").write_text("dash")
    novacron("cp", *login, "--", "./a:b", "-f", f"vm-00001:{tmp_path}/there/")
    assert (tmp_path / "there" / "a:b").read_text() == "colon"
    assert (tmp_path / "there" / "-f").read_text() == "dash"
    novacron("cp", "-r", *login, f"vm-00001:{tmp_path}/there", "back")
    assert sorted(file.name for file in (tmp_path / "back").iterdir()) == ["-f", "a:b"]


def test_a_vm_is_reached_through_the_host_that_has_it(vm, login, server):
    folder, port = server
    key = (folder / "host.pub").read_text().split()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {key[0]} {key[1]}\n")
    user = pwd.getpwuid(os.geteuid()).pw_name
    jump = jump_of(f"qemu+ssh://{user}@127.0.0.1:{port}/system?keyfile={folder / 'user'}&known_hosts={folder / 'known'}")
    target = msgspec.structs.replace(target_of(vm, login), jump=jump)
    seen = vm.ssh.run('echo "$SSH_CONNECTION"', target=target).stdout.split()
    assert seen[3] == str(port).encode()
    (folder / "known").write_text("")
    with pytest.raises(HostConnectionError):
        vm.ssh.run("true", target=target)


def test_ssh_config_lists_running_vms_and_ssh_accepts_it(novacron, vm, tmp_path):
    text = novacron("ssh-config").stdout
    (tmp_path / "config").write_text(text)
    if text:
        name = text.split()[1]
        said = subprocess.run(["ssh", "-G", "-F", tmp_path / "config", name], capture_output=True, text=True, check=True).stdout
        assert f"hostkeyalias novacron-{vm.host.vms[name].id}" in said
    assert "vm-00001" in text


def test_the_key_of_home_logs_in_where_openssh_does_not_look(novacron, login, server, tmp_path, monkeypatch):
    """`sudo -E` keeps HOME. The keys in it are given to new VMs, but OpenSSH looks in the home of the user database."""
    monkeypatch.setenv("HOME", pwd.getpwuid(os.getuid()).pw_dir)
    assert own_identity() is None, "OpenSSH finds the keys by itself"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert own_identity() is None, "there is no key"
    (tmp_path / ".ssh").mkdir()
    shutil.copy(server[0] / "user", tmp_path / ".ssh" / "id_ed25519")
    address = [*login[: login.index("--identity")], *login[login.index("--user") :]]
    novacron("ssh", "vm-00001", *address, "--", "exit 9", code=9)
    assert f"IdentityFile {tmp_path}/.ssh/id_ed25519" in novacron("ssh-config", "vm-00001", *address).stdout.replace('"', "")


def test_a_display_goes_through_ssh(server, tmp_path):
    """With the key and the host key that the URI names. What the display sends arrives; the tunnel ends with the context."""
    from types import SimpleNamespace

    from novacron.handles.displays import display_url
    from novacron.records.guest import ConsoleEndpoint

    folder, port = server
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    user = pwd.getpwuid(os.geteuid()).pw_name
    uri = f"qemu+ssh://{user}@127.0.0.1:{port}/system?keyfile={folder / 'user'}&known_hosts={known}"
    audit = SimpleNamespace(state=StateDirectory(tmp_path / "state"))
    host = SimpleNamespace(uri=uri, name="kvm1", dispatcher=SimpleNamespace(audit=audit))
    with socket.create_server(("127.0.0.1", 0)) as display:
        display.settimeout(20)
        endpoint = ConsoleEndpoint(vm="web1", kind="vnc", address="127.0.0.1", port=display.getsockname()[1])
        with display_url(SimpleNamespace(name="web1", host=host, display=lambda: endpoint)) as url:
            display.accept()[0].close()  # the look whether the tunnel is open
            local = int(url.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", local), timeout=10) as viewer:
                far, _ = display.accept()
                far.sendall(b"RFB 003.008\n")
                assert viewer.recv(12) == b"RFB 003.008\n"
                far.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", local), timeout=10)


def test_a_tunnel_that_fails_says_why(tmp_path, free_port):
    from novacron.errors import HostConnectionError
    from novacron.ssh.tunnel import Tunnel

    with (
        pytest.raises(HostConnectionError, match="refused"),
        Tunnel(JumpHost(address="127.0.0.1", port=free_port()), "::1", 1, tmp_path),
    ):
        pass
