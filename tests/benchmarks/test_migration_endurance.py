"""Fifty migrations there and back of a guest that dirties its memory: all arrive, and no second of the guest's is lost."""

import pytest

from novacron import errors

pytestmark = [pytest.mark.benchmark, pytest.mark.lab, pytest.mark.timeout(1200)]
TIMES = 50


def test_fifty_migrations_there_and_back_under_memory_load(lab_hosts, boot, tell):
    hosts = list(lab_hosts)
    vm = boot(hosts[0], "endurance", memory="192MiB", load=30, nics=[{"network": "default"}])
    downtimes, failures = [], []
    for number in range(2 * TIMES):
        here = vm.host
        there = hosts[1] if here is hosts[0] else hosts[0]
        try:
            vm.migrate(there, max_downtime=1, deadline=120)
            downtimes.append(vm.last_migration.downtime_seconds)
        except errors.NovaCronError as error:
            failures.append(f"{number}: {type(error).__name__}: {error}")
            vm.refresh()
        places = {host.name: host.vms[vm.id].status for host in hosts if vm.id in host.vms}
        assert places == {vm.host.name: "running"}, f"after migration {number}: {places}"
    vm.console.wait_for_more_ticks()
    numbers = [number for number, _ in vm.console.ticks]
    tell(
        f"{2 * TIMES - len(failures)} of {2 * TIMES} arrived; downtime {1000 * min(downtimes):.0f} to {1000 * max(downtimes):.0f} ms; "
        f"{len(numbers)} seconds counted"
    )
    assert failures == []
    assert numbers == list(range(1, len(numbers) + 1)), f"a second was lost or counted twice: {vm.console.text[-3000:]}"
