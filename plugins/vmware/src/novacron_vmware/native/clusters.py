"""Clusters: their settings for DRS and HA, their groups and rules."""

from __future__ import annotations

from typing import Any, Literal

from novacron.errors import AlreadyExistsError, InvalidSpecError, InvalidStateError, NotFoundError, SpecProblem
from novacron.jobs import Job
from novacron.records.vm import Deleted
from novacron_vmware.errors import translated
from novacron_vmware.names import canonical_path, plain_name
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import Cluster, ClusterGroup, ClusterRule
from novacron_vmware.sdk import vim

PROPERTIES = ["name", "host", "configurationEx", "summary.numCpuThreads", "summary.totalMemory", "summary.currentEVCModeKey"]
MODES = {"manual": "manual", "partially-automated": "partiallyAutomated", "fully-automated": "fullyAutomated"}
NAMES = {theirs: ours for ours, theirs in MODES.items()}
Mode = Literal["manual", "partially-automated", "fully-automated"]
Kind = Literal["affinity", "anti-affinity", "vm-host-affinity", "vm-host-anti-affinity"]


class VSphereClusters(NativeOperations):
    """Clusters: list, create, change DRS and HA, delete; groups and rules."""

    @vsphere.operation(kind="read")
    def cluster_list(self) -> list[Cluster]:
        """List clusters."""
        found = self._connection.collect(vim.ClusterComputeResource, PROPERTIES)
        paths = self._connection.finder.paths([thing for thing, _ in found])
        return sorted((_record(thing, read, paths[thing]) for thing, read in found if thing in paths), key=lambda each: each.path)

    @vsphere.operation(kind="read")
    def cluster_show(self, cluster: str) -> Cluster:
        """Show a cluster and its settings."""
        return self._shown(self._cluster(cluster))

    @vsphere.operation(kind="change")
    def cluster_create(self, path: str, drs: bool = False, ha: bool = False) -> Cluster:
        """Create a cluster without hosts.

        Args:
            path: its inventory path, "/DC0/host/prod"; the folder above has to exist.
            drs: switch DRS on, which distributes the VMs.
            ha: switch HA on, which restarts VMs of failed hosts.
        """
        parent, _, name = canonical_path(path).rpartition("/")
        folder = self._find(vim.Folder, parent, "folder")
        spec = vim.cluster.ConfigSpecEx(
            drsConfig=vim.cluster.DrsConfigInfo(enabled=drs), dasConfig=vim.cluster.DasConfigInfo(enabled=ha)
        )
        with translated(path):
            made = folder.CreateClusterEx(plain_name(name), spec)
        return self._shown(made)

    @vsphere.operation(kind="job", idempotent=True)
    def cluster_update(
        self,
        cluster: str,
        job: Job[Cluster],
        drs: bool | None = None,
        drs_mode: Mode | None = None,
        ha: bool | None = None,
        admission_control: bool | None = None,
    ) -> Cluster:
        """Change what is given of a cluster's settings; everything else stays.

        Args:
            cluster: its name, inventory path or id.
            drs: switch DRS on or off.
            drs_mode: what DRS does by itself.
            ha: switch HA on or off.
            admission_control: refuse to start VMs that could not be restarted after a failure.
        """
        thing, spec = self._cluster(cluster), vim.cluster.ConfigSpecEx()
        if drs is not None or drs_mode is not None:
            spec.drsConfig = vim.cluster.DrsConfigInfo(
                enabled=drs, defaultVmBehavior=None if drs_mode is None else MODES[drs_mode]
            )
        if ha is not None or admission_control is not None:
            spec.dasConfig = vim.cluster.DasConfigInfo(enabled=ha, admissionControlEnabled=admission_control)
        self._configure(thing, cluster, spec, job)
        return self._shown(thing)

    @vsphere.operation(kind="job", destroys=True)
    def cluster_delete(self, cluster: str, job: Job[Deleted]) -> Deleted:
        """Delete a cluster without hosts."""
        thing = self._cluster(cluster)
        record = self._shown(thing)
        if record.hosts:
            raise InvalidStateError(
                f"the cluster {record.path!r} has {record.hosts} hosts", resource=cluster, hint="remove them first"
            )
        self._run(cluster, thing.Destroy_Task, job)
        return Deleted(name=record.name, removed=(record.path,))

    @vsphere.operation(kind="read")
    def cluster_group_list(self, cluster: str) -> list[ClusterGroup]:
        """List the groups of VMs and hosts of a cluster."""
        return sorted((self._group(group) for group in self._config(self._cluster(cluster)).group), key=lambda group: group.name)

    @vsphere.operation(kind="job")
    def cluster_group_create(
        self, cluster: str, name: str, job: Job[ClusterGroup], vms: tuple[str, ...] = (), nodes: tuple[str, ...] = ()
    ) -> ClusterGroup:
        """Create a group of VMs, or a group of nodes.

        Args:
            cluster: its name, inventory path or id.
            name: the group's name.
            vms: its VMs; can be repeated.
            nodes: its nodes; can be repeated.
        """
        thing = self._cluster(cluster)
        if bool(vms) == bool(nodes):
            raise InvalidSpecError(
                "a group has VMs or nodes", problems=[SpecProblem("vms", "both or none", "one of vms and nodes")]
            )
        if any(group.name == name for group in self._config(thing).group):
            raise AlreadyExistsError(f"the cluster has a group {name!r} already", resource=name, hint="give another name")
        group = self._new_group(thing, name, vms, nodes)
        self._configure(
            thing, name, vim.cluster.ConfigSpecEx(groupSpec=[vim.cluster.GroupSpec(operation="add", info=group)]), job
        )
        return self._group(self._named(self._config(thing).group, name, "group"))

    @vsphere.operation(kind="job", destroys=True)
    def cluster_group_delete(self, cluster: str, name: str, job: Job[Deleted]) -> Deleted:
        """Delete a group that no rule names."""
        thing = self._cluster(cluster)
        config = self._config(thing)
        self._named(config.group, name, "group")
        users = [rule.name for rule in config.rule if name in _groups_of(rule)]
        if users:
            raise InvalidStateError(
                f"the rule {users[0]!r} names the group {name!r}", resource=name, hint="delete the rule first"
            )
        change = vim.cluster.GroupSpec(operation="remove", removeKey=name)
        self._configure(thing, name, vim.cluster.ConfigSpecEx(groupSpec=[change]), job)
        return Deleted(name=name)

    @vsphere.operation(kind="read")
    def cluster_rule_list(self, cluster: str) -> list[ClusterRule]:
        """List the rules of a cluster."""
        return sorted((self._rule(rule) for rule in self._config(self._cluster(cluster)).rule), key=lambda rule: rule.name)

    @vsphere.operation(kind="job")
    def cluster_rule_create(
        self, cluster: str, name: str, kind: Kind, members: tuple[str, ...], job: Job[ClusterRule], mandatory: bool = False
    ) -> ClusterRule:
        """Create a rule that DRS keeps.

        Args:
            cluster: its name, inventory path or id.
            name: the rule's name.
            kind: "affinity" keeps VMs on one node, "anti-affinity" on different ones; "vm-host-affinity" keeps a group of VMs on a group
                of nodes, "vm-host-anti-affinity" away from it.
            members: two VMs or more; for the last two kinds a group of VMs and a group of nodes.
            mandatory: HA and DRS never break it.
        """
        thing = self._cluster(cluster)
        config = self._config(thing)
        if any(rule.name == name for rule in config.rule):
            raise AlreadyExistsError(f"the cluster has a rule {name!r} already", resource=name, hint="give another name")
        rule = self._new_rule(config, kind, members)
        rule.name, rule.enabled, rule.mandatory, rule.userCreated = name, True, mandatory, True
        self._configure(thing, name, vim.cluster.ConfigSpecEx(rulesSpec=[vim.cluster.RuleSpec(operation="add", info=rule)]), job)
        return self._rule(self._named(self._config(thing).rule, name, "rule"))

    @vsphere.operation(kind="job", destroys=True)
    def cluster_rule_delete(self, cluster: str, name: str, job: Job[Deleted]) -> Deleted:
        """Delete a rule."""
        thing = self._cluster(cluster)
        rule = self._named(self._config(thing).rule, name, "rule")
        change = vim.cluster.RuleSpec(operation="remove", removeKey=rule.key)
        self._configure(thing, name, vim.cluster.ConfigSpecEx(rulesSpec=[change]), job)
        return Deleted(name=name)

    def _cluster(self, text: str) -> Any:
        return self._find(vim.ClusterComputeResource, text, "cluster")

    def _config(self, thing: Any) -> Any:
        return self._connection.read(thing, ["configurationEx"])["configurationEx"]

    def _configure(self, thing: Any, resource: str, spec: Any, job: Job[Any]) -> None:
        self._run(resource, lambda: thing.ReconfigureComputeResource_Task(spec, True), job)

    def _shown(self, thing: Any) -> Cluster:
        return _record(thing, self._connection.read(thing, PROPERTIES), self._path(thing))

    def _named(self, things: Any, name: str, noun: str) -> Any:
        for thing in things or ():
            if thing.name == name:
                return thing
        known = ", ".join(sorted(thing.name for thing in things or ())) or "none"
        raise NotFoundError(f"no {noun} {name!r} in the cluster", resource=name, hint=f"there are: {known}")

    def _new_group(self, thing: Any, name: str, vms: tuple[str, ...], nodes: tuple[str, ...]) -> Any:
        if vms:
            return vim.cluster.VmGroup(name=name, vm=[self._connection.inventory.find(vm) for vm in vms])
        members = self._connection.read(thing, ["host"])["host"]
        chosen = [self._find(vim.HostSystem, node, "node") for node in nodes]
        if strangers := [node for node, host in zip(nodes, chosen, strict=True) if host not in members]:
            problem = SpecProblem("nodes", strangers[0], "a node of the cluster")
            raise InvalidSpecError("no such node in the cluster", resource=name, problems=[problem])
        return vim.cluster.HostGroup(name=name, host=chosen)

    def _new_rule(self, config: Any, kind: str, members: tuple[str, ...]) -> Any:
        if kind in ("affinity", "anti-affinity"):
            if len(members) < 2:
                raise InvalidSpecError(
                    "a rule needs two VMs", problems=[SpecProblem("members", str(len(members)), "two VMs or more")]
                )
            known = vim.cluster.AffinityRuleSpec if kind == "affinity" else vim.cluster.AntiAffinityRuleSpec
            return known(vm=[self._connection.inventory.find(vm) for vm in members])
        groups = [self._named(config.group, name, "group") for name in members]
        vms = [group.name for group in groups if isinstance(group, vim.cluster.VmGroup)]
        nodes = [group.name for group in groups if isinstance(group, vim.cluster.HostGroup)]
        if len(vms) != 1 or len(nodes) != 1:
            problem = SpecProblem("members", ", ".join(members), "a group of VMs and a group of nodes")
            raise InvalidSpecError("a rule of this kind names two groups", problems=[problem])
        where = {"affineHostGroupName" if kind == "vm-host-affinity" else "antiAffineHostGroupName": nodes[0]}
        return vim.cluster.VmHostRuleInfo(vmGroupName=vms[0], **where)

    def _group(self, group: Any) -> ClusterGroup:
        is_vms = isinstance(group, vim.cluster.VmGroup)
        return ClusterGroup(
            name=group.name, kind="vms" if is_vms else "nodes", members=self._names(group.vm if is_vms else group.host)
        )

    def _rule(self, rule: Any) -> ClusterRule:
        members: tuple[str, ...]
        hosts: str | None = None
        if isinstance(rule, vim.cluster.VmHostRuleInfo):
            kind = "vm-host-affinity" if rule.affineHostGroupName else "vm-host-anti-affinity"
            members, hosts = (rule.vmGroupName,), rule.affineHostGroupName or rule.antiAffineHostGroupName
        else:
            kind = "anti-affinity" if isinstance(rule, vim.cluster.AntiAffinityRuleSpec) else "affinity"
            members = self._names(getattr(rule, "vm", ()))
        return ClusterRule(
            name=rule.name, kind=kind, enabled=bool(rule.enabled), mandatory=bool(rule.mandatory), members=members, hosts=hosts
        )

    def _names(self, things: Any) -> tuple[str, ...]:
        read = dict(self._connection.read_all(list(things or ()), vim.ManagedEntity, ["name"]))
        return tuple(sorted(plain_name(each["name"]) for each in read.values()))


def _groups_of(rule: Any) -> set[str | None]:
    return {getattr(rule, name, None) for name in ("vmGroupName", "affineHostGroupName", "antiAffineHostGroupName")}


def _record(thing: Any, read: dict[str, Any], path: str) -> Cluster:
    config = read["configurationEx"]
    drs, das = config.drsConfig, config.dasConfig
    return Cluster(
        name=plain_name(read["name"]),
        path=path,
        hosts=len(read.get("host") or ()),
        drs=bool(drs and drs.enabled),
        drs_mode=NAMES.get(str(drs.defaultVmBehavior) if drs else "", "fully-automated"),
        ha=bool(das and das.enabled),
        admission_control=bool(das and das.admissionControlEnabled),
        cpus=int(read.get("summary.numCpuThreads") or 0),
        memory_bytes=int(read.get("summary.totalMemory") or 0),
        evc=read.get("summary.currentEVCModeKey") or None,
        id=thing._moId,
    )


__all__ = ["VSphereClusters"]
