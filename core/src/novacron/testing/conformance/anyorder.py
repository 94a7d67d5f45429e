"""Operations in any order: the driver behaves as the table of statuses says."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from novacron.errors import InvalidStateError
from novacron.handles.host import HostHandle
from novacron.plugins.validation import operations
from novacron.testing.conformance.case import Conformance, Create
from novacron.testing.target import Target

AFTER = {
    "vm_start": {"stopped": "running", "saved": "running"},
    "vm_stop": {"running": "stopped", "suspended": "stopped"},
    "vm_suspend": {"running": "suspended", "suspended": "suspended"},
    "vm_resume": {"running": "running", "suspended": "running"},
    "vm_reset": {"running": "running"},
    "vm_save": {"running": "saved"},
    "vm_restore": {"saved": "running"},
}
"""The status after an operation, by the one before; in all others it is refused."""

OPEN = {("vm_save", "suspended")}
"""Whether the VM is running or suspended when it is restored is left to the driver, so it is not tried."""


class TestAnyOrder(Conformance):
    """Random walks through the statuses, the same ones in every run."""

    def test_every_walk_ends_where_the_table_says(self, host: HostHandle, target: Target, create: Create) -> None:
        """An allowed operation succeeds; any other is refused and changes nothing, whatever was done to the VM before."""
        offered = [name for name in AFTER if host.supports(name)]
        assert all(operations()[name].mandatory for name in ("vm_start", "vm_stop"))

        @settings(
            max_examples=target.walks,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(st.sampled_from(offered), min_size=4, max_size=10))
        def walk(steps: list[str]) -> None:
            vm, status = create(), "stopped"
            for step in steps:
                if (step, status) in OPEN:
                    continue
                if status in AFTER[step]:
                    status = AFTER[step][status]
                    assert host.invoke(step, vm=vm.id).status == status
                else:
                    with pytest.raises(InvalidStateError):
                        host.invoke(step, vm=vm.id)
                assert host.vms[vm.id].status == status, f"after {step}"
            vm.delete(force=True)

        walk()


__all__ = ["AFTER", "TestAnyOrder"]
