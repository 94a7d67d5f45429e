"""A VM's NICs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from novacron.display import html_card
from novacron.errors import DeviceNotFoundError
from novacron.handles.collection import Collection
from novacron.records.nics import NIC
from novacron.text import printable_line

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle
    from novacron.specs.keywords import NICFields, NICUpdateFields
    from novacron.specs.nics import NICSpec, NICUpdate


class NICHandle:
    """A NIC of a VM."""

    _repr_html_ = html_card  # for notebooks

    def __init__(self, vm: VMHandle, record: NIC) -> None:
        self.vm, self.record = vm, record

    def __repr__(self) -> str:
        return printable_line(f"<NIC {self.record.mac} of {self.vm.name} on {self.record.network}>")

    def detach(self) -> VMHandle:
        """Detach the NIC from the VM."""
        self.vm.record = self._do("nic_detach")
        return self.vm

    def link(self, *, up: bool) -> NICHandle:
        """Connect or disconnect the virtual cable."""
        self.record = self._do("nic_link_set", up=up)
        return self

    def update(self, spec: NICUpdate | None = None, **fields: Unpack[NICUpdateFields]) -> NICHandle:
        """Change the given fields of the NIC. All others stay unchanged.

        Args:
            spec: the changes as a `NICUpdate`, instead of single fields.
            fields: the fields of a `NICUpdate`; rates in bytes per second.
        Returns:
            This handle, with the NIC's new record.
        Raises:
            InvalidSpecError: a field has an invalid value.
            InvalidStateError: the field can't be changed while the VM runs.
        """
        from novacron.specs import NICUpdate

        self.record = self._do("nic_update", spec=NICUpdate.parse(spec if spec is not None else fields))
        return self

    def _do(self, operation: str, **arguments: Any) -> Any:
        return self.vm.host.invoke(operation, vm=self.vm.id, nic=self.record.mac, **arguments)


class NICCollection(Collection[NICHandle]):
    """A VM's NICs by MAC address."""

    _title = "NICs"

    def __init__(self, vm: VMHandle) -> None:
        self._vm = vm

    def _all(self) -> Sequence[NICHandle]:
        if self._vm.record.nics is None:
            self._vm.refresh()
        return [NICHandle(self._vm, n) for n in self._vm.record.nics or ()]

    def _key(self, item: NICHandle) -> str:
        return item.record.mac

    def _find(self, mac: str) -> NICHandle:
        found = next((n for n in self._all() if n.record.mac == mac.lower()), None)
        if found is None:
            raise DeviceNotFoundError(f"{self._vm.name!r} has no NIC {mac!r}", host=self._vm.host.name)
        return found

    def attach(self, spec: NICSpec | None = None, **fields: Unpack[NICFields]) -> NICHandle:
        """Attach a NIC to the VM."""
        from novacron.specs import NICSpec

        asked = NICSpec.parse(spec if spec is not None else fields)
        record = self._vm.host.invoke("nic_attach", vm=self._vm.id, spec=asked)
        self._vm.refresh()
        return NICHandle(self._vm, record)


__all__ = ["NICCollection", "NICHandle"]
