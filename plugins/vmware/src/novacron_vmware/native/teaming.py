"""The teaming of a port group: which uplinks carry its traffic, and what happens when one fails."""

from __future__ import annotations

from typing import Any, Literal

from novacron.errors import InvalidSpecError, SpecProblem, UnsupportedOperationError
from novacron.jobs import Job
from novacron_vmware.errors import translated
from novacron_vmware.names import plain_name
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import Teaming
from novacron_vmware.networks.port_groups import node_groups, reconfigure, reconfigure_standard
from novacron_vmware.placement import find_network
from novacron_vmware.sdk import vim

Group = vim.dvs.DistributedVirtualPortgroup
Distributed = vim.dvs.VmwareDistributedVirtualSwitch
BALANCE = {
    "port": "loadbalance_srcid",
    "mac": "loadbalance_srcmac",
    "ip": "loadbalance_ip",
    "load": "loadbalance_loadbased",
    "explicit": "failover_explicit",
}
NAMES = {theirs: ours for ours, theirs in BALANCE.items()}


class VSphereTeaming(NativeOperations):
    """The teaming of standard and distributed port groups."""

    @vsphere.operation(kind="read")
    def portgroup_teaming_show(self, name: str) -> list[Teaming]:
        """Show the teaming of a port group; that of a standard one for each node.

        Args:
            name: its name, inventory path or id.
        """
        thing = find_network(self._connection, name)
        if isinstance(thing, Group):
            read = self._connection.read(thing, ["name", "config"])
            return [_distributed(plain_name(read["name"]), read["config"].defaultPortConfig)]
        return [_standard(group) for _, group in self._standard_groups(thing)]

    @vsphere.operation(kind="job", idempotent=True)
    def portgroup_teaming_set(
        self,
        name: str,
        job: Job[list[Teaming]],
        active: tuple[str, ...] | None = None,
        standby: tuple[str, ...] | None = None,
        balance: Literal["port", "mac", "ip", "load", "explicit"] | None = None,
        failback: bool | None = None,
        notify: bool | None = None,
    ) -> list[Teaming]:
        """Change the teaming of a port group; of a standard one on all nodes. What is not given stays.

        Args:
            name: its name, inventory path or id.
            active: an uplink that carries traffic: a physical NIC (standard) or an uplink port (distributed); can be repeated.
            standby: an uplink that takes over when an active one fails; can be repeated.
            balance: how traffic is spread: by port, MAC address, IP hash, load (distributed only), or explicitly in the order of uplinks.
            failback: go back to an active uplink when it works again.
            notify: tell the physical switches when a VM's traffic takes another uplink.
        """
        if both := set(active or ()) & set(standby or ()):
            problem = SpecProblem("standby", sorted(both)[0], "an uplink that is not active")
            raise InvalidSpecError("an uplink is active or standby", resource=name, problems=[problem])
        thing = find_network(self._connection, name)
        given = {"active": active, "standby": standby, "balance": balance, "failback": failback, "notify": notify}
        if isinstance(thing, Group):
            with translated(name):
                reconfigure(self._connection, thing, name, lambda ports: _change_distributed(ports, given), job)
            return self.portgroup_teaming_show(name)
        if balance == "load":
            raise UnsupportedOperationError("standard switches don't balance by load", resource=name, outcome="not_sent")

        def change(spec: Any) -> None:
            spec.policy = spec.policy or vim.host.NetworkPolicy()
            spec.policy.nicTeaming = _changed_standard(spec.policy.nicTeaming, given)

        with translated(name):
            reconfigure_standard(self._connection, plain_name(self._connection.read(thing, ["name"])["name"]), change)
        return self.portgroup_teaming_show(name)

    def _standard_groups(self, thing: Any) -> list[tuple[Any, Any]]:
        name = plain_name(self._connection.read(thing, ["name"])["name"])
        return [(system, group) for system, group in node_groups(self._connection) if group.spec.name == name]


def _change_distributed(ports: Any, given: dict[str, Any]) -> None:
    teaming = ports.uplinkTeamingPolicy or Distributed.UplinkPortTeamingPolicy()
    teaming.inherited = False
    order = teaming.uplinkPortOrder or Distributed.UplinkPortOrderPolicy()
    for field, key in (("active", "activeUplinkPort"), ("standby", "standbyUplinkPort")):
        if given[field] is not None:
            setattr(order, key, list(given[field]))
            order.inherited = False
    if order.inherited is not None:
        teaming.uplinkPortOrder = order
    if given["balance"] is not None:
        teaming.policy = vim.StringPolicy(inherited=False, value=BALANCE[given["balance"]])
    if given["failback"] is not None:
        teaming.rollingOrder = vim.BoolPolicy(inherited=False, value=not given["failback"])
    if given["notify"] is not None:
        teaming.notifySwitches = vim.BoolPolicy(inherited=False, value=given["notify"])
    ports.uplinkTeamingPolicy = teaming


def _changed_standard(now: Any, given: dict[str, Any]) -> Any:
    teaming = now or vim.host.NetworkPolicy.NicTeamingPolicy()
    if given["active"] is not None or given["standby"] is not None:
        order = teaming.nicOrder or vim.host.NetworkPolicy.NicOrderPolicy()
        if given["active"] is not None:
            order.activeNic = list(given["active"])
        if given["standby"] is not None:
            order.standbyNic = list(given["standby"])
        teaming.nicOrder = order
    if given["balance"] is not None:
        teaming.policy = BALANCE[given["balance"]]
    if given["failback"] is not None:
        teaming.rollingOrder = not given["failback"]
    if given["notify"] is not None:
        teaming.notifySwitches = given["notify"]
    return teaming


def _standard(group: Any) -> Teaming:
    teaming = getattr(group.spec.policy, "nicTeaming", None) or getattr(group.computedPolicy, "nicTeaming", None)
    order = getattr(teaming, "nicOrder", None)
    rolling, notify = getattr(teaming, "rollingOrder", None), getattr(teaming, "notifySwitches", None)
    return Teaming(
        name=group.spec.name,
        kind="standard",
        active=tuple(getattr(order, "activeNic", None) or ()),
        standby=tuple(getattr(order, "standbyNic", None) or ()),
        balance=NAMES.get(str(getattr(teaming, "policy", None) or "")),
        failback=None if rolling is None else not rolling,
        notify=notify,
    )


def _distributed(name: str, ports: Any) -> Teaming:
    teaming = getattr(ports, "uplinkTeamingPolicy", None)
    order = getattr(teaming, "uplinkPortOrder", None)

    def value(key: str) -> Any:
        return getattr(getattr(teaming, key, None), "value", None)

    rolling = value("rollingOrder")
    return Teaming(
        name=name,
        kind="distributed",
        active=tuple(getattr(order, "activeUplinkPort", None) or ()),
        standby=tuple(getattr(order, "standbyUplinkPort", None) or ()),
        balance=NAMES.get(str(value("policy") or "")),
        failback=None if rolling is None else not rolling,
        notify=value("notifySwitches"),
    )


__all__ = ["VSphereTeaming"]
