"""The step that creates, changes or deletes one resource of a host: a storage pool, image, volume, network, VM, disk or NIC.

Labs (`novacron.labs`) are composed of such steps. Which change is needed was decided when the flow was composed; `before` has the values
for the undo. The step does not use the VM of the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, NotFoundError, SpecProblem
from novacron.workflow.kinds.base import StepKind

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.workflow.context import Context

Arguments = dict[str, Any]
Work = Callable[["Context", "HostHandle", Arguments], Any]
Test = Callable[["HostHandle", Arguments], bool]


class ResourceStep(StepKind):
    """Creates, changes or deletes one resource of a host; a creation and a change of fields are undone."""

    name = "resource"

    def prepare(self, **arguments: Any) -> Arguments:
        made = {"host": "", "kind": "", "action": "", "name": "", "fields": {}, "before": {}} | arguments
        if (made["kind"], made["action"]) not in RUN:
            raise InvalidSpecError(
                "invalid step resource",
                problems=[
                    SpecProblem(
                        "action", f"{made['action']} {made['kind']}".strip() or "missing", "a step that a lab is composed of"
                    )
                ],
                hint="describe the resource in a lab file: `novacron apply`",
            )
        return made

    def describe(self, arguments: Arguments) -> str:
        return f"{arguments['action']} {arguments['kind']} {arguments['name']}"

    def describe_undo(self, arguments: Arguments) -> str | None:
        return UNDO.get((arguments["kind"], arguments["action"]), (None, None))[0]

    def effect(self, context: Context) -> str:
        return self.describe(context.arguments)

    def before(self, context: Context) -> dict[str, Any]:
        asked = context.arguments
        try:
            return {"already": DONE[asked["kind"], asked["action"]](context.hosts[asked["host"]], asked)}
        except NotFoundError:
            return {"already": False}

    def run(self, context: Context) -> Any:
        asked = context.arguments
        RUN[asked["kind"], asked["action"]](context, context.hosts[asked["host"]], asked)
        return {"name": asked["name"]}

    def undo(self, context: Context, result: Any) -> None:
        asked = context.arguments
        work = UNDO[asked["kind"], asked["action"]][1]
        if work is not None and not context.before.get("already"):  # what others made or did before stays
            try:
                work(context, context.hosts[asked["host"]], asked)
            except NotFoundError:
                pass  # it does not exist: that is the state before

    def probe(self, context: Context) -> Any:
        asked = context.arguments
        if asked["action"] == "create" and context.before.get("already"):
            return None  # the one that is there is not ours
        done = DONE[asked["kind"], asked["action"]](context.hosts[asked["host"]], asked)
        return {"name": asked["name"]} if done else None

    def settle(self, context: Context) -> None:
        """Wait until the hypervisor has finished with the VM of the step, if it is about one."""
        from novacron.errors import VMNotFoundError
        from novacron.workflow.context import SETTLE

        asked = context.arguments
        host = context.hosts[asked["host"]]
        if asked["kind"] in ("vm", "disk", "nic") and host.supports("vm_settle"):
            try:
                host.invoke("vm_settle", SETTLE + 10, vm=_vm_name(asked), seconds=SETTLE)
            except VMNotFoundError:
                pass


def _vm_name(asked: Arguments) -> str:
    return str(asked["name"] if asked["kind"] == "vm" else asked["before"]["vm"])


def _create_pool(context: Context, host: HostHandle, asked: Arguments) -> None:
    from novacron.specs import StoragePoolSpec

    host.invoke("pool_create", spec=StoragePoolSpec.parse({**asked["fields"], "name": asked["name"]}))


def _create_network(context: Context, host: HostHandle, asked: Arguments) -> None:
    from novacron.specs import NetworkSpec

    host.invoke("network_create", spec=NetworkSpec.parse({**asked["fields"], "name": asked["name"]}))


def _update_network(which: str) -> Work:
    def update(context: Context, host: HostHandle, asked: Arguments) -> None:
        from novacron.specs import NetworkSpec

        host.invoke("network_update", network=asked["name"], spec=NetworkSpec.parse({**asked[which], "name": asked["name"]}))

    return update


def _create_volume(context: Context, host: HostHandle, asked: Arguments) -> None:
    from novacron.specs import VolumeSpec

    fields = {key: value for key, value in asked["fields"].items() if key != "pool"}
    job = host.submit("volume_create", pool=asked["before"]["pool"], spec=VolumeSpec.parse({**fields, "name": asked["name"]}))
    context.follow(job)


def _resize_volume(context: Context, host: HostHandle, asked: Arguments) -> None:
    host.pools.resize_volume(asked["name"], asked["fields"]["capacity"], asked["before"]["pool"])


def _pull_image(context: Context, host: HostHandle, asked: Arguments) -> None:
    context.follow(host.images.pull(asked["fields"]["source"], pool=asked["before"]["pool"], wait=False))


def _create_vm(context: Context, host: HostHandle, asked: Arguments) -> None:
    from novacron.specs import VMSpec

    context.follow(host.submit("vm_create", spec=VMSpec.parse({**asked["fields"], "name": asked["name"]})))


def _update_vm(which: str) -> Work:
    def update(context: Context, host: HostHandle, asked: Arguments) -> None:
        host.vms[asked["name"]].plan_update(when=asked["before"].get("when", "now"), **asked[which]["update"]).apply()

    return update


def _start_vm(context: Context, host: HostHandle, asked: Arguments) -> None:
    vm = host.vms[asked["name"]]
    vm.resume() if vm.status == "suspended" else vm.start() if vm.status != "running" else vm


def _stop_vm(context: Context, host: HostHandle, asked: Arguments) -> None:
    vm = host.vms[asked["name"]]
    if vm.status not in ("stopped", "crashed"):
        vm.shutdown(timeout=60, otherwise="stop")


def _delete_vm(context: Context, host: HostHandle, asked: Arguments) -> None:
    host.invoke("vm_delete", vm=asked["name"], keep_disks=False, force=True)


def _update_nic(which: str) -> Work:
    def update(context: Context, host: HostHandle, asked: Arguments) -> None:
        host.vms[asked["before"]["vm"]].nics[asked["name"]].update(**asked[which]["update"])

    return update


def _attach_nic(context: Context, host: HostHandle, asked: Arguments) -> None:
    host.vms[asked["before"]["vm"]].nics.attach(**asked["fields"])


def _attach_disk(context: Context, host: HostHandle, asked: Arguments) -> None:
    host.vms[asked["before"]["vm"]].disks.attach(**asked["fields"])


def _resize_disk(context: Context, host: HostHandle, asked: Arguments) -> None:
    host.vms[asked["before"]["vm"]].disks[asked["name"]].resize(asked["fields"]["size"])


def _call(operation: str, argument: str, *more: str) -> Work:
    """Return the work of an operation that takes the resource's name; `more` arguments come from `before`."""

    def call(context: Context, host: HostHandle, asked: Arguments) -> None:
        host.invoke(operation, **{argument: asked["name"]}, **{name: asked["before"][name] for name in more})

    return call


RUN: dict[tuple[str, str], Work] = {
    ("pool", "create"): _create_pool,
    ("pool", "start"): _call("pool_start", "pool"),
    ("pool", "delete"): _call("pool_delete", "pool"),
    ("image", "create"): _pull_image,
    ("image", "delete"): lambda context, host, asked: host.images.remove(asked["name"], asked["before"]["pool"]),
    ("volume", "create"): _create_volume,
    ("volume", "resize"): _resize_volume,
    ("volume", "delete"): _call("volume_delete", "volume", "pool"),
    ("network", "create"): _create_network,
    ("network", "update"): _update_network("fields"),
    ("network", "start"): _call("network_start", "network"),
    ("network", "delete"): _call("network_delete", "network"),
    ("vm", "create"): _create_vm,
    ("vm", "update"): _update_vm("fields"),
    ("vm", "start"): _start_vm,
    ("vm", "stop"): _stop_vm,
    ("vm", "delete"): _delete_vm,
    ("nic", "attach"): _attach_nic,
    ("nic", "update"): _update_nic("fields"),
    ("disk", "attach"): _attach_disk,
    ("disk", "resize"): _resize_disk,
}
"""What each action does."""

UNDO: dict[tuple[str, str], tuple[str | None, Work | None]] = {
    ("pool", "create"): ("delete it", RUN["pool", "delete"]),
    ("pool", "start"): ("leave it started", None),
    ("image", "create"): ("leave it in the pool", None),
    ("volume", "create"): ("delete it", RUN["volume", "delete"]),
    ("volume", "resize"): ("leave its size", None),
    ("network", "create"): ("delete it", RUN["network", "delete"]),
    ("network", "update"): ("set the values it had", _update_network("before")),
    ("network", "start"): ("leave it started", None),
    ("vm", "create"): ("delete it", _delete_vm),
    ("vm", "update"): ("set the values it had", _update_vm("before")),
    ("vm", "start"): ("stop it", _stop_vm),
    ("vm", "stop"): ("start it", _start_vm),
    ("nic", "attach"): ("leave it attached", None),
    ("nic", "update"): ("set the values it had", _update_nic("before")),
    ("disk", "attach"): ("leave it attached", None),
    ("disk", "resize"): ("leave its size", None),
}
"""How each action is undone. A deletion can't be."""


def _exists(host: HostHandle, asked: Arguments) -> bool:
    kind, name = asked["kind"], asked["name"]
    try:
        if kind == "vm":
            host.invoke("vm_get", vm=name)
        elif kind in ("volume", "image"):
            host.invoke("volume_get", pool=asked["before"]["pool"], volume=name)
        else:
            return name in (host.pools if kind == "pool" else host.networks)
    except NotFoundError:
        return False
    return True


def _gone(host: HostHandle, asked: Arguments) -> bool:
    return not _exists(host, asked)


def _active(host: HostHandle, asked: Arguments) -> bool:
    return bool((host.pools if asked["kind"] == "pool" else host.networks)[asked["name"]].active)


def _never(host: HostHandle, asked: Arguments) -> bool:
    """The action is safe to repeat, so it need not be known whether it was done."""
    return False


def _status(*statuses: str) -> Test:
    return lambda host, asked: host.vms[asked["name"]].status in statuses


def _attached(host: HostHandle, asked: Arguments) -> bool:
    vm = host.vms[asked["before"]["vm"]]
    there = len(vm.nics) if asked["kind"] == "nic" else sum(disk.record.device == "disk" for disk in vm.disks)
    return bool(there > asked["before"]["number"])


DONE: dict[tuple[str, str], Test] = {
    **{(kind, "create"): _exists for kind in ("pool", "image", "volume", "network", "vm")},
    **{(kind, "delete"): _gone for kind in ("pool", "image", "volume", "network", "vm")},
    **{(kind, "start"): _active for kind in ("pool", "network")},
    **{(kind, "update"): _never for kind in ("network", "vm", "nic")},
    **{(kind, "resize"): _never for kind in ("volume", "disk")},
    ("vm", "start"): _status("running"),
    ("vm", "stop"): _status("stopped", "crashed"),
    ("nic", "attach"): _attached,
    ("disk", "attach"): _attached,
}
"""Whether an action has taken effect, for a step whose process ended in it."""

__all__ = ["DONE", "RUN", "UNDO", "ResourceStep"]
