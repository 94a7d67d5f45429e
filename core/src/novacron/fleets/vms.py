"""The VMs of all hosts of a fleet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

from novacron.display import html_table
from novacron.errors import InvalidSpecError, NovaCronError, SpecProblem, VMNotFoundError
from novacron.fleets.asking import Answer, Askable
from novacron.handles.collection import Collection
from novacron.handles.vm import VMHandle
from novacron.handles.vms import Each
from novacron.specs.query import VMQuery


class FleetVMs(Collection[VMHandle]):
    """The VMs of all hosts: `fleet.vms["web1"]`, `fleet.vms.list(status="running")`, `fleet.vms.filter(tag="web").each.stop()`.

    Example:
        >>> import novacron
        >>> fleet = novacron.fleet()
        >>> for name in ("vms-a", "vms-b"):
        ...     _ = fleet.add(name, f"sim://{name}?vms=2&prefix={name[-1]}-")
        >>> [vm.name for vm in fleet.vms.list(sort="-name", limit=3)], fleet.vms["b-00001"].host.name
        (['b-00002', 'b-00001', 'a-00002'], 'vms-b')
        >>> fleet.remove("vms-a"), fleet.remove("vms-b")
        (None, None)
    """

    _title = "VMs"

    def __init__(self, fleet: Askable, timeout: float | str | None = 30.0) -> None:
        self._fleet, self._timeout = fleet, timeout

    def __len__(self) -> int:
        return self.list().total

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._holders(name)[0])

    def _all(self) -> Sequence[VMHandle]:
        return self.list()

    def _find(self, name: str) -> VMHandle:
        return self.find(name)

    def list(self, *, timeout: float | str | None = None, **query: Any) -> FleetPage:
        """List the VMs of all hosts, filtered, sorted and paged as a whole; arguments as `host.vms.list`.

        Args:
            timeout: Seconds that each host may take.
            query: Fields of `VMQuery`: name, status, tag, node, sort, limit, cursor, detail.

        Returns:
            A page of handles. `unreachable` has the error of each host that did not answer.

        Raises:
            InvalidSpecError: Unknown filter, status or sort key.
            NovaCronError: No host answered; the error of the first.
        """
        asked = VMQuery.of(**query)
        everything = asked.without_page()
        answers = self._ask(lambda host: (host, host.invoke("vm_list", query=everything)), timeout)
        owners = {record.id: host for host, records in (a.value for a in answers if a.error is None) for record in records}
        page = asked.page(record for _, records in (a.value for a in answers if a.error is None) for record in records)
        handles = [VMHandle(owners[record.id], record) for record in page.items]
        return FleetPage(handles, page.total, page.next, {a.host: a.error for a in answers if a.error is not None})

    filter = list

    def find(self, name: str) -> VMHandle:
        """Return the VM of that name or UUID, wherever it is.

        Raises:
            VMNotFoundError: No host that answered has it; hosts that did not are named.
            InvalidSpecError: Several hosts have one of that name.
        """
        holders, silent = self._holders(name)
        if len(holders) == 1:
            return holders[0]
        if holders:
            hosts = ", ".join(vm.host.name for vm in holders)
            problem = SpecProblem("name", name, f"one of them, by host: {hosts}")
            raise InvalidSpecError(
                f"several hosts have a VM {name!r}", problems=[problem], resource=name, hint="use fleet.hosts[HOST].vms[NAME]"
            )
        more = "; no answer from " + "; ".join(f"{host}: {error}" for host, error in silent.items()) if silent else ""
        raise VMNotFoundError(f"no VM named {name!r} in the fleet{more}", resource=name)

    def _holders(self, name: str) -> tuple[Sequence[VMHandle], dict[str, NovaCronError]]:
        answers = self._ask(lambda host: host.vms[name], None)
        silent = {a.host: a.error for a in answers if a.error is not None and not isinstance(a.error, VMNotFoundError)}
        return [a.value for a in answers if a.error is None], silent

    def _ask(self, what: Callable[[Any], Any], timeout: float | str | None) -> Sequence[Answer]:
        names = [host.name for host in self._fleet.list()]
        answers = self._fleet.ask(names, what, timeout=timeout if timeout is not None else self._timeout)
        errors = [answer.error for answer in answers if answer.error is not None]
        if answers and len(errors) == len(answers) and not isinstance(errors[0], VMNotFoundError):
            raise errors[0]
        return answers


class FleetPage(Sequence[VMHandle]):
    """A part of a fleet's VMs: handles in order, `total` of all that match, the `next` cursor, and hosts that did not answer."""

    _repr_html_ = html_table  # for notebooks

    def __init__(self, vms: Sequence[VMHandle], total: int, cursor: str | None, unreachable: Mapping[str, NovaCronError]) -> None:
        self._vms, self.total, self.next, self.unreachable = vms, total, cursor, unreachable

    def __repr__(self) -> str:
        return f"<{len(self)} of {self.total} VMs of the fleet>"

    def __len__(self) -> int:
        return len(self._vms)

    @overload
    def __getitem__(self, index: int) -> VMHandle: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[VMHandle]: ...
    def __getitem__(self, index: int | slice) -> VMHandle | Sequence[VMHandle]:
        return self._vms[index]

    @property
    def each(self) -> Each:
        """Calls a method of all of them, in parallel: `page.each.shutdown()`."""
        return Each([*self._vms])


__all__ = ["FleetPage", "FleetVMs"]
