"""What vSphere and the network raise and what NovaCron raises for it: one table, the most specific class wins."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from novacron import errors as nova
from novacron.errors import NovaCronError, Outcome
from novacron_vmware.fault_texts import described, gone, properties_of, text_of
from novacron_vmware.sdk import vmodl

TLS_HINT = "give the certificate's SHA-256 as ?thumbprint=..., have its authority trusted by the system, or use ?verify=no"

FAULTS: dict[str, tuple[type[NovaCronError], Outcome]] = {
    "pbm.fault.InvalidLogin": (nova.AuthenticationError, "not_sent"),
    "sms.fault.InvalidLogin": (nova.AuthenticationError, "not_sent"),
    "vim.fault.InvalidLogin": (nova.AuthenticationError, "not_sent"),
    "vim.fault.NotAuthenticated": (nova.AuthenticationError, "not_sent"),
    "vim.fault.SSPIChallenge": (nova.AuthenticationError, "not_sent"),
    "vmodl.fault.SessionNotFound": (nova.AuthenticationError, "not_sent"),
    "vmodl.fault.AuthenticationRequired": (nova.AuthenticationError, "not_sent"),
    "vmodl.fault.InvalidToken": (nova.AuthenticationError, "not_sent"),
    "pbm.fault.NoPermission": (nova.AccessDeniedError, "failed"),
    "vim.fault.NoPermission": (nova.AccessDeniedError, "failed"),
    "vmodl.fault.SecurityError": (nova.AccessDeniedError, "failed"),
    "vim.fault.RestrictedVersion": (nova.AccessDeniedError, "failed"),
    "vim.fault.AuthMinimumAdminPermission": (nova.AccessDeniedError, "failed"),
    "vim.fault.InvalidPrivilege": (nova.AccessDeniedError, "failed"),
    "vim.fault.DvsNotAuthorized": (nova.AccessDeniedError, "failed"),
    "vim.fault.NoPermissionOnNasVolume": (nova.AccessDeniedError, "failed"),
    "vmodl.fault.NotEnoughLicenses": (nova.AccessDeniedError, "failed"),
    "vim.fault.LicenseAssignmentFailed": (nova.AccessDeniedError, "failed"),
    "vim.fault.LicenseServerUnavailable": (nova.AccessDeniedError, "failed"),
    "vim.fault.InvalidLicense": (nova.AccessDeniedError, "failed"),
    "vim.fault.RestrictedByAdministrator": (nova.AccessDeniedError, "failed"),
    "vim.fault.CnsMissingPrivilegeFault": (nova.AccessDeniedError, "failed"),
    "vmodl.fault.ManagedObjectNotFound": (nova.NotFoundError, "failed"),
    "vim.fault.NotFound": (nova.NotFoundError, "failed"),
    "pbm.fault.NotFound": (nova.NotFoundError, "failed"),
    "vim.fault.KeyNotFound": (nova.NotFoundError, "failed"),
    "vim.fault.UserNotFound": (nova.NotFoundError, "failed"),
    "vim.fault.LicenseEntityNotFound": (nova.NotFoundError, "failed"),
    "vim.fault.UnrecognizedHost": (nova.NotFoundError, "failed"),
    "vim.fault.FileNotFound": (nova.ImageNotFoundError, "failed"),
    "vim.fault.NoDiskFound": (nova.VolumeNotFoundError, "failed"),
    "vim.fault.CnsVolumeNotFoundFault": (nova.VolumeNotFoundError, "failed"),
    "vim.fault.CnsSnapshotNotFoundFault": (nova.SnapshotNotFoundError, "failed"),
    "vim.fault.InvalidDatastore": (nova.StoragePoolNotFoundError, "failed"),
    "vim.fault.DuplicateName": (nova.AlreadyExistsError, "failed"),
    "vim.fault.AlreadyExists": (nova.AlreadyExistsError, "failed"),
    "vim.fault.FileAlreadyExists": (nova.AlreadyExistsError, "failed"),
    "pbm.fault.AlreadyExists": (nova.AlreadyExistsError, "failed"),
    "pbm.fault.DuplicateName": (nova.AlreadyExistsError, "failed"),
    "sms.fault.DuplicateEntry": (nova.AlreadyExistsError, "failed"),
    "vim.fault.ConflictingDatastoreFound": (nova.AlreadyExistsError, "failed"),
    "vim.fault.VmAlreadyExistsInDatacenter": (nova.AlreadyExistsError, "failed"),
    "vim.fault.VmfsAlreadyMounted": (nova.AlreadyExistsError, "failed"),
    "vim.fault.CnsVolumeAlreadyExistsFault": (nova.AlreadyExistsError, "failed"),
    "vim.fault.InvalidState": (nova.InvalidStateError, "failed"),
    "vim.fault.EVCConfigFault": (nova.InvalidStateError, "failed"),
    "vim.fault.HostPowerOpFailed": (nova.InvalidStateError, "failed"),
    "vim.fault.InvalidFolder": (nova.InvalidStateError, "failed"),
    "vim.fault.VmFaultToleranceIssue": (nova.InvalidStateError, "failed"),
    "sms.fault.replication.ReplicationFault": (nova.InvalidStateError, "failed"),
    "vim.fault.ReplicationFault": (nova.InvalidStateError, "failed"),
    "vim.fault.RebootRequired": (nova.InvalidStateError, "failed"),
    "vim.fault.DasConfigFault": (nova.InvalidStateError, "failed"),
    "vim.fault.GenericDrsFault": (nova.InvalidStateError, "failed"),
    "vim.fault.DrsDisabledOnVm": (nova.InvalidStateError, "failed"),
    "vim.fault.MethodDisabled": (nova.InvalidStateError, "failed"),
    "vim.fault.MethodAlreadyDisabledFault": (nova.InvalidStateError, "failed"),
    "vim.fault.DisallowedOperationOnFailoverHost": (nova.InvalidStateError, "failed"),
    "vim.fault.OperationDisallowedOnHost": (nova.InvalidStateError, "failed"),
    "vim.fault.DisallowedChangeByService": (nova.InvalidStateError, "failed"),
    "vim.fault.CannotDisconnectHostWithFaultToleranceVm": (nova.InvalidStateError, "failed"),
    "vim.fault.CannotMoveFaultToleranceVm": (nova.InvalidStateError, "failed"),
    "vim.fault.CannotMoveHostWithFaultToleranceVm": (nova.InvalidStateError, "failed"),
    "vim.fault.DvsFault": (nova.InvalidStateError, "failed"),
    "vim.fault.HostConfigFault": (nova.InvalidStateError, "failed"),
    "vim.fault.HostSpecificationOperationFailed": (nova.InvalidStateError, "failed"),
    "vim.fault.AlreadyUpgraded": (nova.InvalidStateError, "failed"),
    "vim.fault.RecordReplayDisabled": (nova.InvalidStateError, "failed"),
    "vim.fault.PatchNotApplicable": (nova.InvalidStateError, "failed"),
    "vim.fault.TaskInProgress": (nova.BusyError, "not_sent"),
    "vim.fault.VAppOperationInProgress": (nova.BusyError, "not_sent"),
    "sms.fault.SyncInProgress": (nova.BusyError, "not_sent"),
    "sms.fault.ProviderBusy": (nova.BusyError, "not_sent"),
    "vim.fault.ConcurrentAccess": (nova.BusyError, "failed"),
    "pbm.fault.ResourceInUse": (nova.BusyError, "failed"),
    "sms.fault.ResourceInUse": (nova.BusyError, "failed"),
    "vim.fault.ResourceInUse": (nova.BusyError, "failed"),
    "vim.fault.InsufficientResourcesFault": (nova.ResourceAllocationError, "failed"),
    "vim.fault.NoDiskSpace": (nova.ResourceAllocationError, "failed"),
    "vim.fault.NoCompatibleDatastore": (nova.ResourceAllocationError, "failed"),
    "vim.fault.NoCompatibleHost": (nova.ResourceAllocationError, "failed"),
    "vim.fault.NoConnectedDatastore": (nova.ResourceAllocationError, "failed"),
    "vim.fault.CannotPlaceWithoutPrerequisiteMoves": (nova.ResourceAllocationError, "failed"),
    "vim.fault.LimitExceeded": (nova.ResourceAllocationError, "failed"),
    "vim.fault.VmValidateMaxDevice": (nova.ResourceAllocationError, "failed"),
    "vim.fault.InsufficientStorageIops": (nova.ResourceAllocationError, "failed"),
    "vim.fault.ResourceNotAvailable": (nova.ResourceAllocationError, "failed"),
    "vim.fault.NamespaceFull": (nova.ResourceAllocationError, "failed"),
    "vim.fault.NamespaceLimitReached": (nova.ResourceAllocationError, "failed"),
    "sms.fault.ProviderOutOfResource": (nova.ResourceAllocationError, "failed"),
    "sms.fault.ProviderOutOfProvisioningResource": (nova.ResourceAllocationError, "failed"),
    "vim.fault.CnsPlacementFault": (nova.ResourceAllocationError, "failed"),
    "vim.fault.FileLocked": (nova.DiskLockedError, "failed"),
    "vim.fault.FileFault": (nova.StorageError, "failed"),
    "vim.fault.NasConfigFault": (nova.StorageError, "failed"),
    "vim.fault.VmfsMountFault": (nova.StorageError, "failed"),
    "vim.fault.IscsiFault": (nova.StorageError, "failed"),
    "vim.fault.FcoeFault": (nova.StorageError, "failed"),
    "vim.fault.VsanFault": (nova.StorageError, "failed"),
    "vim.fault.WipeDiskFault": (nova.StorageError, "failed"),
    "vim.fault.ShrinkDiskFault": (nova.StorageError, "failed"),
    "vim.fault.HttpFault": (nova.StorageError, "failed"),
    "vim.fault.CnsFault": (nova.StorageError, "failed"),
    "vslm.fault.VslmFault": (nova.StorageError, "failed"),
    "pbm.fault.PBMFault": (nova.StorageError, "failed"),
    "sms.fault.SmsFault": (nova.StorageError, "failed"),
    "sms.fault.QueryExecutionFault": (nova.StorageError, "failed"),
    "sms.fault.ProviderRegistrationFault": (nova.StorageError, "failed"),
    "sms.fault.ProviderSyncFailed": (nova.StorageError, "failed"),
    "vim.fault.InaccessibleVFlashSource": (nova.StorageError, "failed"),
    "vim.fault.SsdDiskNotAvailable": (nova.StorageError, "failed"),
    "vim.fault.StorageDrsUnableToMoveFiles": (nova.StorageError, "failed"),
    "vim.fault.StorageDrsHmsUnreachable": (nova.StorageError, "failed"),
    "vim.fault.IORMNotSupportedHostOnDatastore": (nova.StorageError, "failed"),
    "vim.fault.NamespaceWriteProtected": (nova.StorageError, "failed"),
    "vim.fault.CannotAccessLocalSource": (nova.StorageError, "failed"),
    "vim.fault.SwapDatastoreUnset": (nova.StorageError, "failed"),
    "vim.fault.StorageDrsCannotMoveDiskInMultiWriterMode": (nova.InvalidStateError, "failed"),
    "vim.fault.StorageDrsCannotMoveFTVm": (nova.InvalidStateError, "failed"),
    "vim.fault.StorageDrsCannotMoveIndependentDisk": (nova.InvalidStateError, "failed"),
    "vim.fault.StorageDrsCannotMoveManuallyPlacedSwapFile": (nova.InvalidStateError, "failed"),
    "vim.fault.StorageDrsCannotMoveManuallyPlacedVm": (nova.InvalidStateError, "failed"),
    "vim.fault.StorageDrsCannotMoveSharedDisk": (nova.InvalidStateError, "failed"),
    "vim.fault.StorageDrsCannotMoveTemplate": (nova.InvalidStateError, "failed"),
    "vim.fault.StorageDrsCannotMoveVmInUserFolder": (nova.InvalidStateError, "failed"),
    "vim.fault.StorageDrsCannotMoveVmWithMountedCDROM": (nova.InvalidStateError, "failed"),
    "vim.fault.StorageDrsCannotMoveVmWithNoFilesInLayout": (nova.InvalidStateError, "failed"),
    "vim.fault.StorageDrsDatacentersCannotShareDatastore": (nova.InvalidStateError, "failed"),
    "vim.fault.StorageDrsDisabledOnVm": (nova.InvalidStateError, "failed"),
    "vim.fault.StorageDrsHbrDiskNotMovable": (nova.InvalidStateError, "failed"),
    "vim.fault.StorageDrsRelocateDisabled": (nova.InvalidStateError, "failed"),
    "vim.fault.MigrationFault": (nova.MigrationError, "failed"),
    "vim.fault.SnapshotFault": (nova.SnapshotError, "failed"),
    "vim.fault.ToolsUnavailable": (nova.GuestAgentUnavailableError, "failed"),
    "vim.fault.GuestOperationsUnavailable": (nova.GuestAgentUnavailableError, "failed"),
    "vim.fault.GuestOperationsFault": (nova.GuestAgentError, "failed"),
    "vim.fault.VmToolsUpgradeFault": (nova.GuestAgentError, "failed"),
    "vim.fault.Timedout": (nova.OperationTimeoutError, "unknown"),
    "vmodl.fault.RequestCanceled": (nova.OperationCancelledError, "failed"),
    "vmodl.fault.NotSupported": (nova.UnsupportedOperationError, "failed"),
    "vmodl.fault.NotImplemented": (nova.UnsupportedOperationError, "failed"),
    "vmodl.fault.MethodNotFound": (nova.UnsupportedOperationError, "failed"),
    "vim.fault.UnsupportedVimApiVersion": (nova.UnsupportedOperationError, "failed"),
    "vmodl.fault.InvalidRequest": (nova.InvalidSpecError, "failed"),
    "vmodl.fault.InvalidArgument": (nova.InvalidSpecError, "failed"),
    "vim.fault.InvalidName": (nova.InvalidSpecError, "failed"),
    "vim.fault.VmConfigFault": (nova.InvalidSpecError, "failed"),
    "vim.fault.OvfFault": (nova.InvalidSpecError, "failed"),
    "vim.fault.CustomizationFault": (nova.InvalidSpecError, "failed"),
    "vim.fault.VAppConfigFault": (nova.InvalidSpecError, "failed"),
    "vim.fault.OutOfBounds": (nova.InvalidSpecError, "failed"),
    "vmodl.query.InvalidProperty": (nova.InvalidSpecError, "failed"),
    "vim.fault.InvalidAffinitySettingFault": (nova.InvalidSpecError, "failed"),
    "vim.fault.InvalidEvent": (nova.InvalidSpecError, "failed"),
    "vim.fault.InvalidLocale": (nova.InvalidSpecError, "failed"),
    "vim.fault.InvalidIpmiLoginInfo": (nova.InvalidSpecError, "failed"),
    "vim.fault.InvalidIpmiMacAddress": (nova.InvalidSpecError, "failed"),
    "vim.fault.InvalidBmcRole": (nova.InvalidSpecError, "failed"),
    "sms.fault.TooMany": (nova.InvalidSpecError, "failed"),
    "vmodl.fault.HostCommunication": (nova.HostConnectionError, "unknown"),
    "sms.fault.ProviderUnavailable": (nova.HostConnectionError, "unknown"),
    "vim.fault.HostConnectFault": (nova.HostConnectionError, "failed"),
    "sms.fault.ProviderConnectionFailed": (nova.HostConnectionError, "failed"),
    "vmodl.fault.SystemError": (nova.DriverError, "unknown"),
    "vmodl.fault.UnexpectedFault": (nova.DriverError, "unknown"),
    "vim.fault.DatabaseError": (nova.DriverError, "unknown"),
    "sms.fault.ServiceNotInitialized": (nova.DriverError, "unknown"),
    "vmodl.MethodFault": (nova.DriverError, "failed"),
}


def mapped(error: BaseException, *, resource: str | None = None) -> NovaCronError:
    """Return NovaCron's error for one of pyvmomi's or the network's; the caller raises it from the original.

    Its details have the fault's name and properties as vSphere's API calls them.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"the server's certificate is not trusted: {error.verify_message}"
        return nova.HostConnectionError(text, hint=TLS_HINT, outcome="not_sent")
    if isinstance(error, ssl.SSLError):
        return nova.HostConnectionError(
            f"TLS failed: {error.reason or error}", outcome="not_sent", hint="is that port vSphere's?"
        )
    if isinstance(error, TimeoutError):
        return nova.OperationTimeoutError(
            "the server did not answer in time",
            resource=resource,
            outcome="unknown",
            hint="look at the state before repeating it",
        )
    if isinstance(error, OSError | http.client.HTTPException):
        sent: Outcome = "not_sent" if isinstance(error, ConnectionRefusedError) else "unknown"
        return nova.HostConnectionError(f"lost the server: {error or type(error).__name__}", resource=resource, outcome=sent)
    properties = dict(properties_of(error))
    cls, outcome = next(FAULTS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in FAULTS)
    text, hint = text_of(error, resource), None
    if isinstance(error, vmodl.fault.ManagedObjectNotFound):
        cls, text = gone(error.obj, resource)
    elif privilege := properties.get("privilegeId"):
        text = f"the privilege {privilege} is missing on {described(getattr(error, 'object', None)) or 'an object'}"
        hint = "let an administrator give your user a role with it"
    return cls(text, resource=resource, outcome=outcome, details={"fault": type(error).__name__, **properties}, hint=hint)


@contextmanager
def translated(resource: str | None = None) -> Iterator[None]:
    """Raise NovaCron's error for what pyvmomi or the network raises within, the original as its cause."""
    try:
        yield
    except (vmodl.MethodFault, OSError, http.client.HTTPException) as error:
        raise mapped(error, resource=resource) from error


@contextmanager
def faults_translated() -> Iterator[None]:
    """Raise NovaCron's error for each fault of vSphere that no part of an operation has translated. It surrounds every operation."""
    try:
        yield
    except vmodl.MethodFault as fault:
        raise mapped(fault) from fault


__all__ = ["FAULTS", "faults_translated", "mapped", "translated"]
