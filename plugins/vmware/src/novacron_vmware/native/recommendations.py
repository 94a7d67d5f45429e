"""Migrations that DRS recommends, and EVC: shown and checked."""

from __future__ import annotations

from typing import Any

from novacron.errors import InvalidStateError, NotFoundError
from novacron.jobs import Job
from novacron_vmware.errors import translated
from novacron_vmware.names import plain_name
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import EVCCheck, Recommendation
from novacron_vmware.sdk import vim


class VSphereRecommendations(NativeOperations):
    """Recommendations of DRS: list, apply; the EVC modes of nodes."""

    @vsphere.operation(kind="read")
    def cluster_recommendation_list(self, cluster: str, refresh: bool = True) -> list[Recommendation]:
        """List the migrations that DRS recommends, the most important first.

        Args:
            cluster: its name, inventory path or id.
            refresh: let DRS look again; otherwise what it found last, at most five minutes ago.
        """
        thing = self._cluster(cluster)
        if refresh:
            self._require_drs(thing, cluster)
            with translated(cluster):
                thing.RefreshRecommendation()
        return self._listed(thing)

    @vsphere.operation(kind="job")
    def cluster_recommendation_apply(self, cluster: str, key: str, job: Job[Recommendation]) -> Recommendation:
        """Carry out a migration that DRS recommends, and wait until the VM runs on the other node.

        Args:
            cluster: its name, inventory path or id.
            key: the recommendation's key.
        """
        thing = self._cluster(cluster)
        known = {each.key: each for each in self._listed(thing)}
        if key not in known:
            hint = f"there are: {', '.join(sorted(known)) or 'none'}; a new list has new keys"
            raise NotFoundError(f"no recommendation {key!r} in the cluster", resource=key, hint=hint)
        moves = self._moves(thing, key)
        with translated(cluster):
            thing.ApplyRecommendation(key)
        for number, (vm, destination) in enumerate(moves):
            job.report("migrating", number / len(moves))
            self._connection.wait_for(vm, "runtime.host", destination, resource=cluster, job=job)
        return known[key]

    @vsphere.operation(kind="read")
    def cluster_evc_check(self, cluster: str, mode: str) -> list[EVCCheck]:
        """Check whether the CPUs of a cluster's nodes support an EVC mode.

        Args:
            cluster: its name, inventory path or id.
            mode: the mode's key, such as intel-broadwell or amd-zen2.
        """
        thing = self._cluster(cluster)
        nodes = self._connection.read(thing, ["host"]).get("host") or []
        found = self._connection.read_all(list(nodes), vim.HostSystem, ["name", "summary.maxEVCModeKey"]) if nodes else []
        tiers = self._tiers()
        if mode not in tiers:
            raise NotFoundError(f"no EVC mode {mode!r}", resource=mode, hint=f"there are: {', '.join(sorted(tiers))}")
        checks = []
        for _, read in found:
            most = read.get("summary.maxEVCModeKey") or None
            fits = None if most not in tiers else tiers[most][0] == tiers[mode][0] and tiers[most][1] >= tiers[mode][1]
            checks.append(EVCCheck(node=plain_name(read["name"]), mode=mode, most=most, fits=fits))
        return sorted(checks, key=lambda each: each.node)

    def _tiers(self) -> dict[str, tuple[str, int]]:
        """Return the EVC modes that the vCenter knows, each with its vendor and rank."""
        return {key: (mode.vendor, mode.vendorTier) for key, mode in self._connection.evc_modes.items()}

    def _cluster(self, text: str) -> Any:
        return self._find(vim.ClusterComputeResource, text, "cluster")

    def _require_drs(self, thing: Any, cluster: str) -> None:
        drs = self._connection.read(thing, ["configurationEx"])["configurationEx"].drsConfig
        if not (drs and drs.enabled):
            raise InvalidStateError(f"DRS is off in the cluster {cluster!r}", resource=cluster, hint="cluster update --drs")

    def _moves(self, thing: Any, key: str) -> list[tuple[Any, Any]]:
        """Return the VMs that a recommendation moves, with the nodes that they go to."""
        listed = self._connection.read(thing, ["recommendation"]).get("recommendation") or []
        actions = [action for each in listed if each.key == key for action in each.action or ()]
        moves = [action.drsMigration for action in actions if isinstance(action, vim.cluster.MigrationAction)]
        return [(move.vm, move.destination) for move in moves]

    def _listed(self, thing: Any) -> list[Recommendation]:
        read = self._connection.read(thing, ["name", "recommendation"])
        listed = read.get("recommendation") or []
        moves = {each.key: self._migration(each) for each in listed}
        moved = list({move.vm for move in moves.values() if move})
        ids = {
            vm: known["config.instanceUuid"]
            for vm, known in self._connection.read_all(moved, vim.VirtualMachine, ["config.instanceUuid"])
        }
        named = {part for move in moves.values() if move for part in (move.vm, move.source, move.destination)}
        found = self._connection.read_all(list(named), vim.ManagedEntity, ["name"]) if named else []
        names = {thing: plain_name(known["name"]) for thing, known in found}
        records = [
            Recommendation(
                key=each.key,
                vm=ids.get(move.vm) if (move := moves[each.key]) else None,
                name=names.get(move.vm) if move else None,
                source=names.get(move.source) if move else None,
                destination=names.get(move.destination) if move else None,
                rating=each.rating,
                reason=each.reasonText,
                cluster=plain_name(read["name"]),
            )
            for each in listed
        ]
        return sorted(records, key=lambda record: (-record.rating, record.key))

    def _migration(self, recommendation: Any) -> Any:
        actions = (action for action in recommendation.action or () if isinstance(action, vim.cluster.MigrationAction))
        return next((action.drsMigration for action in actions), None)


__all__ = ["VSphereRecommendations"]
