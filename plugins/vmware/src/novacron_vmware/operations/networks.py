"""Networks: port groups, of each node's own switch or of a distributed one, and their security policies.

A network of type "bridged" is a port group on the switch that `bridge` names: a distributed switch, or a switch that every node has.
One of type "isolated" gets a switch of its own, without an uplink, on every node.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from novacron.errors import AlreadyExistsError, InvalidSpecError, InvalidStateError, NetworkNotFoundError, SpecProblem
from novacron.plugins import hookimpl
from novacron.records.networks import Network
from novacron.records.vm import Deleted
from novacron_vmware.errors import translated
from novacron_vmware.gone import still_there
from novacron_vmware.names import plain_name
from novacron_vmware.networks.port_groups import network_systems, node_groups, reconfigure, reconfigure_standard
from novacron_vmware.placement import uplinks
from novacron_vmware.sdk import vim
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from novacron.specs.networks import NetworkSpec

Group = vim.dvs.DistributedVirtualPortgroup
PORTS = 128
"""Ports of a new switch or distributed port group; vSphere grows them."""


class VMwareNetworks(VMOperations):
    """Lists, makes and deletes port groups."""

    @hookimpl
    def network_list(self) -> list[Network]:
        """List them."""
        switches = self._switches()
        return sorted((self._record(thing, read, switches) for thing, read in self._all()), key=lambda network: network.name)

    @hookimpl
    def network_get(self, network: str) -> Network:
        """Return one."""
        return self._record(*self._find_network(network), self._switches())

    @hookimpl
    def network_create(self, spec: NetworkSpec) -> Network:
        """Create a port group on all nodes. If one node rejects it, it is deleted on the others."""
        problems = list(_problems(spec))
        switches = {name: thing for thing, name in self._switches().items()}
        systems = network_systems(self._connection)
        shared = self._shared_switches(systems)
        if spec.type == "bridged" and spec.bridge not in {*switches, *shared}:
            problems.append(
                SpecProblem("bridge", str(spec.bridge), "a switch: " + ", ".join(sorted({*switches, *shared}) or ["none"]))
            )
        if problems:
            raise InvalidSpecError(f"vSphere can't create the network {spec.name!r}", resource=spec.name, problems=problems)
        if spec.name in {plain_name(read["name"]) for _, read in self._all()}:
            raise AlreadyExistsError(f"a network {spec.name!r} is already there", resource=spec.name, hint="give another name")
        with translated(spec.name):
            if spec.bridge in switches:
                task = switches[spec.bridge].AddDVPortgroup_Task([_group_config(spec)])
                self._connection.wait(task, resource=spec.name)
            else:
                self._add_everywhere(systems, spec)
        return self.network_get(spec.name)

    @hookimpl
    def network_update(self, network: str, spec: NetworkSpec) -> Network:
        """Change the VLAN of a port group. Fields that are not given stay as they are; others of its own may be given again."""
        thing, read = self._find_network(network)
        now, given = self._record(thing, read, self._switches()), spec.model_fields_set
        asked = spec.model_copy(update={"type": now.type})
        problems = [problem for problem in _problems(asked) if problem.path in given]
        if spec.name not in (network, now.name):
            problems.append(SpecProblem("name", spec.name, now.name))
        for field in ("type", "bridge"):
            if field in given and getattr(spec, field) != getattr(now, field):
                problems.append(SpecProblem(field, str(getattr(spec, field)), f"{getattr(now, field)}: it can't be changed"))
        if problems:
            raise InvalidSpecError(f"vSphere can't change the network {network!r} so", resource=network, problems=problems)
        if "vlan" not in given:
            return now
        vlan = spec.vlan or 0
        with translated(network):
            if isinstance(thing, Group):
                reconfigure(self._connection, thing, network, lambda ports: setattr(ports, "vlan", _vlan(vlan)))
            else:
                reconfigure_standard(self._connection, now.name, lambda spec: setattr(spec, "vlanId", vlan))
        return self.network_get(network)

    @hookimpl
    def network_delete(self, network: str) -> Deleted:
        """Delete a port group that no VM is on, and the switch that was made with it."""
        thing, read = self._find_network(network)
        name = plain_name(read["name"])
        found = self._connection.collect(vim.VirtualMachine, ["name", "network"])
        users = [vm["name"] for _, vm in found if thing in (vm.get("network") or ())]
        if users:
            raise InvalidStateError(
                f"can't delete the network {network!r}: {', '.join(sorted(users)[:5])} are on it",
                resource=network,
                hint="put their NICs elsewhere first",
            )
        with translated(network):
            if isinstance(thing, Group):
                self._connection.wait(thing.Destroy_Task(), resource=network)
            else:
                for system, group in self._groups(name):
                    system.RemovePortGroup(name)
                    if group.spec.vswitchName == _own_switch(name):
                        system.RemoveVirtualSwitch(group.spec.vswitchName)
        return Deleted(name=name)

    def _all(self) -> list[tuple[Any, dict[str, Any]]]:
        found = self._connection.collect(vim.Network, ["name", "vm"])
        groups = dict(self._connection.collect(Group, ["config"]))
        wires = uplinks(self._connection)
        return [(thing, read | groups.get(thing, {})) for thing, read in found if thing not in wires]

    def _find_network(self, network: str) -> tuple[Any, dict[str, Any]]:
        """Return a network by name, inventory path or id; an ambiguous name is refused."""
        known = self._all()
        thing = self._connection.finder.find(vim.Network, network, noun="network", error=NetworkNotFoundError, among=known)
        return still_there(each for each in known if each[0] == thing)

    def _switches(self) -> dict[Any, str]:
        """Return the names of the distributed switches, read at once: a switch may be deleted while networks are listed."""
        return {thing: read["name"] for thing, read in self._connection.collect(vim.DistributedVirtualSwitch, ["name"])}

    def _record(self, thing: Any, read: dict[str, Any], switches: dict[Any, str]) -> Network:
        config = read.get("config")
        kind = "distributed" if isinstance(thing, Group) else "opaque" if isinstance(thing, vim.OpaqueNetwork) else "standard"
        vlan, bridge = None, None
        if config is not None:
            id_ = getattr(getattr(config.defaultPortConfig, "vlan", None), "vlanId", None)
            vlan = id_ if isinstance(id_, int) and id_ else None
            bridge = switches.get(config.distributedVirtualSwitch)
        return Network(
            name=plain_name(read["name"]),
            host=self._connection.name,
            active=True,
            type="bridged",
            autostart=True,
            bridge=bridge,
            native={"kind": kind} | ({"vlan": vlan} if vlan else {}),
        )

    def _shared_switches(self, systems: list[Any]) -> set[str]:
        """Return the names of the switches that every node has."""
        found = [
            {switch.name for switch in read.get("networkInfo.vswitch") or ()}
            for _, read in self._connection.read_all(systems, vim.host.NetworkSystem, ["networkInfo.vswitch"])
        ]
        return set.intersection(*found) if found else set()

    def _groups(self, network: str) -> list[tuple[Any, Any]]:
        """Return each node's network system with its port group of that name."""
        return [(system, group) for system, group in node_groups(self._connection) if group.spec.name == network]

    def _add_everywhere(self, systems: list[Any], spec: NetworkSpec) -> None:
        switch = spec.bridge if spec.type == "bridged" else _own_switch(spec.name)
        group = vim.host.PortGroup.Specification(
            name=spec.name, vlanId=spec.vlan or 0, vswitchName=switch, policy=vim.host.NetworkPolicy()
        )
        done = list[Any]()
        try:
            for system in systems:
                if spec.type == "isolated":
                    system.AddVirtualSwitch(switch, vim.host.VirtualSwitch.Specification(numPorts=PORTS, mtu=spec.mtu))
                done.append(system)
                system.AddPortGroup(group)
        except BaseException:
            for system in done:
                names = {g.spec.name for s, g in self._groups(spec.name) if s == system}
                if spec.name in names:
                    system.RemovePortGroup(spec.name)
                if spec.type == "isolated":
                    system.RemoveVirtualSwitch(switch)
            raise


def _own_switch(network: str) -> str:
    """Return the name of the switch that is made for an isolated network; an ESXi takes 31 characters."""
    return f"nc-{network}"[:31]


def _vlan(vlan: int) -> Any:
    return vim.dvs.VmwareDistributedVirtualSwitch.VlanIdSpec(vlanId=vlan, inherited=False)


def _group_config(spec: NetworkSpec) -> Any:
    return Group.ConfigSpec(
        name=spec.name,
        type="earlyBinding",
        numPorts=PORTS,
        autoExpand=True,
        defaultPortConfig=vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy(vlan=_vlan(spec.vlan or 0)),
    )


def _problems(spec: NetworkSpec) -> Iterator[SpecProblem]:
    if spec.type not in ("bridged", "isolated"):
        yield SpecProblem("type", spec.type, "bridged or isolated: vSphere routes nothing itself")
    for field in ("cidr", "dhcp_hosts", "dns_hosts", "domain", "portgroups", "device"):
        if getattr(spec, field):
            yield SpecProblem(field, str(getattr(spec, field)), "left out: vSphere's switches give no addresses")
    if spec.openvswitch:
        yield SpecProblem("openvswitch", "True", "left out: vSphere's switches are its own")
    for field in ("stp", "forward_delay"):
        if getattr(spec, field) is not None:
            yield SpecProblem(field, str(getattr(spec, field)), "left out: vSphere's switches have no spanning tree")
    if spec.mtu and spec.type == "bridged":
        yield SpecProblem("mtu", str(spec.mtu), "left out: the switch decides")


__all__ = ["VMwareNetworks"]
