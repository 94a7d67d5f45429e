"""A migration is tuned only while it sends memory: libvirt drops or postpones the values otherwise, and says nothing."""

import itertools

import libvirt
import pytest

import novacron
from novacron.errors import HostConnectionError, InvalidStateError
from novacron.jobs import Job
from novacron.specs import MigrationSpec
from novacron_kvm.operations import migration

PREPARING = {
    "type": libvirt.VIR_DOMAIN_JOB_UNBOUNDED,
    "operation": libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT,
    "memory_total": 0,
}
SENDING = PREPARING | {"memory_total": 2**27}
SAVING = SENDING | {"operation": libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE}
NOTHING = {"type": libvirt.VIR_DOMAIN_JOB_NONE}


class Domain:
    """A running domain whose job has these figures, one after the other; the last ones stay."""

    def __init__(self, *figures):
        self.figures = itertools.chain(figures, itertools.repeat(figures[-1]))
        self.speeds = []

    def isActive(self):
        return True

    def name(self):
        return "web1"

    def jobStats(self, flags):
        self.last = next(self.figures)
        return self.last

    def migrateSetMaxSpeed(self, speed, flags):
        self.speeds.append((speed, self.last))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(migration, "POLL", 0)
    monkeypatch.setattr(migration, "vm_record", lambda connection, domain: domain)


class Connection:
    def __init__(self, domain):
        self.found = domain

    def domain(self, vm):
        return self.found


def tune(domain):
    return migration.KVMMigration(Connection(domain)).migration_tune("web1", 2**30, None, False)


def test_the_bandwidth_is_set_when_memory_is_sent_and_not_before():
    domain = tune(Domain(*[PREPARING] * 9, SENDING))
    assert domain.speeds == [(1024, SENDING)]


def test_a_migration_that_only_copies_disks_is_named(monkeypatch):
    monkeypatch.setattr(migration, "PREPARATION", 0)
    domain = Domain(PREPARING)
    with pytest.raises(InvalidStateError, match="does not send memory yet"):
        tune(domain)
    assert domain.speeds == []


@pytest.mark.parametrize("figures", [[NOTHING], [SAVING], [PREPARING, PREPARING, NOTHING]])
def test_what_is_no_migration_any_more_is_not_tuned(figures):
    domain = Domain(*figures)
    with pytest.raises(InvalidStateError, match="is not being migrated"):
        tune(domain)
    assert domain.speeds == []


def test_a_migration_whose_destination_can_not_be_reached_has_changed_nothing(monkeypatch):
    """It was said that its outcome is unknown: the source had been asked before, if only for the VM."""

    def check(*arguments):
        raise HostConnectionError("can't connect to qemu://b/system", outcome="not_sent")

    monkeypatch.setattr(migration, "check_migration", check)
    with novacron.connect("test:///default") as host:
        connection = host.dispatcher.driver.native
        with pytest.raises(HostConnectionError) as caught, connection.operation():
            migration.KVMMigration(connection).vm_migrate("test", None, MigrationSpec(), Job("vm_migrate", "test"))
        assert caught.value.outcome == "failed"
