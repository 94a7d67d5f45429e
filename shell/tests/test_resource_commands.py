"""Disks, NICs, guests, pools, volumes, networks, filters and templates from the command line, over one simulated host."""

import itertools
import json
import time

import pytest
from click.testing import CliRunner

import novacron as api
from novacron.errors import InvalidValueError
from novacron_shell.cli import cli

WORLDS = itertools.count()


@pytest.fixture
def novacron():
    """Return a function that runs a command on a host with two VMs, `vm-00001` and `vm-00003`, which is stopped."""
    world = f"commands-{next(WORLDS)}"

    def run(*arguments, stdin=None, exit_code=0):
        done = CliRunner().invoke(cli, ["-c", f"sim://{world}?vms=3", *arguments], input=stdin)
        assert done.exit_code == exit_code, (done.output, done.exception)
        return done

    run.json = lambda *arguments, **more: json.loads(run(*arguments, "-o", "json", **more).stdout)
    return run


def test_disks(novacron):
    assert novacron.json("disk", "attach", "vm-00001", "size=5GiB", "bus=scsi")["size_bytes"] == 5 * 2**30
    assert "sda" in novacron("disk", "list", "vm-00001").stdout
    assert novacron.json("disk", "resize", "vm-00001", "sda", "6GiB")["size_bytes"] == 6 * 2**30
    novacron("disk", "limit", "vm-00001", "sda", "read_iops=100", "write_bytes_per_second=2MiB")
    novacron("disk", "detach", "vm-00001", "sda", "--delete", "--yes")
    assert "sda" not in novacron("disk", "list", "vm-00001", "-o", "json").stdout


def test_media(novacron, tmp_path):
    novacron("volume", "create", "a.iso", "capacity=1MiB", "format=raw")
    novacron("disk", "attach", "vm-00003", "device=cdrom")
    (drive,) = [d for d in novacron.json("disk", "list", "vm-00003") if d["device"] == "cdrom"]
    assert novacron.json("disk", "media", "vm-00003", drive["target"], "image:a.iso")["source"].endswith("a.iso")
    assert novacron.json("disk", "media", "vm-00003", drive["target"])["source"] is None


def test_nics(novacron):
    made = novacron.json("nic", "attach", "vm-00001", "network=default")
    assert not novacron.json("nic", "link", "vm-00001", made["mac"], "down")["link_up"]
    assert novacron.json("nic", "update", "vm-00001", made["mac"], "network=default", "mtu=1400")["mtu"] == 1400
    assert made["mac"] in novacron("nic", "list", "vm-00001").stdout
    assert "--yes" in novacron("nic", "detach", "vm-00001", made["mac"], exit_code=2).stderr, "its address and limits are lost"
    assert made["mac"] in novacron("nic", "list", "vm-00001").stdout
    novacron("nic", "detach", "vm-00001", made["mac"], "--yes")
    assert made["mac"] not in novacron("nic", "list", "vm-00001", "-o", "json").stdout


def test_resources(novacron):
    assert novacron.json("resources", "set", "vm-00003", "--vcpus", "2", "--memory", "1GiB", "--iothreads", "1")["iothreads"] == [
        1
    ]
    assert novacron.json("resources", "pin", "vm-00003", "0=0-3,5", "iothread1=1")["pinning"] == {"0": "0-3,5", "iothread1": "1"}
    assert novacron.json("resources", "pin", "vm-00003", "iothread1=")["pinning"] == {"0": "0-3,5"}
    (target,) = [disk["target"] for disk in novacron.json("disk", "list", "vm-00003")][:1]
    limits = ["cpu_limit_percent=150", f"disks.{target}.read_bytes_per_second=1MiB", "devices./dev/mapper/a-b.weight=300"]
    found = novacron.json("resources", "limit", "vm-00003", *limits)
    assert (found["cpu_limit_percent"], found["disks"]) == (150, {target: {"read_bytes_per_second": 2**20}})
    assert found["devices"] == {"/dev/mapper/a-b": {"weight": 300}}
    lifted = novacron.json("resources", "limit", "vm-00003", "cpu_limit_percent=", f"disks.{target}.read_bytes_per_second=")
    assert (lifted["cpu_limit_percent"], lifted["disks"]) == (None, {})
    later = novacron.json("resources", "set", "vm-00001", "--vcpus", "1", "--no-live")
    assert later == novacron.json("resources", "show", "vm-00001")
    novacron("resources", "set", "vm-00003", exit_code=2)
    novacron("resources", "pin", "vm-00003", "0", exit_code=2)


def test_mac_addresses_that_clash(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path))
    mac, names = "52:54:00:aa:00:01", [f"clashing-{next(WORLDS)}" for _ in range(2)]
    for name in names:
        CliRunner().invoke(cli, ["host", "add", name, f"sim://{name}?vms=1"])
        done = CliRunner().invoke(cli, ["--host", name, "nic", "attach", "vm-00001", "network=default", f"mac={mac}"])
        assert done.exit_code == 0, done.output
    found = json.loads(CliRunner().invoke(cli, ["network", "clashes", "-o", "json"]).stdout)
    assert [clash["vms"] for clash in found if clash["mac"] == mac] == [[f"{name}/vm-00001" for name in names]]
    for name in names:
        CliRunner().invoke(cli, ["host", "remove", name])


def test_the_guest(novacron, tmp_path):
    assert novacron.json("guest", "info", "vm-00001")["hostname"] == "vm-00001"
    assert novacron("guest", "exec", "vm-00001", "--", "echo", "-n", "x").stdout == "-n x\n"
    novacron("guest", "exec", "vm-00001", "--", "false", exit_code=1)
    novacron("guest", "write", "vm-00001", "/etc/motd", "-", stdin="hello")
    assert novacron("guest", "read", "vm-00001", "/etc/motd").stdout == "hello"
    keys = tmp_path / "keys"
    keys.write_text("# mine\nssh-ed25519 AAAA me\n")
    novacron("guest", "keys", "vm-00001", "root", str(keys))
    assert novacron("guest", "read", "vm-00001", "/root/.ssh/authorized_keys").stdout == "ssh-ed25519 AAAA me\n"
    said = novacron("guest", "password", "vm-00001", "root", stdin="hunter2\n")
    assert "hunter2" not in said.output
    novacron("guest", "freeze", "vm-00001")
    novacron("guest", "thaw", "vm-00001")


def test_pools_and_volumes(novacron, tmp_path):
    novacron("pool", "create", "fast", "path=/srv/fast")
    assert {p["name"] for p in novacron.json("pool", "list")} >= {"default", "fast"}
    novacron("pool", "stop", "fast")
    assert not novacron.json("pool", "show", "fast")["active"]
    novacron("pool", "start", "fast")
    novacron("volume", "create", "data.qcow2", "capacity=1GiB", "--pool", "fast")
    assert novacron.json("volume", "resize", "data.qcow2", "2GiB", "--pool", "fast")["capacity_bytes"] == 2**31
    novacron("volume", "clone", "data.qcow2", "copy.qcow2", "--pool", "fast")
    assert novacron.json("volume", "convert", "data.qcow2", "data.raw", "raw", "--pool", "fast")["format"] == "raw"
    file = tmp_path / "file"
    file.write_bytes(b"content")
    novacron("volume", "upload", str(file), "new.raw")
    novacron("volume", "download", "new.raw", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes()[:7] == b"content"
    novacron("volume", "wipe", "new.raw", "--yes")
    novacron("volume", "delete", "new.raw", "--yes")
    assert {v["name"] for v in novacron.json("volume", "list", "fast")} == {"data.qcow2", "copy.qcow2", "data.raw"}
    novacron("pool", "refresh", "fast")
    novacron("pool", "delete", "fast", "--yes")


def test_networks(novacron, tmp_path):
    spec = tmp_path / "lan.yaml"
    spec.write_text("cidr: 10.5.0.1/24\ndhcp_start: 10.5.0.10\ndhcp_end: 10.5.0.20\n")
    novacron("network", "create", "lan", "type=isolated", "--file", str(spec))
    assert novacron.json("network", "show", "lan")["cidrs"] == ["10.5.0.1/24"]
    assert novacron.json("network", "update", "lan", "autostart=false")["autostart"] is False
    novacron("network", "stop", "lan")
    novacron("network", "start", "lan")
    novacron("network", "leases", "lan")
    novacron("network", "delete", "lan", "--yes")
    assert "lan" not in novacron("network", "list", "-o", "name").stdout.split()
    novacron("network", "update", "default", exit_code=2)


def test_filters(novacron):
    novacron("filter", "create", "web", "--rule", "action=allow,direction=in,protocol=tcp,ports=80", "--default", "deny")
    shown = novacron.json("filter", "show", "web")
    assert (shown["default"], shown["rules"][0]["ports"]) == ("deny", "80")
    novacron("filter", "update", "web", "--rule", "action=deny")
    assert novacron.json("filter", "show", "web")["default"] == "allow"
    assert "web" in novacron("filter", "list").stdout
    novacron("filter", "delete", "web", "--yes")


def test_templates(novacron):
    novacron("template", "create", "vm-00003", "golden", "--tag", "base")
    novacron("template", "create", "vm-00003", "golden")
    assert [t["version"] for t in novacron.json("template", "versions", "golden")] == [1, 2]
    assert novacron.json("template", "update", "golden", "--description", "new")["description"] == "new"
    made = novacron.json("template", "deploy", "golden", "web9", "memory=3GiB", "--version", "1", "--full")
    assert (made["name"], made["memory_bytes"]) == ("web9", 3 * 2**30)
    novacron("template", "delete", "golden", "--version", "2", "--yes")
    assert novacron.json("template", "show", "golden")["version"] == 1
    assert "golden" in novacron("template", "list").stdout


def test_disks_move_between_pools(novacron):
    novacron("pool", "create", "fast", "path=/srv/fast")
    novacron("vm", "migrate-storage", "vm-00001", "fast")
    assert {d["pool"] for d in novacron.json("vm", "show", "vm-00001")["disks"]} == {"fast"}


def test_rates(novacron):
    assert {r["vm"] for r in novacron.json("vm", "rates", "--over", "0.05s")} == {
        v["id"] for v in novacron.json("vm", "list") if v["status"] == "running"
    }
    assert "vm-00001" in novacron("vm", "rates", "vm-00001", "--over", "50ms").stdout


def test_a_history(novacron):
    assert novacron.json("vm", "history", "vm-00003") == []
    until = time.monotonic() + 60
    while not novacron.json("vm", "history", "vm-00001", "--over", "100s"):
        assert time.monotonic() < until, "it has run for more than an interval"
    assert "RECEIVED" in novacron("vm", "history", "vm-00001", "--over", "100s").stdout


@pytest.mark.parametrize(
    "command",
    [
        ("vm", "rates", "--over", "x"),
        ("vm", "shutdown", "vm-00001", "--timeout", "x"),
        ("disk", "resize", "vm-00001", "vda", "x"),
        ("volume", "resize", "vm-00001-vda.qcow2", "x"),
    ],
)
def test_a_size_or_duration_that_is_none_is_said_to_be(novacron, command):
    refused = novacron(*command, exit_code=1).exception
    assert isinstance(refused, InvalidValueError)
    assert "'x'" in str(refused)
    assert refused.hint


def test_a_vm_becomes_a_file_and_a_file_a_vm(novacron, tmp_path):
    """An OVA, for any hypervisor; a network that is written badly is said before anything is read."""
    novacron("vm", "create", "web1", "--disk", "size=1MiB")
    file = str(tmp_path / "web1.ova")
    assert novacron.json("vm", "export-appliance", "web1", file)["disks"] == [2**20]
    assert "already there" in str(novacron("vm", "export-appliance", "web1", file, exit_code=1).exception)
    novacron("vm", "import-appliance", file, "--name", "web2")
    assert novacron.json("vm", "show", "web2")["disks"][0]["size_bytes"] == 2**20
    assert "THEIRS=OURS" in novacron("vm", "import-appliance", file, "--network", "lan", exit_code=2).stderr


def test_ready_made_flows_are_used_as_steps(novacron):
    """For VMs by name, pattern, tag or host; what chooses no VM is said."""
    assert {"patch", "evacuate"} <= {flow["flow"] for flow in novacron.json("flow", "list")}
    done = novacron("flow", "run", "vm-0000*", "tag:added", "-o", "json")
    assert json.loads(done.stdout)["status"] == "done"
    assert len(novacron.json("vm", "list", "--tag", "added")) == 3
    assert "clone to 'c1', linked" in novacron("flow", "show", "fan-out:names=c1+c2").stdout
    novacron("flow", "run", "tag:added", "fan-out:names=c1", "--max-parallel", "1", exit_code=1)
    assert "no VM has the tag 'nothing'" in str(novacron("flow", "run", "tag:nothing", "start", exit_code=1).exception)
    assert "command" in str(novacron("flow", "run", "vm-00001", "patch:comand=x", exit_code=1).exception)


def test_images_of_all_hosts_are_listed_without_naming_one(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path))
    for name in ("one", "two"):
        api.fleet().add(name, f"sim://image-list-{name}-{tmp_path.name}")
        host = api.fleet().hosts[name]
        source = tmp_path / f"{name}.raw"
        source.write_bytes(bytes(510) + b"\x55\xaa" + bytes(3584))
        host.images.pull(str(source), name=f"from-{name}")
    runner = CliRunner()
    listed = runner.invoke(cli, ["image", "list", "-o", "json"])
    assert [(image["name"], image["host"]) for image in json.loads(listed.stdout)] == [("from-one", "one"), ("from-two", "two")]
    assert "debian-13" in runner.invoke(cli, ["image", "list", "--available", "-o", "name"]).stdout.split()
    refused = runner.invoke(cli, ["--host", "one", "image", "remove", "from-one", "x"], input="y\n")
    assert "will not delete the images from-one, x in the storage pool default on one without --yes" in refused.output
    api.fleet().hosts.close()
