"""A migration is tuned only while it sends memory: libvirt drops or postpones the values otherwise, and says nothing."""

import itertools

import libvirt
import pytest

from novacron.errors import InvalidStateError
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
