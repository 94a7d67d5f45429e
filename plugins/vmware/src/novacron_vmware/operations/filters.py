"""Traffic filters: each port group's security policy, by the network's name. They come and go with their networks.

`anti_spoofing` is vSphere's "reject" of forged transmits and of changed MAC addresses. Rules for packets are NSX's, not a port group's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, SpecProblem, TrafficFilterNotFoundError
from novacron.plugins import hookimpl
from novacron.records.filters import TrafficFilter
from novacron_vmware.errors import translated
from novacron_vmware.names import plain_name
from novacron_vmware.networks.port_groups import node_groups, reconfigure, reconfigure_standard
from novacron_vmware.placement import uplinks
from novacron_vmware.sdk import vim
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from novacron.specs.filters import TrafficFilterSpec

Group = vim.dvs.DistributedVirtualPortgroup
Distributed = vim.dvs.VmwareDistributedVirtualSwitch


class VMwareFilters(VMOperations):
    """Reads and changes security policies."""

    @hookimpl
    def filter_list(self) -> list[TrafficFilter]:
        """List them."""
        return sorted((self._record(name, safe) for name, safe in self._policies()), key=lambda each: each.name)

    @hookimpl
    def filter_get(self, filter: str) -> TrafficFilter:
        """Return one."""
        found = dict(self._policies())
        if filter not in found:
            names = ", ".join(sorted(found)) or "none"
            raise TrafficFilterNotFoundError(f"no traffic filter {filter!r}", resource=filter, hint=f"there are: {names}")
        return self._record(filter, found[filter])

    @hookimpl
    def filter_update(self, filter: str, spec: TrafficFilterSpec) -> TrafficFilter:
        """Let a network's VMs send with other addresses than their own, or not."""
        self.filter_get(filter)
        problems = [
            SpecProblem(field, str(getattr(spec, field)), "left out: a port group has no rules for packets")
            for field in ("rules", "native")
            if getattr(spec, field)
        ]
        if spec.default == "deny":
            problems.append(SpecProblem("default", "deny", "allow"))
        if spec.name != filter:
            problems.append(SpecProblem("name", spec.name, filter))
        if problems:
            raise InvalidSpecError(f"vSphere can't filter the traffic of {filter!r} so", resource=filter, problems=problems)
        with translated(filter):
            self._set(filter, spoofing=not spec.anti_spoofing)
        return self.filter_get(filter)

    def _set(self, network: str, *, spoofing: bool) -> None:
        """Change these two settings. Promiscuous mode, VLAN, teaming and shaping stay as they are."""

        def change(ports: Any) -> None:
            policy = ports.securityPolicy or Distributed.SecurityPolicy(allowPromiscuous=vim.BoolPolicy(inherited=True))
            policy.inherited = False
            policy.forgedTransmits = vim.BoolPolicy(inherited=False, value=spoofing)
            policy.macChanges = vim.BoolPolicy(inherited=False, value=spoofing)
            ports.securityPolicy = policy

        for thing, read in self._connection.collect(Group, ["name"]):
            if plain_name(read["name"]) == network:
                reconfigure(self._connection, thing, network, change)
                return

        def change_standard(spec: Any) -> None:
            spec.policy = spec.policy or vim.host.NetworkPolicy()
            security = spec.policy.security or vim.host.NetworkPolicy.SecurityPolicy()
            security.forgedTransmits = security.macChanges = spoofing
            spec.policy.security = security

        reconfigure_standard(self._connection, network, change_standard)

    def _policies(self) -> Iterator[tuple[str, bool]]:
        """Yield each port group's name and whether it refuses foreign addresses."""
        seen = set[str]()
        wires = uplinks(self._connection)
        for thing, read in self._connection.collect(Group, ["name", "config"]):
            if thing not in wires:
                seen.add(plain_name(read["name"]))
                yield plain_name(read["name"]), _refuses(getattr(read["config"].defaultPortConfig, "securityPolicy", None))
        for _, group in node_groups(self._connection):
            if group.spec.name not in seen:
                seen.add(group.spec.name)
                yield group.spec.name, _refuses(getattr(group.spec.policy, "security", None))

    def _record(self, name: str, safe: bool) -> TrafficFilter:
        return TrafficFilter(name=name, host=self._connection.name, anti_spoofing=safe)


def _refuses(policy: Any) -> bool:
    """Whether a policy refuses forged transmits and changed MAC addresses; vSphere 7 and later do where nothing is said."""
    if policy is None:
        return False
    values = [getattr(policy, name, None) for name in ("forgedTransmits", "macChanges")]
    return all(value is not None and not bool(getattr(value, "value", value)) for value in values)


__all__ = ["VMwareFilters"]
