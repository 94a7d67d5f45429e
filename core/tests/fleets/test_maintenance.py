"""Maintenance: a node is emptied once, or the VMs that can't move are named and nothing is changed."""

import pytest

from novacron import Site, errors


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state") as made:
        made.fleet.settings["migrations_per_host"] = 8
        yield made


def running(host):
    return {vm.name for vm in host.vms.list() if vm.status == "running"}


def test_running_vms_move_once_and_come_back(site, add):
    a, b, c = add("a"), add("b"), add("c")
    for number in range(4):
        a.vms.create(name=f"vm{number}", vcpus=20 - number * 5 or 1, start=True)
    a.vms.create(name="off")
    plan = site.fleet.maintenance.enter("a", storage="copy", reason="a new disk")
    assert {move.name for move in plan.moves} == {"vm0", "vm1", "vm2", "vm3"}
    assert not plan.stuck
    assert (running(a), [vm.name for vm in a.vms.list()]) == (set(), ["off"])
    assert running(b) | running(c) == {"vm0", "vm1", "vm2", "vm3"}
    assert (running(b), running(c)) != (set(), set())
    node = site.fleet.nodes["a"]
    assert (node.status, node.reason, node.vcpus.allocated) == ("maintenance", "a new disk", 0)
    back = site.fleet.maintenance.leave("a", storage="copy")
    assert (len(back.moves), running(a)) == (4, {"vm0", "vm1", "vm2", "vm3"})
    assert site.fleet.nodes["a"].status == "up"
    assert len(site.fleet.runs.list()) == 2


def test_a_node_in_maintenance_takes_no_vm(site, add):
    a = add("a")
    add("b")
    site.fleet.maintenance.enter("a")
    with pytest.raises(errors.ResourceAllocationError, match="maintenance"):
        a.vms.create(name="new", start=True)
    assert site.fleet.create(name="new", start=True).host.name == "b"
    site.fleet.nodes.refresh()
    assert site.fleet.nodes["a"].status == "maintenance"


@pytest.mark.parametrize("obstacle", ["capacity", "rule", "network", "cpu"])
def test_vms_that_cannot_move_are_named_and_nothing_is_changed(site, add, obstacle):
    a, b = add("a"), add("b")
    a.vms.create(name="free", start=True)
    if obstacle == "capacity":
        a.vms.create(name="stuck", vcpus=60, start=True)
        b.vms.create(name="there", vcpus=10, start=True)
    elif obstacle == "rule":
        site.fleet.rules.add("apart", "anti-affinity", tag="db")
        a.vms.create(name="stuck", tags={"db"}, start=True)
        b.vms.create(name="there", tags={"db"}, start=True)
    elif obstacle == "cpu":
        a.vms.create(name="stuck", cpu_model=site.fleet.cpu_baseline("prod").model, start=True)
        b.world.cpu_model = "sim-1"
    else:
        a.networks.create(name="lab", type="isolated")
        a.networks.start("lab") if not a.networks["lab"].active else None
        a.vms.create(name="stuck", nics=[{"network": "lab"}], start=True)
    before = running(a)
    with pytest.raises(errors.MigrationCheckError, match="stuck") as caught:
        site.fleet.maintenance.enter("a", storage="copy")
    assert len(caught.value.failures) == 1
    assert (site.fleet.nodes["a"].status, running(a)) == ("up", before)
    plan = site.fleet.maintenance.enter("a", storage="copy", partial=True)
    assert ([each.name for each in plan.stuck], running(a)) == (["stuck"], {"stuck"})
    assert site.fleet.nodes["a"].status == "maintenance"


def test_another_destination_is_taken_where_the_best_fails_its_checks(site, add):
    a, b = add("a"), add("b")
    c = add("c")
    c.vms.create(name="load", vcpus=10, start=True)
    a.vms.create(name="web", nics=[{"network": "default"}], start=True)
    b.networks.stop("default")
    [move] = site.fleet.maintenance.plan("a", storage="copy").moves
    assert move.host == "c"
    assert site.fleet.nodes["a"].status == "up"


def test_a_migration_that_fails_is_reported_and_does_not_stop_the_others(site, add):
    a = add("a")
    add("b")
    for name in ("good", "bad"):
        a.vms.create(name=name, start=True)
    check = site.fleet.maintenance.plan("a", storage="copy")
    assert not check.stuck
    a.world.faults.add("vm_migrate", error=errors.MigrationError("the link is bad"), resource="bad")
    plan = site.fleet.maintenance.enter("a", storage="copy")
    assert ([each.name for each in plan.stuck], [move.name for move in plan.moves]) == (["bad"], ["good"])
    assert running(a) == {"bad"}


def test_stopped_vms_move_if_it_is_wanted(site, add):
    a, b = add("a"), add("b")
    a.vms.create(name="off")
    site.fleet.maintenance.enter("a", storage="copy", stopped=True)
    assert ([*a.vms.list()], [vm.name for vm in b.vms.list()]) == ([], ["off"])


def test_vms_that_were_stopped_or_deleted_meanwhile_do_not_come_back(site, add):
    a, b = add("a"), add("b")
    for name in ("one", "two", "three"):
        a.vms.create(name=name, start=True)
    site.fleet.maintenance.enter("a", storage="copy")
    b.vms["one"].delete(force=True)
    b.vms["two"].stop()
    assert [move.name for move in site.fleet.maintenance.leave("a", storage="copy").moves] == ["three"]


def test_a_node_that_is_up_can_not_leave_maintenance(site, add):
    add("a")
    with pytest.raises(errors.InvalidStateError, match="not in maintenance"):
        site.fleet.maintenance.leave("a")
    with pytest.raises(errors.NodeNotFoundError):
        site.fleet.maintenance.enter("ghost")


def test_a_cancelled_run_leaves_every_vm_running_on_one_host(site, add):
    a, b = add("a"), add("b")
    for number in range(6):
        a.vms.create(name=f"vm{number}", start=True)
    with pytest.raises(errors.OperationCancelledError):
        site.fleet.maintenance.enter("a", storage="copy", follow=lambda run: run.cancel())
    assert site.fleet.nodes["a"].status == "maintenance"
    assert sorted([*running(a), *running(b)]) == [f"vm{number}" for number in range(6)]
    site.fleet.maintenance.leave("a", storage="copy")
    assert len(running(a)) == 6


@pytest.mark.parametrize("then", ["enter", "leave"])
def test_a_run_that_was_interrupted_is_finished_first(site, add, then):
    """Its VMs could not move otherwise: a run waits for the earlier ones of its VMs."""
    site.fleet.settings["migrations_per_host"] = 1
    a, b = add("a"), add("b")
    for name in ("one", "two"):
        a.vms.create(name=name, start=True)
    a.world.faults.add("vm_migrate", hang=600, times=None)

    def interrupt(run):
        site.fleet.runs.detach(run.id)
        a.world.faults.clear()

    with pytest.raises(errors.WorkflowError, match="detached"):
        site.fleet.maintenance.enter("a", storage="copy", follow=interrupt)
    [record] = site.fleet.runs.list(unfinished=True)
    assert record.process is None
    if then == "enter":
        site.fleet.maintenance.enter("a", storage="copy")
        assert (running(a), running(b)) == (set(), {"one", "two"})
    site.fleet.maintenance.leave("a", storage="copy")
    assert (running(a), site.fleet.nodes["a"].status) == ({"one", "two"}, "up")


def test_a_leave_that_was_cancelled_can_be_repeated(site, add):
    a, b = add("a"), add("b")
    for number in range(3):
        a.vms.create(name=f"vm{number}", start=True)
    site.fleet.maintenance.enter("a", storage="copy")
    with pytest.raises(errors.OperationCancelledError):
        site.fleet.maintenance.leave("a", storage="copy", follow=lambda run: run.cancel())
    assert site.fleet.nodes["a"].status == "up"
    site.fleet.maintenance.leave("a", storage="copy")
    assert (len(running(a)), running(b)) == (3, set())


def test_leave_names_the_vms_whose_migration_back_failed(site, add):
    a, b = add("a"), add("b")
    for name in ("good", "bad"):
        a.vms.create(name=name, start=True)
    site.fleet.maintenance.enter("a", storage="copy")
    b.world.faults.add("vm_migrate", error=errors.MigrationError("the link is bad"), resource="bad")
    back = site.fleet.maintenance.leave("a", storage="copy")
    assert ([each.name for each in back.stuck], [move.name for move in back.moves]) == (["bad"], ["good"])


def test_nodes_that_something_else_balances_are_left_to_it(site, add):
    a, b = add("a"), add("b")
    a.vms.create(name="web", start=True)
    a.world.balanced_by = b.world.balanced_by = "DRS of the cluster C0"
    site.fleet.nodes.refresh()
    assert site.fleet.nodes["a"].balanced_by == "DRS of the cluster C0"
    for work in (
        lambda: site.fleet.maintenance.enter("a", storage="copy"),
        lambda: site.fleet.maintenance.rolling_update("prod", storage="copy"),
        lambda: site.fleet.balance("prod"),
        lambda: site.fleet.balance("prod", mode="full"),
    ):
        with pytest.raises(errors.InvalidStateError, match="DRS of the cluster C0"):
            work()
    assert (running(a), site.fleet.nodes["a"].status, site.fleet.runs.list()) == ({"web"}, "up", [])
    a.world.balanced_by = b.world.balanced_by = None
    site.fleet.nodes.refresh()
    assert site.fleet.balance("prod").group == "prod"
    assert not site.fleet.maintenance.enter("a", storage="copy").stuck
