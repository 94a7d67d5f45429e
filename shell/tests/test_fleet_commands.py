"""`novacron node` and `novacron fleet`, over two simulated hosts."""

import itertools
import json

import pytest
from click.testing import CliRunner

import novacron as nova
from novacron import errors
from novacron_shell.cli import cli

WORLDS = itertools.count()


@pytest.fixture
def novacron(tmp_path, monkeypatch):
    """Return a function that runs a command for a fleet of the hosts `a` and `b`."""
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    number = next(WORLDS)
    for name in "ab":
        nova.fleet().add(name, f"sim://fleet-{name}-{number}?vms=2&prefix={name}-")
    nova.fleet().nodes.refresh()

    def run(*arguments, exit_code=0, error=None):
        done = CliRunner().invoke(cli, list(arguments))
        if error is not None:
            assert isinstance(done.exception, error), (done.output, done.exception)
        else:
            assert done.exit_code == exit_code, (done.output, done.exception)
        return done

    run.json = lambda *arguments: json.loads(run(*arguments, "-o", "json").stdout)
    yield run
    nova.fleet().hosts.close()


def test_a_host_that_was_just_added_is_listed(novacron):
    nova.fleet().add("c", f"sim://fleet-c-{next(WORLDS)}")
    assert [node["host"] for node in novacron.json("node", "list", "--stored")] == ["a", "b"]
    assert [node["host"] for node in novacron.json("node", "list")] == ["a", "b", "c"]


def test_nodes(novacron):
    assert [node["host"] for node in novacron.json("node", "list")] == ["a", "b"]
    novacron("node", "set", "a", "--group", "prod", "--label", "rack=r1", "--vcpus-ratio", "2", "--memory-reserved", "4GiB")
    shown = novacron.json("node", "show", "a")
    assert (shown["group"], shown["labels"], shown["vcpus"]["ratio"]) == ("prod", {"rack": "r1"}, 2.0)
    assert len(shown["allocations"]) == 2
    assert "a-00001" in novacron("node", "show", "a").stdout
    novacron("node", "set", "a", "--label", "rack=", "--inherit", "vcpus-ratio", "--storage-ratio", "unlimited")
    assert novacron.json("node", "show", "a")["vcpus"]["ratio"] == 4.0
    novacron("node", "cordon", "a", "--reason", "disk")
    assert "up, cordoned" in novacron("node", "list").stdout
    novacron("node", "uncordon", "a")
    assert "cordoned" not in novacron("node", "list").stdout
    novacron("node", "set", "a", exit_code=2)
    novacron("node", "set", "a", "--vcpus-ratio", "many", exit_code=2)
    novacron("node", "show", "ghost", error=errors.NodeNotFoundError)
    novacron("node", "set", "a", "--group", "a/b", error=errors.InvalidSpecError)


def test_refresh_shows_differences_and_unreachable_hosts(novacron):
    nova.fleet().hosts["a"].vms.create(name="by-hand", start=True)
    assert "by-hand" in novacron("node", "refresh", "a").stdout
    nova.fleet().add("c", "qemu+tcp://127.0.0.1:1/system")
    assert "error: c:" in novacron("node", "refresh", exit_code=3).stderr


def test_rules_and_quotas(novacron):
    novacron("node", "set", "a", "--label", "rack=r1")
    novacron("fleet", "add-rule", "apart", "anti-affinity", "db", "--scope", "rack", "--should")
    assert novacron.json("fleet", "rules") == [
        {"name": "apart", "kind": "anti-affinity", "tag": "db", "scope": "rack", "must": False}
    ]
    novacron("fleet", "remove-rule", "apart")
    novacron("fleet", "remove-rule", "apart", error=errors.NotFoundError)
    novacron("fleet", "set-quota", "owner:ann", "--vcpus", "4", "--memory", "8GiB")
    assert "0 of 4" in novacron("fleet", "quotas").stdout
    novacron("fleet", "remove-quota", "owner:ann")
    novacron("fleet", "set-quota", "ann", "--vcpus", "4", error=errors.InvalidSpecError)


def test_a_host_is_chosen_and_explained(novacron):
    for name in "ab":
        novacron("node", "set", name, "--group", "prod", "--label", f"zone={name}")
    made = novacron("vm", "create", "web1", "--host", "auto:prod", "--node-label", "zone=b", "--vcpus", "2", "--start")
    assert "web1 is on b" in made.stderr
    found = novacron.json("fleet", "explain", "--vcpus", "300", "--group", "prod")
    assert not found["candidates"]
    assert "300 vCPUs wanted" in novacron("fleet", "explain", "--vcpus", "300").stdout
    assert [each["host"] for each in novacron.json("fleet", "explain", "b/web1")["candidates"]] == ["a"]
    assert novacron.json("vm", "create", "web2", "--host", "auto")["host"] in "ab"
    novacron("vm", "list", "--host", "auto", error=errors.InvalidSpecError)
    novacron("vm", "create", "web3", "--host", "auto:ghost", error=errors.NotFoundError)
    novacron("vm", "create", "web3", "--host", "auto", "--node-label", "zone", exit_code=2)
    novacron("fleet", "explain", "b/web1", "--vcpus", "2", exit_code=2)


def test_maintenance(novacron):
    for name in "ab":
        novacron("node", "set", name, "--group", "prod")
    nova.fleet().hosts["a"].vms.create(name="mover", start=True)
    assert "mover" in novacron("host", "maintenance", "enter", "a", "--check", "--storage", "copy").stdout
    novacron("host", "maintenance", "enter", "a", exit_code=2)
    done = novacron("host", "maintenance", "enter", "a", "--storage", "copy", "--reason", "a fan", "--yes")
    assert "a is in maintenance" in done.stderr.replace(nova.fleet().nodes["a"].name, "a")
    assert nova.fleet().vms["mover"].host.name == "b"
    assert "maintenance" in novacron("node", "list").stdout
    novacron("host", "maintenance", "leave", "a", "--storage", "copy")
    assert nova.fleet().vms["mover"].host.name == "a"
    novacron("host", "maintenance", "leave", "a", error=errors.InvalidStateError)


def test_rolling_update(novacron):
    for name in "ab":
        novacron("node", "set", name, "--group", "prod")
    nova.fleet().hosts["a"].vms.create(name="mover", start=True)
    update = ["fleet", "rolling-update", "prod"]
    begin = [*update, "--command", "true", "--here", "--storage", "copy"]
    assert "mover" in novacron(*begin, "--dry-run").stdout
    novacron(*begin, exit_code=2)
    novacron(*update, "--command", "true", "--yes", error=errors.InvalidSpecError)
    novacron(*update, "--command", "false", "--here", "--storage", "copy", "--yes", error=errors.WorkflowError)
    assert [node["stage"] for node in novacron.json(*update, "--resume", "--dry-run")["nodes"]] == ["updating", "waiting"]
    novacron(*update, "--resume", "--command", "true", "--yes", error=errors.InvalidSpecError)
    novacron("host", "maintenance", "leave", "a", "--storage", "copy")
    assert "done" in novacron(*begin, "--yes").stdout
    assert nova.fleet().vms["mover"].host.name == "a"


def test_balance(novacron):
    for name in "ab":
        novacron("node", "set", name, "--group", "prod", "--vcpus-ratio", "1")
    for number in range(4):
        nova.fleet().hosts["a"].vms.create(name=f"heavy{number}", vcpus=8, memory="32GiB", start=True)
    novacron("node", "refresh")
    assert "heavy" in novacron("fleet", "balance", "prod", "--storage", "copy").stdout
    novacron("fleet", "balance", "prod", "--once", exit_code=2)
    plan = novacron.json("fleet", "balance", "prod", "--once", "--storage", "copy", "--yes")
    assert plan["moves"]
    assert {nova.fleet().vms[move["name"]].host.name for move in plan["moves"]} == {"b"}
    novacron("fleet", "set-group", "prod", "--balance-threshold", "0.2", "--balance-cool-down", "1h")
    assert "threshold 0.2" in novacron("fleet", "balance", "prod").stderr


def test_balancing_in_rounds(novacron):
    for name in "ab":
        novacron("node", "set", name, "--group", "prod", "--vcpus-ratio", "1")
    for number in range(4):
        nova.fleet().hosts["a"].vms.create(name=f"heavy{number}", vcpus=8, memory="32GiB", start=True)
    for options in (["--partial"], ["--rounds", "2"], ["--once", "--every", "1s"]):
        novacron("fleet", "balance", "prod", *options, "--yes", exit_code=2)
    novacron("fleet", "set-group", "prod", "--balance-hold", "1h")
    rounds = ("fleet", "balance", "prod", "--every", "0.01s", "--storage", "copy", "--yes", "--rounds")
    assert "unless the imbalance lasts for" in novacron(*rounds, "1").stderr
    assert len(nova.fleet().hosts["a"].vms.list()) == 6
    novacron("fleet", "set-group", "prod", "--balance-hold", "0s")
    novacron(*rounds, "1", "--partial")
    assert len(nova.fleet().hosts["a"].vms.list()) == 5


def test_groups_and_report(novacron):
    for name in "ab":
        novacron("node", "set", name, "--group", "prod")
    assert "has no nodes (groups that have some: prod)" in novacron("fleet", "set-group", "pord", "--vcpus-ratio", "2").stderr
    novacron("fleet", "remove-group", "pord")
    assert "no nodes" not in novacron("fleet", "set-group", "prod", "--vcpus-ratio", "1.5").stderr
    assert novacron.json("fleet", "groups")[0]["settings"]["vcpus_ratio"] == 1.5
    novacron("fleet", "set-group", "prod", "--failures", "1", "--admission", "warn")
    nova.fleet().hosts["a"].vms.create(name="large", vcpus=90, start=True)
    nova.fleet().hosts["b"].vms.create(name="large-too", vcpus=90, start=True)
    assert "large could not restart if" in novacron("fleet", "report").stderr
    for name in ("large", "large-too"):
        nova.fleet().vms[name].delete(force=True)
    report = novacron.json("fleet", "report")
    assert (report["groups"][0]["usable_nodes"], report["groups"][0]["vcpus"]["total"]) == (2, 128)
    assert "of 192" in novacron("fleet", "report", "--stored").stdout
    novacron("fleet", "remove-group", "prod", error=errors.InvalidStateError)
    novacron("fleet", "set-group", "prod", exit_code=2)
    novacron("fleet", "set-group", "fleet", "--no-shared-pools", "--shared-pool", "nfs", exit_code=2)
    for options, pools in ((["--shared-pool", "nfs"], ["nfs"]), (["--no-shared-pools"], [])):
        novacron("fleet", "set-group", "fleet", *options)
        assert nova.fleet().groups["fleet"].settings["shared_pools"] == pools
    for name in "ab":
        novacron("node", "set", name, "--group", "")
    novacron("fleet", "remove-group", "prod")


def test_fence_devices(novacron):
    assert {"manual", "redfish", "vm", "program"} <= {each["name"] for each in novacron.json("fence", "agents")}
    assert "system, ca_file" in novacron("fence", "agents").stdout
    novacron("fence", "set", "a", "vm", "--option", "host=b", "--option", "vm=b-00001")
    novacron("fence", "set", "a", "manual", "--level", "2")
    [first, second] = novacron.json("fence", "list", "a")
    assert (first["node"], first["agent"], second["level"]) == (nova.fleet().nodes["a"].name, "vm", 2)
    assert [each["status"] for each in novacron.json("fence", "test", "a")] == ["on", "unknown"]
    novacron("fence", "set", "b", "vm", "--option", "host=a", "--option", "vm=ghost")
    assert "ghost" in novacron("fence", "test", "b", exit_code=3).stdout
    novacron("fence", "set", "a", "vm", "--option", "host", exit_code=2)
    novacron("fence", "set", "a", "vm", "--option", "name=x", exit_code=2)
    novacron("fence", "set", "a", "ghost", error=errors.NotFoundError)
    novacron("fence", "remove", "a", "vm")
    novacron("fence", "remove", "a", "vm", error=errors.NotFoundError)


def test_failover(novacron):
    for name in "ab":
        novacron("node", "set", name, "--group", "prod")
        novacron("fence", "set", name, "manual")
    novacron("fleet", "set-group", "prod", "--failover", "on", "--shared-pool", "default", "--failover-grace", "0s")
    found = novacron.json("fleet", "failover", "protection", "a")
    assert {(each["node"], each["level"]) for each in found} == {(nova.fleet().nodes["a"].name, "C")}
    assert "a person has to confirm" in novacron("fleet", "failover", "protection").stdout
    novacron("fleet", "failover", "disarm")
    assert nova.fleet().groups["fleet"].settings == {"failover_disarmed": True}
    novacron("fleet", "failover", "arm")
    novacron("fleet", "failover", "run", "--rounds", "1")
    assert novacron.json("fleet", "failover", "list", "--all") == []
    novacron("fleet", "failover", "show", "a", error=errors.InvalidStateError)
    novacron("host", "confirm-fenced", "a", "--yes", error=errors.InvalidStateError)
    novacron("host", "confirm-fenced", "ghost", "--yes", error=errors.NodeNotFoundError)


def test_a_failover_is_shown(novacron):
    from novacron.store.failovers import FailoverStore

    class Right:
        def check(self, connection):
            pass

    node = nova.fleet().nodes["a"]
    FailoverStore(nova.fleet()._database).begin(Right(), node.id, node.name, "prod", "it does not answer")
    assert "fencing" in novacron("fleet", "failover", "list").stdout
    assert novacron.json("fleet", "failover", "show", "a")["stage"] == "fencing"
    assert "it does not answer" in novacron("fleet", "failover", "show", "a").output
    novacron("host", "confirm-fenced", "a", "--yes", error=errors.InvalidStateError)  # its host answers
