"""Simulated hosts: the whole contract in memory, to learn it, to test against it, and to read as an example of a driver.

`sim://NAME` is one host for the whole process: two connections to it see the same VMs, and `sim://a` and `sim://b` can migrate
VMs between each other. The URI's query may say

- `vms=100` and `prefix=web-`: VMs that are there from the beginning, `vm-00001` and so on;
- `latency=10ms` and `jitter=5ms`: how long every operation takes, at least, and how much more at most;
- `seed=7`: another sequence of UUIDs and MAC addresses, which are the same in every run otherwise.

`VMSpec.native` takes `{"ignores_shutdown": True}` and `{"dirty_bytes_per_second": 2**20}`, for guests that behave so.

Faults are set from Python; they strike every connection to the host:
    >>> import novacron
    >>> from novacron.drivers.sim import world
    >>> from novacron.errors import HostConnectionError, NovaCronError
    >>> host = novacron.connect("sim://faulty")
    >>> vm = host.vms.create(name="web1")
    >>> world("faulty").faults.add("vm_start", error=HostConnectionError("cable cut"), when="after")
    >>> try:
    ...     vm.start()
    ... except NovaCronError as error:
    ...     print(error, error.outcome, vm.refresh().status)
    cable cut on faulty unknown running
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.lazy_names import lazy_names

if TYPE_CHECKING:
    from novacron.drivers.sim.plugin import provider
    from novacron.drivers.sim.state.world import World, forget, temporary, world

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "plugin": "provider",
        "state.world": "World forget temporary world",
    },
)

__all__ = ["World", "forget", "provider", "temporary", "world"]
