"""Traffic filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.drivers.sim.area import Area, simulated
from novacron.errors import AlreadyExistsError, InvalidSpecError, InvalidStateError, SpecProblem, TrafficFilterNotFoundError
from novacron.records.filters import TrafficFilter
from novacron.records.vm import Deleted

if TYPE_CHECKING:
    from novacron.specs.filters import TrafficFilterSpec


class SimFilters(Area):
    """Stores traffic filters. They have no effect, because there is no network traffic."""

    @simulated
    def filter_list(self) -> list[TrafficFilter]:
        """List all filters."""
        with self.world.lock:
            return [self._record(name) for name in sorted(self.world.filters)]

    @simulated
    def filter_get(self, filter: str) -> TrafficFilter:
        """Return one filter."""
        with self.world.lock:
            return self._record(filter)

    @simulated
    def filter_create(self, spec: TrafficFilterSpec) -> TrafficFilter:
        """Store a filter."""
        with self.world.lock:
            if spec.name in self.world.filters:
                raise AlreadyExistsError(f"a traffic filter {spec.name!r} is already there", resource=spec.name)
            self.world.filters[spec.name] = (self.world.new_id(), spec)
            return self._record(spec.name)

    @simulated
    def filter_update(self, filter: str, spec: TrafficFilterSpec) -> TrafficFilter:
        """Replace the rules."""
        with self.world.lock:
            found = self._record(filter)
            if spec.name != filter:
                problem = SpecProblem("name", spec.name, filter)
                raise InvalidSpecError("a traffic filter keeps its name", problems=[problem], resource=filter)
            self.world.filters[filter] = (str(found.id), spec)
            return self._record(filter)

    @simulated
    def filter_delete(self, filter: str) -> Deleted:
        """Delete a filter that no NIC uses."""
        with self.world.lock:
            found = self._record(filter)
            used = next((vm.name for vm in self.world.vms.values() if filter in vm.filters.values()), None)
            if used is not None:
                raise InvalidStateError(
                    f"can't delete the traffic filter {filter!r}: a NIC of {used!r} uses it",
                    resource=filter,
                    hint="change that NIC first",
                )
            del self.world.filters[filter]
            return Deleted(name=filter, id=found.id)

    def _record(self, name: str) -> TrafficFilter:
        found = self.world.filters.get(name)
        if found is None:
            raise TrafficFilterNotFoundError(
                f"no traffic filter {name!r}", resource=name, hint=f"there are: {', '.join(sorted(self.world.filters)) or 'none'}"
            )
        identity, spec = found
        rules = tuple(rule.as_dict() | {"direction": rule.direction} for rule in spec.rules)
        return TrafficFilter(
            name=name,
            host=self.connection.name,
            id=identity,
            default=spec.default,
            anti_spoofing=spec.anti_spoofing,
            rules=({"native": spec.native},) if spec.native else rules,
        )


__all__ = ["SimFilters"]
