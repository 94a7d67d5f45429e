"""Switches and port groups: standard ones of each node, and distributed ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from novacron.errors import AlreadyExistsError, InvalidSpecError, InvalidStateError, NotFoundError, SpecProblem
from novacron.jobs import Job
from novacron.records.vm import Deleted
from novacron_vmware.errors import translated
from novacron_vmware.gone import still_there
from novacron_vmware.names import escaped_name, plain_name
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import PortGroup, Switch
from novacron_vmware.placement import uplinks
from novacron_vmware.sdk import vim

Group = vim.dvs.DistributedVirtualPortgroup
Distributed = vim.dvs.VmwareDistributedVirtualSwitch
SECURITY = ("allowPromiscuous", "forgedTransmits", "macChanges")
TRUNK = "a number from 0 to 4094, or ranges such as 10-20,30 for a trunk of a distributed switch"


class VSphereSwitches(NativeOperations):
    """Switches and port groups: list, create, delete; VLANs, trunks and security policies."""

    @vsphere.operation(kind="read")
    def switch_list(self, node: str = "") -> list[Switch]:
        """List the distributed switches and the nodes' standard switches.

        Args:
            node: only the standard switches of this node.
        """
        found = list(self._standard(node))
        if not node:
            paths = ["name", "config", "portgroup", "summary.numPorts"]
            read = self._connection.collect(vim.DistributedVirtualSwitch, paths)
            names = dict(self._connection.collect(Group, ["name"]))
            found += [_distributed(each, names) for _, each in read]
        return sorted(found, key=lambda switch: (switch.kind, switch.name, switch.node or ""))

    @vsphere.operation(kind="job")
    def switch_create(
        self, name: str, job: Job[Switch], node: str = "", uplinks: tuple[str, ...] = (), mtu: int = 1500, datacenter: str = ""
    ) -> Switch:
        """Create a distributed switch, or with a node a standard switch of it.

        Args:
            name: its name.
            node: the node that gets a standard switch.
            uplinks: names of physical NICs (standard), or of uplink ports (distributed); can be repeated.
            mtu: the largest packet in bytes.
            datacenter: where a distributed switch goes, if there are several.
        """
        if node:
            system = self._system(node)
            bridge = vim.host.VirtualSwitch.BondBridge(nicDevice=list(uplinks)) if uplinks else None
            with translated(name):
                system.AddVirtualSwitch(name, vim.host.VirtualSwitch.Specification(numPorts=128, mtu=mtu, bridge=bridge))
            return still_there(switch for switch in self._standard(node) if switch.name == name)
        if any(switch.name == name for switch in self.switch_list()):
            raise AlreadyExistsError(f"a switch {name!r} is already there", resource=name, hint="give another name")
        config = Distributed.ConfigSpec(name=escaped_name(name), maxMtu=mtu)
        if uplinks:
            config.uplinkPortPolicy = vim.DistributedVirtualSwitch.NameArrayUplinkPortPolicy(uplinkPortName=list(uplinks))
        folder = self._network_folder(datacenter)
        self._run(name, lambda: folder.CreateDVS_Task(vim.DistributedVirtualSwitch.CreateSpec(configSpec=config)), job)
        return still_there(switch for switch in self.switch_list() if switch.name == name and switch.kind == "distributed")

    @vsphere.operation(kind="job")
    def switch_attach(self, switch: str, nodes: tuple[str, ...], job: Job[Switch], uplinks: tuple[str, ...] = ()) -> Switch:
        """Attach nodes to a distributed switch, so that VMs on them can use it.

        Args:
            switch: its name, inventory path or id.
            nodes: the nodes.
            uplinks: the physical NICs of each node that become uplinks; can be repeated.
        """
        backing = vim.dvs.HostMember.PnicBacking(pnicSpec=[vim.dvs.HostMember.PnicSpec(pnicDevice=nic) for nic in uplinks])
        self._member(switch, nodes, "add", job, backing=backing)
        return still_there(each for each in self.switch_list() if each.name == self._switch_name(switch))

    @vsphere.operation(kind="job", destroys=True)
    def switch_detach(self, switch: str, nodes: tuple[str, ...], job: Job[Switch]) -> Switch:
        """Detach nodes from a distributed switch. vSphere refuses it while VMs on them use it.

        Args:
            switch: its name, inventory path or id.
            nodes: the nodes.
        """
        self._member(switch, nodes, "remove", job)
        return still_there(each for each in self.switch_list() if each.name == self._switch_name(switch))

    def _switch_name(self, switch: str) -> str:
        thing = self._find(vim.DistributedVirtualSwitch, switch, "distributed switch")
        return plain_name(self._connection.read(thing, ["name"])["name"])

    def _member(self, switch: str, nodes: tuple[str, ...], operation: str, job: Job[Any], **more: Any) -> None:
        thing = self._find(vim.DistributedVirtualSwitch, switch, "distributed switch")
        hosts = [self._find(vim.HostSystem, node, "node") for node in nodes]
        members = [vim.dvs.HostMember.ConfigSpec(operation=operation, host=host, **more) for host in hosts]
        version = self._connection.read(thing, ["config.configVersion"]).get("config.configVersion")
        spec = Distributed.ConfigSpec(configVersion=version, host=members)
        self._run(switch, lambda: thing.ReconfigureDvs_Task(spec), job)

    @vsphere.operation(kind="job", destroys=True)
    def switch_delete(self, name: str, job: Job[Deleted], node: str = "") -> Deleted:
        """Delete a switch that no VM is on.

        Args:
            name: its name, inventory path or id.
            node: the node whose standard switch it is.
        """
        if node:
            system = self._system(node)
            switch = next((each for each in self._standard(node) if each.name == name), None)
            if switch is None:
                raise NotFoundError(f"no switch {name!r} on {node!r}", resource=name)
            if switch.port_groups:
                groups = ", ".join(switch.port_groups)
                raise InvalidStateError(f"the switch {name!r} has port groups: {groups}", resource=name, hint="delete them first")
            with translated(name):
                system.RemoveVirtualSwitch(name)
            return Deleted(name=name)
        thing = self._find(vim.DistributedVirtualSwitch, name, "distributed switch")
        self._refuse_used(self._connection.read(thing, ["portgroup"]).get("portgroup") or [], name)
        self._run(name, thing.Destroy_Task, job)
        return Deleted(name=name)

    @vsphere.operation(kind="read")
    def portgroup_list(self, switch: str = "") -> list[PortGroup]:
        """List port groups with VLAN and security policy. Uplinks are left out.

        Args:
            switch: only those of this switch.
        """
        found = [*self._standard_groups(), *self._distributed_groups()]
        return sorted((g for g in found if switch in ("", g.switch)), key=lambda g: (g.kind, g.switch, g.name, g.node or ""))

    @vsphere.operation(kind="job")
    def portgroup_create(
        self,
        name: str,
        switch: str,
        job: Job[list[PortGroup]],
        vlan: str = "0",
        node: str = "",
        promiscuous: bool | None = None,
        forged_transmits: bool | None = None,
        mac_changes: bool | None = None,
    ) -> list[PortGroup]:
        """Create a port group on a distributed switch, or on a standard switch of one node or of all nodes that have it.

        Args:
            name: its name.
            switch: the switch.
            vlan: a VLAN, or for a trunk ranges such as "10-20,30".
            node: the node; without it all nodes that have the standard switch.
            promiscuous: let VMs see the traffic of others.
            forged_transmits: let VMs send from other MAC addresses.
            mac_changes: let VMs change their MAC address.
        """
        ranges = _ranges(vlan)
        policy = {"allowPromiscuous": promiscuous, "forgedTransmits": forged_transmits, "macChanges": mac_changes}
        known = dict(self._connection.collect(vim.DistributedVirtualSwitch, ["name"]))
        distributed = self._connection.finder.named(list(known.items()), switch)
        if any(group.name == name and group.switch == switch and node in ("", group.node) for group in self.portgroup_list()):
            raise AlreadyExistsError(f"a port group {name!r} is already there", resource=name, hint="give another name")
        if distributed and not node:
            config = Group.ConfigSpec(
                name=escaped_name(name),
                type="earlyBinding",
                numPorts=128,
                autoExpand=True,
                defaultPortConfig=_port_config(ranges, policy),
            )
            self._run(name, lambda: distributed[0].AddDVPortgroup_Task([config]), job)
        else:
            self._add_standard(name, switch, node, ranges, policy)
        return [group for group in self.portgroup_list() if group.name == name and node in ("", group.node)]

    @vsphere.operation(kind="job", destroys=True)
    def portgroup_delete(self, name: str, job: Job[Deleted], node: str = "") -> Deleted:
        """Delete a port group that no VM is on.

        Args:
            name: its name, inventory path or id.
            node: only the node's own port group; without it a standard port group is deleted on all nodes.
        """
        thing = self._find(vim.Network, name, "port group")
        read = self._connection.read(thing, ["name"])
        self._refuse_used([thing], name)
        if isinstance(thing, Group):
            self._run(name, thing.Destroy_Task, job)
            return Deleted(name=name)
        plain = plain_name(read["name"])
        with translated(name):
            for _, system, info in self._systems(node):
                if any(group.spec.name == plain for group in info.portgroup or ()):
                    system.RemovePortGroup(plain)
        return Deleted(name=plain)

    def _refuse_used(self, networks: list[Any], name: str) -> None:
        """Raise InvalidStateError if a VM or template is on one of these networks."""
        found = self._connection.collect(vim.VirtualMachine, ["name", "network"])
        users = sorted(plain_name(read["name"]) for _, read in found if set(networks) & set(read.get("network") or ()))
        if users:
            shown = ", ".join(users[:5])
            raise InvalidStateError(f"VMs are on {name!r}: {shown}", resource=name, hint="put their NICs elsewhere first")

    def _add_standard(self, name: str, switch: str, node: str, ranges: list[tuple[int, int]], policy: dict[str, Any]) -> None:
        if len(ranges) != 1 or ranges[0][0] != ranges[0][1]:
            raise InvalidSpecError("a standard switch has no trunks", problems=[SpecProblem("vlan", str(ranges), "a number")])
        systems = [system for _, system, info in self._systems(node) if any(s.name == switch for s in info.vswitch or ())]
        if not systems:
            raise NotFoundError(
                f"no switch {switch!r}", resource=switch, hint="`novacron vsphere switch list` lists the switches"
            )
        security = vim.host.NetworkPolicy.SecurityPolicy(**policy) if any(v is not None for v in policy.values()) else None
        spec = vim.host.PortGroup.Specification(
            name=name, vlanId=ranges[0][0], vswitchName=switch, policy=vim.host.NetworkPolicy(security=security)
        )
        done = []
        with translated(name):
            try:
                for system in systems:
                    system.AddPortGroup(spec)
                    done.append(system)
            except BaseException:
                for system in done:
                    system.RemovePortGroup(name)
                raise

    def _systems(self, node: str = "") -> list[tuple[str, Any, Any]]:
        """Return the name, the network system and the networks of each node, or of one."""
        path = "configManager.networkSystem"
        found = self._connection.collect(vim.HostSystem, ["name", path])
        if node:
            thing = self._find(vim.HostSystem, node, "node")
            found = [each for each in found if each[0] == thing]
        systems = {read[path]: read["name"] for _, read in found if path in read}
        infos = self._connection.read_all(list(systems), vim.host.NetworkSystem, ["networkInfo"])
        return [(plain_name(systems[system]), system, read["networkInfo"]) for system, read in infos if "networkInfo" in read]

    def _system(self, node: str) -> Any:
        return self._systems(node)[0][1]

    def _standard(self, node: str) -> Iterator[Switch]:
        for name, _, info in self._systems(node):
            for switch in info.vswitch or ():
                yield Switch(
                    name=switch.name,
                    kind="standard",
                    node=name,
                    ports=int(switch.numPorts or 0),
                    mtu=switch.mtu or None,
                    uplinks=tuple(key.rpartition("-")[2] for key in switch.pnic or ()),
                    port_groups=tuple(sorted(g.spec.name for g in info.portgroup or () if g.spec.vswitchName == switch.name)),
                )

    def _standard_groups(self) -> Iterator[PortGroup]:
        for name, _, info in self._systems():
            for group in info.portgroup or ():
                security = getattr(group.computedPolicy or group.spec.policy, "security", None)
                yield PortGroup(
                    name=group.spec.name,
                    kind="standard",
                    switch=group.spec.vswitchName,
                    node=name,
                    vlan=str(group.spec.vlanId),
                    promiscuous=getattr(security, "allowPromiscuous", None),
                    forged_transmits=getattr(security, "forgedTransmits", None),
                    mac_changes=getattr(security, "macChanges", None),
                )

    def _distributed_groups(self) -> Iterator[PortGroup]:
        wires = uplinks(self._connection)
        switches = dict(self._connection.collect(vim.DistributedVirtualSwitch, ["name"]))
        for thing, read in self._connection.collect(Group, ["name", "config"]):
            if thing in wires:
                continue
            config = read["config"]
            security = getattr(config.defaultPortConfig, "securityPolicy", None)
            values = {key: getattr(getattr(security, key, None), "value", None) for key in SECURITY}
            yield PortGroup(
                name=plain_name(read["name"]),
                kind="distributed",
                switch=plain_name(switches.get(config.distributedVirtualSwitch, {}).get("name", "")),
                node=None,
                vlan=_vlan_text(getattr(config.defaultPortConfig, "vlan", None)),
                promiscuous=values["allowPromiscuous"],
                forged_transmits=values["forgedTransmits"],
                mac_changes=values["macChanges"],
            )

    def _network_folder(self, datacenter: str) -> Any:
        root = self._connection.root
        if datacenter or not isinstance(root, vim.Datacenter):
            known = self._connection.collect(vim.Datacenter, ["name"])
            if not datacenter and len(known) != 1:
                raise InvalidSpecError("several datacenters", problems=[SpecProblem("datacenter", "missing", "a datacenter")])
            root = self._find(vim.Datacenter, datacenter, "datacenter") if datacenter else known[0][0]
        return self._connection.read(root, ["networkFolder"])["networkFolder"]


def _distributed(read: dict[str, Any], names: dict[Any, dict[str, Any]]) -> Switch:
    config = read["config"]
    policy = getattr(config, "uplinkPortPolicy", None)
    wires = set(config.uplinkPortgroup or ())
    groups = [plain_name(names[group]["name"]) for group in read.get("portgroup") or () if group in names and group not in wires]
    return Switch(
        name=plain_name(read["name"]),
        kind="distributed",
        node=None,
        ports=int(read.get("summary.numPorts") or 0),
        mtu=getattr(config, "maxMtu", None) or None,
        uplinks=tuple(getattr(policy, "uplinkPortName", None) or ()),
        port_groups=tuple(sorted(groups)),
    )


def _ranges(text: str) -> list[tuple[int, int]]:
    """Return the VLANs of a text, "10-20,30", as ranges. Raises InvalidSpecError."""
    found = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdigit() or not (last or first).isdigit() or not 0 <= int(first) <= int(last or first) <= 4094:
            raise InvalidSpecError("invalid VLAN", problems=[SpecProblem("vlan", text, TRUNK)])
        found.append((int(first), int(last or first)))
    return found


def _vlan_text(vlan: Any) -> str:
    value = getattr(vlan, "vlanId", None)
    if isinstance(value, int):
        return str(value)
    return ",".join(f"{each.start}-{each.end}" if each.start != each.end else str(each.start) for each in value or ()) or "0"


def _port_config(ranges: list[tuple[int, int]], policy: dict[str, Any]) -> Any:
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        vlan = Distributed.VlanIdSpec(vlanId=ranges[0][0], inherited=False)
    else:
        vlan = Distributed.TrunkVlanSpec(vlanId=[vim.NumericRange(start=a, end=b) for a, b in ranges], inherited=False)
    config = Distributed.VmwarePortConfigPolicy(vlan=vlan)
    given = {key: vim.BoolPolicy(value=value, inherited=False) for key, value in policy.items() if value is not None}
    if given:
        config.securityPolicy = Distributed.SecurityPolicy(inherited=False, **given)
    return config


__all__ = ["VSphereSwitches"]
