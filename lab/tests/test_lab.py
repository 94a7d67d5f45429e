"""Labs come up whole, survive being started twice, and leave nothing behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import novacron
from novacron_lab import Lab, cgroups, emulators, network, requirements, supervisor
from novacron_lab.commands import lab as commands
from novacron_lab.demo import _make_private
from novacron_lab.guest import Guest
from novacron_lab.lab import lab_folder
from novacron_lab.running import LabError, run


def test_without_root_it_says_so_and_offers_what_works_without(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="needs root") as caught:
        Lab.up(name="nobody")
    assert "sim://" in caught.value.hint
    assert "embedded" in caught.value.hint


def test_a_missing_program_is_named_with_the_package_that_has_it(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setitem(requirements.PROGRAMS, "no-such-program", "no-such-package")
    with pytest.raises(LabError, match="no-such-package") as caught:
        requirements.check()
    assert caught.value.hint.startswith("apt-get install")


@pytest.mark.parametrize("name", ["", "../x", "a b", "x" * 40])
def test_a_bad_name_is_refused(monkeypatch, name):
    monkeypatch.setattr(requirements, "check", lambda: None)
    with pytest.raises(LabError, match="not a lab's name"):
        Lab.up(name=name)


def test_a_program_that_fails_is_reported_with_what_it_said():
    with pytest.raises(LabError, match="no-such-folder"):
        run("ls", "/no-such-folder")
    with pytest.raises(LabError, match="not installed"):
        run("no-such-program-at-all")


def links():
    """Return the network interfaces of this machine, each with its number, which no other gets; other labs come and go meanwhile."""
    return {link["ifname"]: link["ifindex"] for link in json.loads(run("ip", "-j", "link").stdout)}


def everything_of(name):
    """Return what a lab of that name has on this machine: namespaces, folders, processes, control groups."""
    namespaces = [n for n in run("ip", "netns", "list").stdout.splitlines() if f"novacron-{name}-" in n]
    processes = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"/{name}/" in command:
                processes.append(command)
    groups = [path for path, *_ in os.walk("/sys/fs/cgroup") if f"/novacron-{name}-" in path]  # others' groups may go meanwhile
    return namespaces + processes + groups + ([str(lab_folder(name))] if lab_folder(name).exists() else [])


@pytest.mark.lab
def test_what_libvirtd_knows_of_an_emulator_is_known_to_the_hosts_of_later_labs(tmp_path, monkeypatch):
    Guest(tmp_path).install()  # else it would be built anew for this cache
    usual = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "novacron"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "novacron" / "emulators").mkdir(parents=True)
    (tmp_path / "novacron" / "emulators" / "of-a-test.xml").touch()
    for built in usual.glob("guest-*"):
        (tmp_path / "novacron" / built.name).symlink_to(built)
    seen = []
    for number in range(2):
        lab = Lab.up(hosts=1, name=f"known{number}-{os.getpid()}", temporary=True)
        try:
            assert lab.hosts[0].exec("ls", emulators.SEEN).stdout.split() == [file.name for file in emulators.folder().iterdir()]
        finally:
            lab.down()
        seen.append({file.name: file.stat().st_mtime_ns for file in emulators.folder().iterdir()})
    assert len(seen[0]) == 1, "the emulator that is asked for when a host starts"
    assert seen[1] == seen[0], "the second host has not examined it again"


@pytest.mark.lab
def test_a_lab_comes_up_survives_a_second_start_and_leaves_nothing_behind():
    name, torn = f"once-{os.getpid()}", lab_folder(f"torn-{os.getpid()}")
    torn.mkdir(parents=True)  # what a process leaves that is killed at the very beginning
    lab = Lab.up(hosts=2, name=name)
    try:
        assert not torn.exists()
        (own,) = [index for link, index in links().items() if link == lab.link]
        pids = [h.supervisor_pid for h in lab.hosts]
        again = Lab.up(hosts=2, name=name)
        assert [h.supervisor_pid for h in again.hosts] == pids
        assert [h["status"] for h in again.status()] == ["up", "up"]
        lab.hosts[1].kill_daemon()
        assert [h["status"] for h in lab.status()] == ["up", "silent"]
        healed = Lab.up(hosts=2, name=name)
        assert [h["status"] for h in healed.status()] == ["up", "up"]
        assert [h.supervisor_pid for h in healed.hosts] == pids  # their guests have gone on
        assert not any(host.leased for host in lab.hosts)
        healed = Lab.up(hosts=2, name=name, leases=True)  # libvirtd is restarted once more, now with virtlockd
        assert all(host.leased and host.exec("test", "-S", supervisor.LEASES_SOCKET).returncode == 0 for host in healed.hosts)
        assert [h["status"] for h in healed.status()] == ["up", "up"]
        assert lab.hosts[0].exec("hostname").stdout.strip() == lab.hosts[0].name
        assert lab.hosts[1].exec("ls", "/nothing").returncode != 0
        assert everything_of(name)
        lab.hosts[0].stop()
        assert [h["status"] for h in lab.status()] == ["down", "up"]
        healed = Lab.up(hosts=2, name=name)
        assert [h["status"] for h in healed.status()] == ["up", "up"]
    finally:
        Lab.attach(name).down()
    assert everything_of(name) == []
    assert own not in links().values()
    with pytest.raises(LabError, match="no lab named"):
        Lab.attach(name)


OWNER = """
import sys, time
from novacron_lab import Lab
lab = Lab.up(hosts=1, name=sys.argv[1], temporary=True)
print(lab.hosts[0].supervisor_pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.lab
def test_a_lab_whose_owner_was_killed_is_removed_with_all_that_it_started(tmp_path, monkeypatch):
    """Also when the supervisor was killed with it, so that libvirtd and dnsmasq have no parent of the lab's."""
    monkeypatch.setenv("NOVACRON_LAB_DIR", str(tmp_path))  # `down --all` shall not see other labs of this machine
    name = f"owned-{os.getpid()}"
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    runner = CliRunner()
    try:
        supervisor = int(owner.stdout.readline())
        link, children = Lab.attach(name).link, Lab.attach(name).hosts[0].processes()
        assert len(children) > 1
        spared = runner.invoke(commands, ["down", "--all"])
        assert f"in use by process {owner.pid}" in spared.stderr
        assert Lab.remove_abandoned() == []
        assert Lab.attach(name).hosts[0].running
        for pid in (owner.pid, supervisor):
            os.kill(pid, signal.SIGKILL)
        owner.wait()
        assert Lab.attach(name).abandoned
        assert everything_of(name)
    finally:
        owner.kill()
        owner.communicate()
        removed = runner.invoke(commands, ["down", "--all"])
    assert f"{name} is down" in removed.stderr
    assert everything_of(name) == []
    assert link not in links()
    assert not [pid for pid in children if Path(f"/proc/{pid}/exe").exists()]
    assert list(tmp_path.iterdir()) == [tmp_path / ".lock"]


def test_a_folder_that_other_users_can_write_to_is_refused_for_labs(tmp_path, monkeypatch):
    monkeypatch.setattr(requirements, "check", lambda: None)
    monkeypatch.setenv("NOVACRON_LAB_DIR", str(tmp_path / "open"))
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(LabError, match="other users can write"):
        Lab.up(name="open")


@pytest.mark.parametrize("prepared", ["link", "open"])
def test_the_demo_uses_no_folder_that_another_user_prepared(tmp_path, prepared):
    folder = tmp_path / "demo"
    _make_private(folder)
    _make_private(folder)
    folder.rename(tmp_path / "other")
    if prepared == "link":
        folder.symlink_to(tmp_path / "other")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.raises(LabError, match="this user alone"):
        _make_private(folder)


@pytest.mark.lab
@pytest.mark.skipif(not cgroups.available(), reason="this machine has no control groups of version 1 that the lab may divide")
def test_each_host_divides_control_groups_of_its_own_among_its_vms(lab, lab_hosts, boot):
    boot(lab_hosts[0], "grouped", ticks=0, kernel=None)
    for controller in cgroups.CONTROLLERS:
        mine, others = (host.cgroup(controller) for host in lab.hosts)
        assert [folder.name for folder in mine.glob("machine/*grouped*")], controller
        assert not list(others.glob("machine/*grouped*"))
        assert str(lab.hosts[0].daemon_pid) in (mine / "cgroup.procs").read_text().split()


@pytest.mark.lab
def test_the_guest_boots_gets_an_address_and_obeys_the_power_button(lab_hosts, boot):
    vm = boot(lab_hosts[0], "tiny", nics=[{"network": "default"}])
    vm.console.wait_for("NOVACRON ADDRESS 10.231.")
    vm.shutdown(timeout=20)
    assert vm.status == "stopped"
    assert "NOVACRON POWER BUTTON" in vm.console.text


@pytest.mark.lab
def test_the_commands_register_the_hosts_in_the_fleet_and_take_them_out_again():
    name = f"cli-{os.getpid()}"
    runner = CliRunner()
    up = runner.invoke(commands, ["up", "--hosts", "1", "--name", name, "-o", "json"])
    try:
        assert up.exit_code == 0, up.output
        assert json.loads(up.stdout)[0]["name"] == f"{name}-a"
        assert novacron.fleet().hosts[f"{name}-a"].ping().host == f"{name}-a"
        inside = subprocess.run(
            ["novacron", "lab", "exec", "--name", name, f"{name}-a", "--", "hostname"], capture_output=True, text=True
        )
        assert inside.stdout.strip() == f"{name}-a", inside.stderr
    finally:
        down = runner.invoke(commands, ["down", "--name", name])
    assert down.exit_code == 0
    assert f"{name}-a" not in novacron.fleet().hosts


@pytest.mark.lab
def test_a_new_port_changes_no_mac_address_of_the_labs_bridges(lab):
    """The kernel gives a bridge the lowest MAC address of its ports; whoever knows the old one would get no answer."""
    bridges = [(lab.switch, network.SWITCH_BRIDGE), *((host.namespace, network.GUEST_BRIDGE) for host in lab.hosts)]
    for namespace, bridge in bridges:
        inside = ("ip", "-n", namespace)
        before = json.loads(run(*inside, "-j", "link", "show", bridge).stdout)[0]["address"]
        run(*inside, "link", "add", "lowest", "address", "02:00:00:00:00:01", "type", "veth", "peer", "name", "other")
        try:
            run(*inside, "link", "set", "lowest", "master", bridge)
            assert json.loads(run(*inside, "-j", "link", "show", bridge).stdout)[0]["address"] == before
        finally:
            run(*inside, "link", "delete", "lowest")
