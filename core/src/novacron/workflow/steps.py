"""Built-in steps: `steps.migrate(to="kvm2") >> steps.snapshot("after")`. Steps of plugins are here by their names too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Unpack

from novacron.workflow.composition import Workflow
from novacron.workflow.kinds.registry import default_kinds
from novacron.workflow.nodes import StepNode

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.specs.keywords import MigrationFields, SnapshotOptions, VMUpdateFields


def _step(kind: str, /, **arguments: Any) -> Workflow:
    found = default_kinds().find(kind)
    return Workflow(StepNode(kind=kind, arguments=found.prepare(**arguments)), kinds={kind: found})


def start() -> Workflow:
    """Start the VM; nothing when it runs. Undone: stopped again."""
    return _step("start")


def shutdown(*, timeout: float | str | timedelta = 60, otherwise: Literal["fail", "stop"] = "fail") -> Workflow:
    """Ask the guest to shut down within `timeout`. Undone: started again."""
    return _step("shutdown", timeout=timeout, otherwise=otherwise)


def stop() -> Workflow:
    """Power off at once. Undone: started again, without what was in memory."""
    return _step("stop")


def suspend() -> Workflow:
    """Halt the VM, its memory kept. Undone: resumed."""
    return _step("suspend")


def resume() -> Workflow:
    """Let a suspended VM go on. Undone: suspended again."""
    return _step("resume")


def snapshot(name: str, **options: Unpack[SnapshotOptions]) -> Workflow:
    """Take a snapshot; options are `SnapshotSpec`'s fields. Undone: deleted.

    `{time}` in the name becomes the time of the step's beginning in UTC, as in "nightly-20261124T030000Z".

    Raises:
        InvalidSpecError: lists every bad field.
    """
    return _step("snapshot", name=name, **options)


def revert(name: str) -> Workflow:
    """Bring the VM back to a snapshot. Can't be undone."""
    return _step("revert", name=name)


def delete_snapshot(name: str, *, children: bool = False) -> Workflow:
    """Delete a snapshot. Can't be undone."""
    return _step("delete_snapshot", name=name, children=children)


def keep_snapshots(
    prefix: str, *, last: int = 0, hourly: int = 0, daily: int = 0, weekly: int = 0, timezone: str = ""
) -> Workflow:
    """Delete the snapshots whose names begin with `prefix`, except for those to keep. Can't be undone.

    Args:
        prefix: what the names of the snapshots begin with.
        last: keep so many of the latest snapshots.
        hourly: keep the latest one of so many of the latest hours that have snapshots.
        daily: as `hourly`, for days.
        weekly: as `hourly`, for weeks from Monday on.
        timezone: whose hours, days and weeks are meant, such as "Europe/Berlin". Without one it is the time zone of the schedule that
            began the flow, otherwise that of the system.

    Raises:
        InvalidSpecError: none would be kept, or a value is wrong.
    """
    counts = {"last": last, "hourly": hourly, "daily": daily, "weekly": weekly}
    return _step("keep_snapshots", prefix=prefix, timezone=timezone, **{name: count for name, count in counts.items() if count})


def migrate(to: str | HostHandle, **options: Unpack[MigrationFields]) -> Workflow:
    """Move the VM to another host; the steps after it find it there. Undone: migrated back, live if it runs.

    Args:
        to: the host's name in the fleet or in `run(hosts=...)`, or a connected host, stored by name and URI.
        options: `MigrationSpec`'s fields: live, storage, bandwidth, max_downtime, deadline, ...

    Raises:
        InvalidSpecError: lists every bad field.
    """
    if isinstance(to, str):
        return _step("migrate", to=to, **options)
    flow = _step("migrate", to=to.name, uri=to.uri, **options)
    return Workflow(flow.node, kinds=flow.kinds, hosts={to.name: to})


def update(**changes: Unpack[VMUpdateFields]) -> Workflow:
    """Change fields of the VM, as `vm.update`. Undone: the values it had."""
    return _step("update", **changes)


def tag(*add: str, remove: tuple[str, ...] | list[str] = ()) -> Workflow:
    """Add and remove tags. Undone: the tags it had."""
    return _step("tag", add=list(add), remove=list(remove))


def run_in_guest(command: str | Sequence[str], *, timeout: float | str | timedelta = "10m") -> Workflow:
    """Run a program in the guest, without a shell; an exit status other than 0 fails. Can't be undone: give it a way with `.undo`."""
    return _step("run_in_guest", command=command, timeout=timeout)


def healthy(*, within: float | str | timedelta = "5m", check: str | Sequence[str] = ()) -> Workflow:
    """Wait until the guest's agent answers, and until `check`, a program of the guest's, ends with 0. Nothing to undo."""
    return _step("healthy", within=within, check=check)


def nothing() -> Workflow:
    """Do nothing: a way back for what needs none."""
    return _step("nothing")


def clone(name: str, *, linked: bool = False) -> Workflow:
    """Copy the stopped VM. Undone: the copy is deleted."""
    return _step("clone", name=name, linked=linked)


def migrate_storage(pool: str, *disks: str) -> Workflow:
    """Move disks, all when none is named, to another storage pool. Undone: moved back."""
    return _step("migrate_storage", pool=pool, disks=list(disks))


if (
    TYPE_CHECKING
):  # type checkers find misspelt steps: they know the operations of the contract, and a plugin's decorated functions
    Step = Callable[..., Workflow]
    address_list: Step
    checkpoint_list: Step
    console_endpoint: Step
    console_screenshot: Step
    console_send_keys: Step
    device_attach: Step
    device_detach: Step
    disk_attach: Step
    disk_change_media: Step
    disk_commit: Step
    disk_detach: Step
    disk_limit: Step
    disk_pull: Step
    disk_resize: Step
    guest_exec: Step
    guest_file_read: Step
    guest_file_write: Step
    guest_freeze: Step
    guest_info: Step
    guest_password_set: Step
    guest_ssh_keys_set: Step
    guest_thaw: Step
    iothreads_set: Step
    limits_set: Step
    memory_set: Step
    metrics_history: Step
    metrics_vm: Step
    nic_attach: Step
    nic_detach: Step
    nic_link_set: Step
    nic_update: Step
    pinning_set: Step
    question_answer: Step
    resources_get: Step
    snapshot_create: Step
    snapshot_delete: Step
    snapshot_get: Step
    snapshot_list: Step
    snapshot_revert: Step
    template_create: Step
    vcpus_set: Step
    vm_clone: Step
    vm_clone_instant: Step
    vm_configuration: Step
    vm_diagnose: Step
    vm_export: Step
    vm_get: Step
    vm_migrate_storage: Step
    vm_reboot: Step
    vm_rename: Step
    vm_reset: Step
    vm_restore: Step
    vm_resume: Step
    vm_save: Step
    vm_settle: Step
    vm_shutdown: Step
    vm_start: Step
    vm_stop: Step
    vm_suspend: Step
    vm_update: Step
else:

    def __getattr__(name: str) -> Callable[..., Workflow]:
        if name.startswith("_"):
            raise AttributeError(name)
        from novacron.errors import WorkflowError

        try:
            default_kinds().find(name)
        except WorkflowError as error:
            raise AttributeError(f"{error}; {error.hint}") from None
        return lambda **arguments: _step(name, **arguments)


def __dir__() -> list[str]:
    return default_kinds().names()


__all__ = [
    "clone",
    "delete_snapshot",
    "healthy",
    "keep_snapshots",
    "migrate",
    "migrate_storage",
    "nothing",
    "resume",
    "revert",
    "run_in_guest",
    "shutdown",
    "snapshot",
    "start",
    "stop",
    "suspend",
    "tag",
    "update",
]
