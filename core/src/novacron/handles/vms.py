"""The VMs of a host."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Unpack, overload

from novacron.display import html_table
from novacron.handles.collection import Collection
from novacron.handles.vm import VMHandle
from novacron.jobs import Job
from novacron.records.metrics import VMRates
from novacron.records.questions import Question
from novacron.records.vm import NativeDefinition, Page
from novacron.specs.query import VMQuery, VMQueryFields
from novacron.text import printable_line
from novacron.threads import fan_out
from novacron.units import parse_duration

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.specs import VMSpec
    from novacron.specs.keywords import ApplianceFields, VMFields

_Questions: TypeAlias = list[Question]
_Rates: TypeAlias = list[VMRates]  # the collection has a method named list


class VMCollection(Collection[VMHandle]):
    """The VMs of a host: `host.vms["web1"]`, `host.vms.list(status="running")`, `host.vms.create(spec)`."""

    _title = "VMs"

    def __init__(self, host: HostHandle) -> None:
        self._host = host

    def _all(self) -> Sequence[VMHandle]:
        return [*self.list()]

    def _find(self, vm: str) -> VMHandle:
        """Read one VM by name or UUID. Raises VMNotFoundError."""
        return VMHandle(self._host, self._host.invoke("vm_get", vm=vm))

    def __len__(self) -> int:
        return self.list().total

    def list(self, **query: Unpack[VMQueryFields]) -> VMPage:
        """List VMs.

        Args:
            query: fields of `VMQuery`: `name` (shell pattern), `status`, `tag`, `node`, `sort` ("-memory" for descending), `limit` and
                `cursor` for pages, `detail` ("summary" or "full").
        Returns:
            A page of handles, by default sorted by name. It has `total`, and `next` with the cursor of the next page.
        Raises:
            InvalidSpecError: a filter, status or sort key is unknown.
        """
        asked = VMQuery.of(**query)
        page = asked.page(self._host.invoke("vm_list", query=asked))
        return VMPage(self._host, page)

    def rates(self, over: float | str = 1.0) -> _Rates:
        """Measure all running VMs twice and return their rates per second, sorted by VM id.

        The number of calls to the host does not grow with the number of VMs. VMs that were started in between are omitted.

        Args:
            over: time between the two measurements, in seconds or as text such as "5s".
        Returns:
            One record per VM.
        """
        seconds = parse_duration(over)
        before = {metrics.vm: metrics for metrics in self._host.invoke("metrics_vms")}
        time.sleep(seconds)
        return [metrics.since(before[metrics.vm]) for metrics in self._host.invoke("metrics_vms") if metrics.vm in before]

    @overload
    def create(self, spec: VMSpec | None = ..., *, wait: Literal[True] = ..., **fields: Unpack[VMFields]) -> VMHandle: ...
    @overload
    def create(self, spec: VMSpec | None = ..., *, wait: Literal[False], **fields: Unpack[VMFields]) -> Job[VMHandle]: ...
    def create(self, spec: VMSpec | None = None, *, wait: bool = True, **fields: Unpack[VMFields]) -> VMHandle | Job[VMHandle]:
        """Create a VM from a spec, or from the spec's fields.

        Raises:
            InvalidSpecError, AlreadyExistsError, ImageNotFoundError, NetworkNotFoundError, StoragePoolNotFoundError,
            ResourceAllocationError
        """
        from novacron.handles.following import finish

        asked = _spec(spec, fields)
        wrap: Callable[[Any], VMHandle] = lambda record: VMHandle(self._host, record)  # noqa: E731
        made: VMHandle | Job[VMHandle] = finish(self._host, "vm_create", wrap, wait=wait, spec=asked)
        return made

    def preview(self, spec: VMSpec | None = None, **fields: Unpack[VMFields]) -> NativeDefinition:
        """Return the definition that `create` would write for the same arguments, in the hypervisor's format. Nothing is created.

        Raises:
            InvalidSpecError, AlreadyExistsError, ImageNotFoundError, NetworkNotFoundError, StoragePoolNotFoundError
            UnsupportedOperationError: the hypervisor has no definition before a VM is created.

        Example:
            >>> import novacron
            >>> novacron.connect("sim://preview").vms.preview(name="web1", memory="2GiB").format
            'novacron sim json'
        """
        definition: NativeDefinition = self._host.invoke("vm_preview", spec=_spec(spec, fields))
        return definition

    def questions(self) -> _Questions:
        """List the questions of the hypervisor that VMs wait for, sorted by the VM's name.

        Raises:
            UnsupportedOperationError: the hypervisor asks no questions.
        """
        questions: _Questions = self._host.invoke("question_list")
        return questions

    def import_appliance(self, file: str | Path, **fields: Unpack[ApplianceFields]) -> VMHandle:
        """Create a VM from an OVA file.

        Args:
            file: path of the file on this machine.
            fields: fields of `ApplianceSpec`: name, pool, networks, start, ...
        Returns:
            The new VM.
        Raises:
            InvalidSpecError: the file can't be read or is damaged, or one of its networks does not exist on this host.
        """
        from novacron.specs import ApplianceSpec

        with Path(file).open("rb") as source:
            return VMHandle(self._host, self._host.invoke("appliance_import", source=source, spec=ApplianceSpec.parse(fields)))

    def import_definition(self, definition: str, *, validate: bool = True) -> VMHandle:
        """Define a VM from the hypervisor's native definition.

        Deleting the VM later does not delete its files, because they were not created for this VM.

        Args:
            definition: the text that `VMHandle.export` or another tool wrote.
            validate: check the definition against the hypervisor's schema. False accepts definitions of other tools that violate it.
        Returns:
            The new VM.
        Raises:
            InvalidSpecError: the definition is invalid.
            AlreadyExistsError: the host has a VM of that name or UUID.
            InvalidStateError: another VM uses a disk of the definition, which both VMs would write to.
        """
        return VMHandle(self._host, self._host.invoke("vm_import", definition=definition, validate=validate))


class VMPage:
    """One page of a list of VMs: handles in order, `total` of all matching VMs, `next` cursor, and `each` for bulk operations."""

    _repr_html_ = html_table  # for notebooks

    def __init__(self, host: HostHandle, page: Page[Any]) -> None:
        self._host = host
        self.records = page.items
        self.total = page.total
        self.next = page.next

    def __repr__(self) -> str:
        return printable_line(f"<{len(self.records)} of {self.total} VMs of {self._host.name}>")

    def __iter__(self) -> Iterator[VMHandle]:
        return (VMHandle(self._host, record) for record in self.records)

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, index: int) -> VMHandle: ...

    @overload
    def __getitem__(self, index: slice) -> list[VMHandle]: ...

    def __getitem__(self, index: int | slice) -> VMHandle | list[VMHandle]:
        if isinstance(index, slice):
            return [VMHandle(self._host, record) for record in self.records[index]]
        return VMHandle(self._host, self.records[index])

    @property
    def each(self) -> Each:
        """Bulk operations on all VMs of the page, in parallel: `page.each.shutdown()`."""
        return Each(list(self))


class Each:
    """Calls a method of many VMs in parallel, at most `limit` at a time."""

    def __init__(self, vms: list[VMHandle], limit: int = 16) -> None:
        self._vms, self._limit = vms, limit

    def __repr__(self) -> str:
        return printable_line(f"<operations on {len(self._vms)} VMs>")

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_") or not callable(getattr(VMHandle, method, None)):
            raise AttributeError(f"VMs have no method {method!r}")

        def call(*args: Any, **kwargs: Any) -> list[Any]:
            """Return one result per VM, in order. If a VM fails, its result is the NovaCronError."""
            from novacron.errors import NovaCronError

            def one(vm: VMHandle) -> Any:
                try:
                    return getattr(vm, method)(*args, **kwargs)
                except NovaCronError as error:
                    return error

            answers = fan_out(self._vms, one, seconds=None, limit=self._limit, name="novacron-each")
            return [answer.result() for answer in answers]

        return call


def _spec(spec: VMSpec | None, fields: Mapping[str, Any]) -> VMSpec:
    """Return a spec with some fields set on top of it."""
    from novacron.specs import VMSpec

    return VMSpec.parse(spec if spec is not None and not fields else {**(spec.as_dict() if spec else {}), **fields})


__all__ = ["Each", "VMCollection", "VMPage"]
