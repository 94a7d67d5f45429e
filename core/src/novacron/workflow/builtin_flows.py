"""Ready-made flows, useful as they are: `novacron flow run web1 patch:command='apt-get -y upgrade'`; more in `novacron flow list`.

Each is run for one VM or for many; what should not be done to all at once is limited with `max_parallel`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from novacron.units import parse_size
from novacron.workflow import steps
from novacron.workflow.composition import Workflow
from novacron.workflow.flows import flow
from novacron.workflow.kinds.guest import words

Command = Annotated[tuple[str, ...], BeforeValidator(lambda given: words(given) if isinstance(given, str) else given)]
"""A command: its words, or text that is split as a shell would."""
Names = Annotated[
    list[str], BeforeValidator(lambda given: given.split("+") if isinstance(given, str) else given), Field(min_length=1)
]
"""Names: a list, or text with "+" between them."""
BEFORE = "before-patch"


@flow
def migrate_then_snapshot(to: str, name: str = "after-move-{time}") -> Workflow:
    """Move the VM to another host and keep what it is there; when the snapshot fails it moves back."""
    return steps.migrate(to) >> steps.snapshot(name)


@flow
def patch(command: Command, verify: Command = ("true",), timeout: str = "30m", keep: bool = False) -> Workflow:
    """Take a snapshot, run a command in the guest and verify it with another; when either fails the VM is as before.

    With `keep` the snapshot stays.
    """
    back = steps.revert(BEFORE) >> steps.delete_snapshot(BEFORE)
    made = (
        steps.snapshot(BEFORE).undo(back)
        >> steps.run_in_guest(command, timeout=timeout).undo(steps.nothing())
        >> steps.run_in_guest(verify, timeout=timeout).undo(steps.nothing())
    )
    return made if keep else made >> steps.delete_snapshot(BEFORE)


@flow
def evacuate(to: str, storage: Literal["shared", "copy", "copy-top"] = "shared") -> Workflow:
    """Move the VM away, live if it runs; for all VMs of a host: `novacron flow run host:HOST evacuate:to=OTHER`."""
    return steps.migrate(to, storage=storage)


@flow
def rolling_restart(healthy_within: str = "5m", check: Command = (), shutdown_within: str = "2m") -> Workflow:
    """Shut the VM down, start it and wait until its guest is well; for many, one after the other, with `max_parallel=1`."""
    return (
        steps.shutdown(timeout=shutdown_within, otherwise="stop")
        >> steps.start()
        >> steps.healthy(within=healthy_within, check=check)
    )


@flow
def fan_out(names: Names, linked: bool = True) -> Workflow:
    """Make copies of a stopped VM; when one can't be made, none stays."""
    made = steps.clone(names[0], linked=linked)
    for name in names[1:]:
        made = made >> steps.clone(name, linked=linked)
    return made


@flow
def backup(prefix: str = "backup-", last: int = 0, daily: int = 7, weekly: int = 4) -> Workflow:
    """Take a snapshot with the time in its name, and delete those that are too many; best by a schedule."""
    return steps.snapshot(prefix + "{time}") >> steps.keep_snapshots(prefix, last=last, daily=daily, weekly=weekly)


@flow
def migrate_storage(pool: str, *disks: str) -> Workflow:
    """Move disks, all of them if none is named, to another storage pool, while the VM runs if it does."""
    return steps.migrate_storage(pool, *disks)


@flow
def grow_disk(size: str, disk: str = "vda") -> Workflow:
    """Grow a disk of the VM to a size such as 40GiB, also while it runs. The guest still has to grow its file system."""
    made: Workflow = steps.disk_resize(disk=disk, size=parse_size(size))
    return made


__all__ = ["backup", "evacuate", "fan_out", "grow_disk", "migrate_storage", "migrate_then_snapshot", "patch", "rolling_restart"]
