"""The contract: every operation that a driver can offer, one module per area. They hold no logic.

Reading these modules top to bottom is reading what NovaCron can do. A driver implements the hooks it can, in any number of
objects, and may name fewer arguments than a hook has. What it does not implement, `host.supports()` says it lacks.

For every operation a driver guarantees: it raises only `NovaCronError`s (an SDK's error is mapped, the original kept as
`__cause__`), returns a record or value and never None, leaves nothing half-made when it fails, and ends by itself when the
connection is dead. `vm` is always a VM's UUID or name. `job` takes progress and tells of cancellation.
"""

from novacron.hookspecs import (
    appliances,
    application,
    console,
    events,
    guest,
    host,
    lifecycle,
    metrics,
    migration,
    network,
    resources,
    snapshots,
    storage,
    templates,
)

API_VERSION = "1.3"
"""Version of the contract: adding a hook or argument raises the second number, renaming or removing one the first."""

AREAS = (
    host, lifecycle, resources, storage, network, snapshots, migration, templates, appliances, metrics, events, guest, console,
)  # fmt: skip

__all__ = ["API_VERSION", "AREAS", "application"]
