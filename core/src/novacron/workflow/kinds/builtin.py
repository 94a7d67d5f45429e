"""The step kinds that come with NovaCron, besides the operations."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from novacron.workflow.kinds.base import StepKind
from novacron.workflow.kinds.clone import CloneStep
from novacron.workflow.kinds.guest import HealthyStep, NothingStep, RunInGuestStep
from novacron.workflow.kinds.migration import MigrateStep
from novacron.workflow.kinds.power import POWER_STEPS
from novacron.workflow.kinds.resource import ResourceStep
from novacron.workflow.kinds.retention import KeepSnapshots
from novacron.workflow.kinds.snapshots import SnapshotStep, SnapshotUse
from novacron.workflow.kinds.storage import MigrateStorageStep
from novacron.workflow.kinds.update import TagStep, UpdateStep

_KINDS: tuple[StepKind, ...] = (
    *POWER_STEPS,
    MigrateStep(),
    SnapshotStep(),
    SnapshotUse("revert", "snapshot_revert", {}),
    SnapshotUse("delete_snapshot", "snapshot_delete", {"children": False}),
    KeepSnapshots(),
    UpdateStep(),
    TagStep(),
    RunInGuestStep(),
    HealthyStep(),
    NothingStep(),
    CloneStep(),
    MigrateStorageStep(),
    ResourceStep(),
)

BUILT_IN: Mapping[str, StepKind] = MappingProxyType({kind.name: kind for kind in _KINDS})

__all__ = ["BUILT_IN"]
