"""The fence agent `vm`: the node is itself a VM. It is switched off through the host on which that VM runs, with any driver."""

from __future__ import annotations

from collections.abc import Sequence

from novacron.errors import InvalidStateError
from novacron.fleets.demand import INACTIVE
from novacron.records.fencing import FenceTarget, PowerStatus


class HostVM:
    """Stops the VM that the node is. The options are `host`, a host of the fleet, and `vm`, the name or UUID of the VM there."""

    name = "vm"
    required: Sequence[str] = ("host", "vm")
    optional: Sequence[str] | None = ()

    def off(self, target: FenceTarget) -> None:
        """Stop the VM at once. A VM that is not active stays as it is."""
        if self.status(target) == "on":
            try:
                target.hosts[target.options["host"]].invoke("vm_stop", vm=target.options["vm"])
            except InvalidStateError:
                return  # it stopped meanwhile; the status will tell

    def status(self, target: FenceTarget) -> PowerStatus:
        """Return "off" if the VM is not active."""
        vm = target.hosts[target.options["host"]].invoke("vm_get", vm=target.options["vm"])
        return "off" if vm.status in INACTIVE else "unknown" if vm.status == "unknown" else "on"


__all__ = ["HostVM"]
