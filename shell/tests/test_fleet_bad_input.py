"""Bad input to commands of the fleet is named before anything is done, and nothing is changed."""

import itertools

import pytest
from click.testing import CliRunner

import novacron as nova
from novacron.drivers.sim.state.world import world
from novacron_shell.cli import cli

WORLDS = itertools.count()


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    """The names of two simulated hosts, `a` and `b`, of the group "prod" in two racks of one zone."""
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    number = next(WORLDS)
    names = {name: f"bad-{name}-{number}" for name in "ab"}
    for name, where in names.items():
        nova.fleet().add(name, f"sim://{where}")
    nova.fleet().nodes.refresh()
    for name in "ab":
        nova.fleet().nodes.set(name, group="prod", labels={"rack": f"r-{name}", "zone": "z"})
    yield names
    nova.fleet().hosts.close()


def everything(hosts):
    """All that a command could have changed: the hosts, and the state database without what was recorded of refused calls."""
    fleet = nova.fleet()
    return {
        "worlds": [sorted(repr(vm.record("a host", "a node")) for vm in world(name).all()) for name in hosts.values()],
        "volumes": [sorted(pool.volumes) for name in hosts.values() for pool in world(name).pools.values()],
        "nodes": [each.as_dict() for each in fleet.nodes],
        "groups": [each.as_dict() for each in fleet.groups],
        "rules": [each.as_dict() for each in fleet.rules],
        "quotas": [each.as_dict() for each in fleet.quotas],
        "devices": [each.as_dict() for each in fleet.fencing.list()],
        "allocations": [each.as_dict() for each in fleet.allocations()],
        "runs": [each.id for each in fleet.runs.list()],
    }


def refused(hosts, *arguments):
    """Type a command that has to be refused; return all that it said."""
    before = everything(hosts)
    done = CliRunner().invoke(cli, list(arguments))
    assert done.exit_code != 0 or done.exception, done.output
    assert isinstance(done.exception, (nova.NovaCronError, SystemExit)), repr(done.exception)
    assert everything(hosts) == before
    said = f"{done.output} {done.exception} {getattr(done.exception, 'problems', '')} {getattr(done.exception, 'hint', '')}"
    return said + str(getattr(done.exception, "reasons", ""))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("affinity", "host"), ("anti-affinity", "host")),
        (("anti-affinity", "rack"), ("affinity", "host")),
        (("anti-affinity", "zone"), ("affinity", "rack")),
    ],
)
def test_rules_that_contradict_each_other(hosts, first, second):
    nova.fleet().rules.add("one", first[0], tag="db", scope=first[1])
    said = refused(hosts, "fleet", "add-rule", "two", second[0], "db", "--scope", second[1])
    assert "contradict" in said
    assert "'one'" in said


def test_rules_of_different_scopes_may_go_together(hosts):
    """All VMs in one zone, and each in a rack of its own."""
    nova.fleet().rules.add("one", "affinity", tag="db", scope="zone")
    assert CliRunner().invoke(cli, ["fleet", "add-rule", "two", "anti-affinity", "db", "--scope", "rack"]).exit_code == 0
    for number in range(2):
        nova.fleet().create(name=f"db{number}", tags=["db"], start=True, group="prod")
    assert {vm.host.name for vm in nova.fleet().vms.list(name="db*")} == {"a", "b"}
    assert "two" in refused(hosts, "vm", "create", "db2", "--host", "auto:prod", "--tag", "db", "--start")


def test_a_rule_that_vms_break_already(hosts):
    for number in range(2):
        nova.fleet().hosts["a"].vms.create(name=f"db{number}", tags=["db"], start=True)
    assert "db0, db1" in refused(hosts, "fleet", "add-rule", "apart", "anti-affinity", "db")


def test_a_group_without_room(hosts):
    said = refused(hosts, "vm", "create", "large", "--host", "auto:prod", "--vcpus", "4000", "--memory", "4TiB")
    for name in hosts.values():
        assert name in said
    assert "vCPUs" in said
    assert "memory" in said
    assert "ghost" in refused(hosts, "vm", "create", "web1", "--host", "auto:ghost")


@pytest.mark.parametrize("scope", [("node", "set", "a"), ("fleet", "set-group", "prod"), ("fleet", "set-group", "fleet")])
def test_a_ratio_below_what_is_allocated(hosts, scope):
    nova.fleet().hosts["a"].vms.create(name="large", vcpus=60, start=True)
    said = refused(hosts, *scope, "--vcpus-ratio", "0.5")
    assert hosts["a"] in said
    assert "60" in said


def test_unknown_labels(hosts):
    assert "rack, zone" in refused(hosts, "fleet", "add-rule", "one", "affinity", "db", "--scope", "row")
    assert "rack, zone" in refused(hosts, "fleet", "set-group", "prod", "--failure-domain", "row")
    assert "row" in refused(hosts, "fleet", "explain", "--label", "row=1", "--vcpus", "1")


@pytest.mark.parametrize(
    ("obstacle", "words"),
    [("device", "passed-through devices"), ("pinned", "pinned to the CPUs 63"), ("local disk", "no storage pool 'local'")],
)
def test_a_vm_that_can_not_leave_its_host(hosts, obstacle, words):
    a = nova.fleet().hosts["a"]
    if obstacle == "local disk":
        a.pools.create(name="local", type="dir", path="/local")
        a.pools.start("local")
    disks = [{"size": "1GiB", "pool": "local" if obstacle == "local disk" else "default"}]
    devices = [{"pci": "0000:01:00.0"}] if obstacle == "device" else []
    vm = a.vms.create(name="bound", disks=disks, host_devices=devices, start=True)
    if obstacle == "pinned":
        vm.resources.pin({"0": "63"})
        world(hosts["b"]).cpus = 32
    for arguments in (("host", "maintenance", "enter", "a", "--yes"), ("vm", "migrate", "bound", "--to", "b")):
        said = refused(hosts, *arguments)
        assert "bound" in said
        assert words in said


def test_a_bmc_with_a_wrong_password(hosts, monkeypatch):
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(401)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        monkeypatch.setenv("NOVACRON_SECRET_BMC", "hunter-marked-2")
        address = f"http://127.0.0.1:{server.server_port}"
        options = {"url": address, "username": "admin", "password_secret": "bmc"}
        nova.fleet().fencing.set("a", "redfish", **options)
        said = refused(hosts, "fence", "test", "a")
        assert "unknown" in said
        assert "hunter-marked-2" not in said
        monkeypatch.delenv("NOVACRON_SECRET_BMC")
        assert "no secret 'bmc'" in refused(hosts, "fence", "test", "a")
    finally:
        server.shutdown()
        server.server_close()
