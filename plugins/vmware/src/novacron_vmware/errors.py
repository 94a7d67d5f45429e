"""What vSphere and the network raise and what NovaCron raises for it: one table, the most specific class wins."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from novacron import errors as nova
from novacron.errors import NovaCronError, Outcome
from novacron_vmware.sdk import vmodl

TLS_HINT = "give the certificate's SHA-256 as ?thumbprint=..., have its authority trusted by the system, or use ?verify=no"

FAULTS: dict[str, tuple[type[NovaCronError], Outcome]] = {
    "vim.fault.InvalidLogin": (nova.AuthenticationError, "not_sent"),
    "vim.fault.NotAuthenticated": (nova.AuthenticationError, "not_sent"),
    "vim.fault.NoPermission": (nova.AccessDeniedError, "failed"),
    "vmodl.fault.SecurityError": (nova.AccessDeniedError, "failed"),
    "vim.fault.RestrictedVersion": (nova.AccessDeniedError, "failed"),
    "vmodl.fault.ManagedObjectNotFound": (nova.VMNotFoundError, "failed"),
    "vim.fault.NotFound": (nova.NotFoundError, "failed"),
    "vim.fault.FileNotFound": (nova.ImageNotFoundError, "failed"),
    "vim.fault.InvalidDatastore": (nova.StoragePoolNotFoundError, "failed"),
    "vim.fault.DuplicateName": (nova.AlreadyExistsError, "failed"),
    "vim.fault.AlreadyExists": (nova.AlreadyExistsError, "failed"),
    "vim.fault.FileAlreadyExists": (nova.AlreadyExistsError, "failed"),
    "vim.fault.InvalidState": (nova.InvalidStateError, "failed"),
    "vim.fault.TaskInProgress": (nova.BusyError, "not_sent"),
    "vim.fault.ConcurrentAccess": (nova.BusyError, "failed"),
    "vim.fault.ResourceInUse": (nova.BusyError, "failed"),
    "vim.fault.InsufficientResourcesFault": (nova.ResourceAllocationError, "failed"),
    "vim.fault.NoDiskSpace": (nova.ResourceAllocationError, "failed"),
    "vim.fault.FileLocked": (nova.DiskLockedError, "failed"),
    "vim.fault.FileFault": (nova.StorageError, "failed"),
    "vim.fault.MigrationFault": (nova.MigrationError, "failed"),
    "vim.fault.SnapshotFault": (nova.SnapshotError, "failed"),
    "vim.fault.ToolsUnavailable": (nova.GuestAgentUnavailableError, "failed"),
    "vim.fault.GuestOperationsFault": (nova.GuestAgentError, "failed"),
    "vim.fault.Timedout": (nova.OperationTimeoutError, "unknown"),
    "vmodl.fault.RequestCanceled": (nova.OperationCancelledError, "failed"),
    "vmodl.fault.NotSupported": (nova.UnsupportedOperationError, "failed"),
    "vmodl.fault.NotImplemented": (nova.UnsupportedOperationError, "failed"),
    "vmodl.fault.MethodNotFound": (nova.UnsupportedOperationError, "failed"),
    "vmodl.fault.InvalidRequest": (nova.InvalidSpecError, "failed"),
    "vmodl.fault.InvalidArgument": (nova.InvalidSpecError, "failed"),
    "vim.fault.InvalidName": (nova.InvalidSpecError, "failed"),
    "vim.fault.VmConfigFault": (nova.InvalidSpecError, "failed"),
    "vmodl.fault.HostCommunication": (nova.HostConnectionError, "unknown"),
    "vim.fault.HostConnectFault": (nova.HostConnectionError, "failed"),
}


def mapped(error: BaseException, *, resource: str | None = None) -> NovaCronError:
    """Return NovaCron's error for one of pyvmomi's or the network's; the caller raises it from the original."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"the server's certificate is not trusted: {error.verify_message}"
        return nova.HostConnectionError(text, hint=TLS_HINT, outcome="not_sent")
    if isinstance(error, ssl.SSLError):
        return nova.HostConnectionError(
            f"TLS failed: {error.reason or error}", outcome="not_sent", hint="is that port vSphere's?"
        )
    if isinstance(error, TimeoutError):
        return nova.OperationTimeoutError("the server did not answer in time", resource=resource, outcome="unknown",
            hint="look at the state before repeating it")  # fmt: skip
    if isinstance(error, OSError | http.client.HTTPException):
        sent: Outcome = "not_sent" if isinstance(error, ConnectionRefusedError) else "unknown"
        return nova.HostConnectionError(f"lost the server: {error or type(error).__name__}", resource=resource, outcome=sent)
    text = getattr(error, "msg", None) or getattr(error, "faultstring", None) or type(error).__name__
    for ancestor in type(error).__mro__:
        if ancestor.__name__ in FAULTS:
            cls, outcome = FAULTS[ancestor.__name__]
            return cls(text, resource=resource, outcome=outcome, details={"fault": type(error).__name__})
    return nova.DriverError(f"vSphere says: {text} ({type(error).__name__})", resource=resource)


@contextmanager
def translated(resource: str | None = None) -> Iterator[None]:
    """Raise NovaCron's error for what pyvmomi or the network raises within, the original as its cause."""
    try:
        yield
    except (vmodl.MethodFault, OSError, http.client.HTTPException) as error:
        raise mapped(error, resource=resource) from error


__all__ = ["FAULTS", "mapped", "translated"]
