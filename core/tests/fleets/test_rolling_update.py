"""Rolling updates: each node is emptied, updated and filled again once; a failure stops it, and it can be continued."""

import os
import sys
import threading
import uuid

import pytest

from novacron import Site, errors
from novacron.drivers.sim.state.world import world
from novacron.fleets import node_program, rolling_update
from novacron.ssh.target import JumpHost


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state") as made:
        made.fleet.settings["migrations_per_host"] = 8
        yield made


@pytest.fixture
def hosts(site):
    """Return three simulated hosts of the group "prod", with a running VM each."""
    found = {}
    for name in "abc":
        machine = f"rolling-{name}-{uuid.uuid4().hex[:8]}"
        site.fleet.add(name, f"sim://{machine}")
        site.fleet.nodes.refresh([name])
        site.fleet.nodes.set(name, group="prod", vcpus_ratio=1)
        found[name] = site.fleet.hosts[name]
        found[name].world = world(machine)
        found[name].vms.create(name=f"{name}0", vcpus=4, start=True)
    return found


@pytest.fixture
def log(tmp_path):
    """Return the file to which the command of `update` writes the name of each node."""
    file = tmp_path / "log"
    file.touch()
    return file


@pytest.fixture
def update(site, log, tmp_path):
    """Return a function that runs a rolling update. The command fails for the nodes that are named in the file `bad`."""
    script = (
        "import os, sys; name = os.environ['NOVACRON_HOST']; open(sys.argv[1], 'a').write(name); "
        "sys.exit(name in open(sys.argv[2]).read())"
    )
    (tmp_path / "bad").touch()

    def run(**options):
        if not options.get("resume"):
            command = [sys.executable, "-c", script, str(log), str(tmp_path / "bad")]
            options = {"command": command, "run_on": "here", "storage": "copy"} | options
        return site.fleet.maintenance.rolling_update("prod", **options)

    run.bad = tmp_path / "bad"
    return run


def running(hosts):
    return {name: sorted(vm.name for vm in host.vms.list() if vm.status == "running") for name, host in hosts.items()}


HOME = {name: [f"{name}0"] for name in "abc"}


def stages(update):
    return [node.stage for node in update.nodes]


def test_each_node_is_updated_once_while_it_is_empty_and_its_vms_come_back(site, hosts, update, log):
    seen = []

    def tell(text):
        if "command runs" in text:
            name = text[0] if text[0] in hosts else next(n.host for n in site.fleet.nodes if text.startswith(n.name + ":"))
            seen.append((name, running(hosts)[name], site.fleet.nodes[name].status))

    done = update(tell=tell)
    assert seen == [(name, [], "maintenance") for name in "abc"]
    assert (log.read_text(), stages(done), running(hosts)) == ("abc", ["done"] * 3, HOME)
    assert {node.status for node in site.fleet.nodes} == {"up"}


def test_a_failure_stops_and_resume_continues_without_the_finished_nodes(site, hosts, update, log):
    update.bad.write_text("b")
    with pytest.raises(errors.WorkflowError, match=r"done: .*; not done: .*\(updating\), .*\(waiting\)") as caught:
        update()
    assert "--resume" in caught.value.hint
    assert (log.read_text(), site.fleet.nodes["a"].status, site.fleet.nodes["b"].status) == ("ab", "up", "maintenance")
    with pytest.raises(errors.InvalidStateError, match="has not ended"):
        update()
    plan = update(dry_run=True, resume=True)
    assert ([*stages(plan)], "ended with 1" in plan.nodes[1].reason) == (["done", "updating", "waiting"], True)
    update.bad.write_text("")
    assert stages(update(resume=True)) == ["done"] * 3
    assert (log.read_text(), running(hosts)) == ("abbc", HOME)
    with pytest.raises(errors.NotFoundError, match="is to be continued"):
        update(resume=True)


class Killed(BaseException):
    """Ends the process at once: nothing handles it."""


@pytest.mark.parametrize("at", ["move away", "command runs", "come back"])
def test_a_killed_update_is_continued(site, hosts, update, log, at):
    def tell(text):
        if at in text and text.startswith(site.fleet.nodes["b"].name):
            raise Killed

    with pytest.raises(Killed):
        update(tell=tell)
    assert stages(update(resume=True)) == ["done"] * 3
    assert (log.read_text(), running(hosts)) == ("abc", HOME)


def test_vms_that_cannot_move_are_named_before_anything_is_changed(site, hosts, update, log):
    hosts["c"].networks.create(name="lab", type="isolated")
    hosts["c"].vms.create(name="stuck", nics=[{"network": "lab"}], start=True)
    assert [vm.name for vm in update(dry_run=True).stuck] == ["stuck"]
    with pytest.raises(errors.MigrationCheckError, match="stuck"):
        update()
    assert (log.read_text(), {node.status for node in site.fleet.nodes}) == ("", {"up"})
    assert not site.fleet.runs.list()


def test_nodes_that_are_away_together_do_not_take_each_others_vms(site, hosts, update, log):
    plan = update(dry_run=True, max_unavailable=2)
    assert {move.host for node in plan.nodes[:2] for move in node.plan.moves} == {"c"}
    done = update(max_unavailable=2)
    assert (sorted(log.read_text()), stages(done), running(hosts)) == (["a", "b", "c"], ["done"] * 3, HOME)


def test_room_that_two_empty_nodes_need_is_planned_together(site, hosts, update):
    hosts["c"].vms.create(name="large", vcpus=54, start=True)
    assert not update(dry_run=True).stuck
    [stuck] = update(dry_run=True, max_unavailable=2).stuck  # 6 vCPUs are left for two VMs with 4 each
    assert stuck.name in ("a0", "b0")


def test_no_more_nodes_are_away_than_may_fail(site, hosts, update):
    site.fleet.groups.set("prod", failures=1)
    with pytest.raises(errors.InvalidSpecError, match="1 to 1"):
        update(max_unavailable=2)


BAD_FIELDS = [
    {"command": ["no-such-program-here"]},
    {"command": ["true", "--password", "hunter2"]},
    {"command": ["true"], "run_on": "node"},
    {"command": "true"},
    {"command": [""]},
    {"max_unavailable": 0},
    {"command_timeout": "soon"},
    {"colour": "red"},
]


def test_bad_fields_are_refused_before_anything_is_changed(site, hosts, update):
    for fields in BAD_FIELDS:
        with pytest.raises(errors.InvalidSpecError) as caught:
            update(**fields)
        assert "hunter2" not in str(caught.value)
    assert {node.status for node in site.fleet.nodes} == {"up"}


def test_fields_can_not_be_changed_while_it_is_continued(site, hosts):
    with pytest.raises(errors.InvalidSpecError, match="max_unavailable"):
        site.fleet.maintenance.rolling_update("prod", resume=True, max_unavailable=2)


def test_a_group_with_a_node_that_is_not_up_is_refused(site, hosts, update):
    site.fleet.nodes.cordon("b")
    with pytest.raises(errors.InvalidStateError, match="cordoned"):
        update()
    with pytest.raises(errors.NotFoundError, match="ghost"):
        site.fleet.maintenance.rolling_update("ghost")


def test_stop_ends_the_command_and_it_can_be_continued(site, hosts, update, log):
    stop = threading.Event()
    sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
    with pytest.raises(errors.OperationCancelledError, match="stopped at"):
        update(command=sleeping, stop=stop, tell=lambda text: stop.set() if "command" in text else None)
    assert site.fleet.nodes["a"].status == "maintenance"
    site.fleet.maintenance.leave("a", storage="copy")
    assert stages(update()) == ["done"] * 3


def test_a_command_that_takes_too_long_is_killed(site, hosts, update):
    with pytest.raises(errors.WorkflowError, match="did not end within"):
        update(command=[sys.executable, "-c", "import time; time.sleep(600)"], command_timeout=0.1)


def test_a_node_that_does_not_answer_stops_the_update(site, hosts, update):
    hosts["a"].world.faults.add("host_ping", error=errors.HostConnectionError("no route"), times=None)
    with pytest.raises(errors.WorkflowError, match="did not answer"):
        update(answer_timeout=0.001)
    hosts["a"].world.faults.clear()
    assert stages(update(resume=True)) == ["done"] * 3


def test_a_node_that_does_not_restart_stops_the_update(site, hosts, update):
    with pytest.raises(errors.WorkflowError, match="did not restart"):
        update(reboots=True, answer_timeout=0.001)


SSH = """#!{python}
import os, pathlib, sys, time
folder, words = pathlib.Path({folder!r}), sys.argv[sys.argv.index("--") + 1 :]
boots, down = folder / ("boots-" + words[0]), folder / ("down-" + words[0])
if down.exists():
    sys.exit(255)
if words[1] == "cat":
    print(boots.read_text() if boots.exists() else "1")
elif words[1] == "reboot":
    with (folder / "log").open("a") as log:
        log.write(words[0][0])
    if (folder / "dies").exists():
        down.touch()
    elif not (folder / "ignores").exists():
        boots.write_text("2")
    sys.exit(255)
"""


@pytest.fixture
def by_ssh(tmp_path, hosts, monkeypatch):
    """Let the hosts be reached by a program `ssh` that restarts them at once, so that nobody sees them down. Returns its folder."""
    folder = tmp_path / "ssh"
    folder.mkdir()
    program = folder / "ssh"
    program.write_text(SSH.format(python=sys.executable, folder=str(folder)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(node_program, "jump_of", lambda uri: JumpHost(address=uri.partition("rolling-")[2]))
    monkeypatch.setattr(rolling_update, "INTERVAL", 0.01)
    return folder


def test_a_restart_that_nobody_saw_is_known_by_the_number_of_the_boot(site, hosts, update, by_ssh):
    """A node was waited for until it was down. One that was quicker stopped the update, and a restarted daemon counted as the node."""
    done = update(command=["reboot"], run_on="node", reboots=True)
    assert ((by_ssh / "log").read_text(), stages(done), running(hosts)) == ("abc", ["done"] * 3, HOME)


def test_a_node_that_ignores_the_restart_gets_no_vms_back(site, hosts, update, by_ssh):
    (by_ssh / "ignores").touch()
    with pytest.raises(errors.WorkflowError, match="did not restart, or is not reached by SSH, after"):
        update(command=["reboot"], run_on="node", reboots=True, answer_timeout=0.001)
    assert (running(hosts)["a"], site.fleet.nodes["a"].status) == ([], "maintenance")
    (by_ssh / "ignores").unlink()
    assert stages(update(resume=True)) == ["done"] * 3
    assert running(hosts) == HOME


def test_a_node_that_goes_down_during_its_restart_stops_the_update_until_it_is_back(site, hosts, update, by_ssh):
    (by_ssh / "dies").touch()
    with pytest.raises(errors.WorkflowError, match="not reached by SSH") as caught:
        update(command=["reboot"], run_on="node", reboots=True, answer_timeout=0.001)
    hosts["a"].world.disconnect()
    assert "--resume" in caught.value.hint
    assert site.fleet.maintenance.rolling_update("prod", resume=True, dry_run=True).nodes[0].stage == "updating"
    with pytest.raises(errors.WorkflowError, match=r"ssh to .* failed"):  # it is named at once, and nothing runs
        update(resume=True)
    assert (by_ssh / "log").read_text() == "a"
    for each in (*by_ssh.glob("down-*"), by_ssh / "dies"):
        each.unlink()
    hosts["a"].world.reconnect()
    assert stages(update(resume=True)) == ["done"] * 3
    assert ((by_ssh / "log").read_text(), running(hosts)) == ("aabc", HOME)


@pytest.mark.parametrize("status", ["suspect", "fencing", "fenced"])
def test_another_node_that_fails_during_the_update_stops_it_before_more_vms_move(site, hosts, update, log, status):
    """The next node would be emptied onto a node that is being fenced, or be taken out of its failover."""
    failed = site.fleet.nodes["b"].id

    def tell(text):
        if "command runs" in text and not log.read_text():
            site.fleet.nodes._store.change(failed, status=status, reason="it does not answer")

    with pytest.raises(errors.WorkflowError, match=f"is {status}"):
        update(tell=tell)
    assert (log.read_text(), site.fleet.nodes["b"].status, running(hosts)) == ("a", status, HOME)
    site.fleet.nodes._store.change(failed, status="up", reason="")
    assert stages(update(resume=True)) == ["done"] * 3
    assert (log.read_text(), running(hosts)) == ("abc", HOME)


def test_only_one_process_updates_a_group(site, hosts, update, tmp_path):
    with Site(tmp_path / "state") as other:

        def tell(text):
            if "command" in text:
                with pytest.raises(errors.BusyError):
                    other.fleet.maintenance.rolling_update("prod", dry_run=False)

        update(tell=tell)


def test_a_migration_that_fails_stops_the_update(site, hosts, update):
    hosts["b"].world.faults.add("vm_migrate", error=errors.MigrationError("the link is bad"), resource="b0")
    with pytest.raises(errors.WorkflowError, match="b0 did not move"):
        update()
    assert stages(update(resume=True)) == ["done"] * 3
    assert running(hosts) == HOME
