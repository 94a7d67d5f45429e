"""The contract: every operation that a driver can offer, one module per area. These modules contain no logic.

A driver implements the hooks that it supports, in any number of objects. Its methods may take fewer arguments than the hook has.
`host.supports()` is False for an operation that the driver does not implement.

A driver guarantees for every operation:

- It raises only `NovaCronError`s. An SDK's error is mapped, and the original is the `__cause__`.
- It returns a record or value, never None.
- On failure nothing half-created remains.
- It ends when the connection is lost.

Any operation can also raise HostConnectionError, AuthenticationError, AccessDeniedError, OperationTimeoutError, DriverError and
UnsupportedOperationError. `When` lists the allowed statuses of the VM: in any other status an operation raises InvalidStateError,
or GuestAgentUnavailableError for the guest agent. A change or job raises BusyError if another operation holds the lock of the VM.

`vm` is always a VM's UUID or name. `job` takes progress and reports cancellation; a cancelled job raises OperationCancelledError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.lazy_names import lazy_names

if TYPE_CHECKING:
    from novacron.hookspecs import application
    from novacron.hookspecs.areas import AREAS

API_VERSION = "1.5"
"""Version of the contract: adding a hook or argument raises the second number, renaming or removing one the first."""

__getattr__, __dir__ = lazy_names(__name__, {"application": "", "areas": "AREAS"})

__all__ = ["API_VERSION", "AREAS", "application"]
