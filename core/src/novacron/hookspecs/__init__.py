"""The contract: every operation that a driver can offer, one module per area. They hold no logic.

These modules list everything NovaCron can do. A driver implements the hooks it can, in any number of objects, and its methods may
take fewer arguments than the hook has. `host.supports()` is False for an operation that the driver does not implement.

For every operation a driver guarantees: it raises only `NovaCronError`s (an SDK's error is mapped, the original kept as
`__cause__`), returns a record or value and never None, leaves nothing half-made when it fails, and ends by itself when the
connection is dead. `vm` is always a VM's UUID or name. `job` takes progress and tells of cancellation.
"""

from novacron.hookspecs import (
    appliances,
    application,
    console,
    disks,
    events,
    filters,
    guest,
    host,
    lifecycle,
    metrics,
    migration,
    networks,
    nics,
    pools,
    power,
    resources,
    snapshots,
    templates,
    volumes,
)

API_VERSION = "1.4"
"""Version of the contract: adding a hook or argument raises the second number, renaming or removing one the first."""

AREAS = (
    host,
    lifecycle,
    power,
    resources,
    disks,
    nics,
    volumes,
    pools,
    networks,
    filters,
    snapshots,
    templates,
    migration,
    guest,
    console,
    metrics,
    events,
    appliances,
)
"""The areas of the contract, in the order of the documentation. Handles, records and drivers use the same file names."""

__all__ = ["API_VERSION", "AREAS", "application"]
