"""What a change of a VM would do: each field with its old and new value, and when it applies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from novacron.errors import InvalidSpecError, InvalidStateError, NovaCronError, SpecProblem
from novacron.records.vm import VMConfiguration
from novacron.text import printable_line

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle
    from novacron.specs import VMUpdate

When = Literal["now", "live", "next_start"]
"""Where a change goes: "now" is the running VM and its definition, "live" the running VM only, "next_start" the definition only."""

Applies = Literal["at once", "next start", "needs a stop"]
SIZES = ("vcpus", "memory")
"""Fields that a running VM can change, up to its maximum."""
ACTIVE = ("running", "suspended", "migrating", "sleeping", "stopping")


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a VM before and after a change.

    Attributes:
        field: the field of `VMUpdate`; parts of nested ones after a dot, such as "features.hyperv".
        before: the present value, as plain data.
        after: the new value.
        applies: "at once", at the "next start", or "needs a stop" if the running VM can't take the value.
    """

    field: str
    before: Any
    after: Any
    applies: Applies

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return msgspec.structs.asdict(self)


class ChangePlan:
    """A change of a VM that was compared with its configuration. `apply()` does it; iteration yields the changed fields.

    Example:
        >>> import novacron
        >>> vm = novacron.connect("sim://plans").vms.create(name="web1", vcpus=1, start=True)
        >>> plan = vm.plan_update(vcpus=2, watchdog="reset", description="")
        >>> [(change.field, change.before, change.after, change.applies) for change in plan]
        [('vcpus', 1, 2, 'needs a stop'), ('watchdog', None, 'reset', 'next start')]
        >>> vm.plan_update(when="next_start", watchdog="reset").apply().configuration().fields["watchdog"]
        'reset'
    """

    def __init__(self, vm: VMHandle, changes: VMUpdate, when: When) -> None:
        self.vm, self.when = vm, when
        self._present = configuration_of(vm)
        given = changes.as_dict()
        asked = {name: value for name, value in given.items() if value != _present_part(self._present.fields.get(name), value)}
        self._shown = dict(asked)
        if changes.topology is not None and "sockets" not in asked.get("topology", {"sockets": 0}):  # they follow
            whole = changes.topology.upon(self._present.fields.get("topology"), changes.vcpus or self._present.fields["vcpus"])
            self._shown["topology"] = asked["topology"] | {"sockets": whole.sockets}
        self.fields = tuple(
            change
            for name, value in self._shown.items()
            for change in _changes(name, self._present.fields.get(name), value, self._applies(name, value))
        )
        self._changes = type(changes).parse({name: value for name, value in given.items() if name in asked})
        self._given = asked

    def __iter__(self) -> Iterator[FieldChange]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __repr__(self) -> str:
        return printable_line(f"<change of {self.vm.name}: {', '.join(change.field for change in self.fields) or 'nothing'}>")

    @property
    def undo(self) -> dict[str, Any]:
        """The fields of `VMUpdate` that restore the present values."""
        before = {name: self._present.fields.get(name) for name in self._given}
        return following(self._present.fields, self._given) | {
            name: _present_part(value, self._shown[name]) for name, value in before.items()
        }

    def check(self) -> None:
        """Refuse a change that can't be done as it was asked.

        Raises:
            InvalidStateError: a field needs a stop of the running VM, or "live" was asked for a field that applies at the next start.
        """
        stuck = [change.field for change in self.fields if change.applies == "needs a stop"]
        later = [change.field for change in self.fields if self.when == "live" and change.applies == "next start"]
        if later:
            raise InvalidStateError(
                f"{', '.join(later)} of {self.vm.name!r} can't be changed while it runs",
                resource=self.vm.name,
                host=self.vm.host.name,
                hint="change it for the next start (--next-start), or stop the VM first",
                outcome="not_sent",
            )
        if stuck:
            raise InvalidStateError(
                f"the running {self.vm.name!r} can't take this value of {', '.join(stuck)}: it is above the maximum of the VM",
                resource=self.vm.name,
                host=self.vm.host.name,
                hint="change it for the next start (--next-start), or stop the VM first",
                outcome="not_sent",
            )

    def apply(self) -> VMHandle:
        """Do the change. Returns the VM with its new record.

        Raises:
            InvalidStateError: see `check`.
            InvalidSpecError: the host or its driver does not support a value.
        On failure: nothing is changed.
        """
        self.check()
        if not self._given:
            return self.vm
        sizes = {name: self._given[name] for name in SIZES if name in self._given}
        active = self.vm.status in ACTIVE
        if self.when == "now" or not active:
            return self.vm._do("vm_update", changes=self._changes)
        rest = {name: value for name, value in self._given.items() if name not in SIZES}
        done: dict[str, Any] = {}
        try:
            for name, value in sizes.items():
                self._set_size(name, value)
                done[name] = self._present.fields[name]
            if rest:
                self.vm._do("vm_update", changes=type(self._changes).parse(rest))
        except NovaCronError as error:
            for name, value in done.items():
                try:
                    self._set_size(name, value)
                except NovaCronError as failed:
                    error.add_note(f"{name} was not restored: {failed}")
            raise
        return self.vm.refresh()

    def _set_size(self, name: str, value: int) -> None:
        live = self.when == "live"
        if name == "vcpus":
            self.vm.resources.set_vcpus(value, live=live, persistent=not live)
        else:
            self.vm.resources.set_memory(value, live=live, persistent=not live)

    def _applies(self, name: str, value: Any) -> Applies:
        from novacron.specs.vm import HARDWARE

        if name in HARDWARE:
            return "next start"
        if name not in SIZES:
            return "at once"
        if self.vm.status not in ACTIVE or self.when == "next_start":
            return "next start"
        return "at once" if value <= self._most(name, value) else "needs a stop"

    def _most(self, name: str, value: int) -> int:
        """Return the largest value that the running VM can have; `value` if it is not known."""
        if not self.vm.host.supports("resources_get"):
            return value
        now = self.vm.resources.read()
        return now.vcpus_max if name == "vcpus" else max(now.memory_max_bytes, now.max_memory_bytes or 0)


def plan_update(vm: VMHandle, fields: Mapping[str, Any], when: When = "now") -> ChangePlan:
    """Return what a change of a VM would do. Nothing is changed.

    Args:
        vm: the VM.
        fields: fields of `VMUpdate`.
        when: "now" changes the running VM where it can, and the definition; "live" the running VM only; "next_start" the definition only.

    Raises:
        InvalidSpecError: a field is unknown or has an invalid value.
    """
    from novacron.specs import VMSpec, VMUpdate

    if when not in ("now", "live", "next_start"):
        raise InvalidSpecError("invalid change", problems=[SpecProblem("when", when, "now, live or next_start")])
    fixed = [name for name in fields if name in VMSpec.model_fields and name not in VMUpdate.model_fields]
    if fixed:
        raise InvalidSpecError(
            f"these fields of {vm.name!r} can't be changed after it was created",
            problems=[SpecProblem(name, fields[name], FIXED.get(name, "the value that it has")) for name in fixed],
            resource=vm.name,
            hint=f"fields that can be changed: {', '.join(VMUpdate.model_fields)}",
            outcome="not_sent",
        )
    return ChangePlan(vm.refresh(), VMUpdate.parse(dict(fields)), when)


FIXED = {
    "name": "changed with rename",
    "disks": "changed with the operations of disks: attach, detach, resize, limit",
    "nics": "changed with the operations of NICs: attach, detach, update",
    "iso": "changed with the operation change_media of a disk",
    "iothreads": "changed with resources.set_iothreads",
    "start": "changed with start and stop",
    "node": "changed with migrate",
}
"""How fields that are no part of `VMUpdate` are changed."""


def configuration_of(vm: VMHandle) -> VMConfiguration:
    """Return the configuration for the next start. Of drivers that can't read it: the fields that the VM's record has."""
    if vm.host.supports("vm_configuration"):
        result: VMConfiguration = vm.host.invoke("vm_configuration", vm=vm.id)
        return result
    record = vm.record if vm.record.tags is not None else vm.refresh().record
    return VMConfiguration.of_record(record)


def following(present: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the present values of fields that are not asked for, but follow those that are: the most vCPUs follow vCPUs and topology.

    Example:
        >>> following({"vcpus": 2, "vcpus_max": 4}, {"vcpus": 8}), following({"vcpus": 2, "vcpus_max": 4}, {"vcpus": 3})
        ({'vcpus_max': 4}, {})
    """
    most = present.get("vcpus_max")
    if most is None or "vcpus_max" in asked:
        return {}
    return {"vcpus_max": most} if "topology" in asked or (asked.get("vcpus") or 0) > most else {}


def _present_part(present: Any, asked: Any) -> Any:
    """Return the present value, of a nested one only the parts that are asked for."""
    if isinstance(present, Mapping) and isinstance(asked, Mapping):
        return {key: present.get(key) for key in asked}
    return present


def _changes(name: str, before: Any, after: Any, applies: Applies) -> list[FieldChange]:
    """Return one change for a field, or one for each changed part of a nested field."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return [
            FieldChange(field=f"{name}.{key}", before=before.get(key), after=value, applies=applies)
            for key, value in after.items()
            if value != before.get(key)
        ]
    return [FieldChange(field=name, before=before, after=after, applies=applies)]


__all__ = ["ChangePlan", "FieldChange", "When", "configuration_of", "plan_update"]
