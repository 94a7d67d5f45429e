"""Placement rules and quotas: `fleet.rules.add("apart", "anti-affinity", tag="db")`, `fleet.quotas.set("owner:ann", vcpus=16)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from novacron.errors import InvalidSpecError, NotFoundError, SpecProblem
from novacron.fleets.nodes import Recorded, checked_name
from novacron.records.capacity import Allocation, FleetNode, PlacementRule, Quota
from novacron.store.rules import RuleStore

KINDS = ("affinity", "anti-affinity")


class RuleCollection:
    """The placement rules.

    Args:
        store: where rules are stored.
        nodes: returns all nodes.
        allocations: returns all allocations.
        recorded: writes audit lines.

    Example:
        >>> import novacron
        >>> rules = novacron.fleet().rules
        >>> rules.add("apart", "anti-affinity", tag="db", scope="rack").must
        True
        >>> rules.remove("apart")
    """

    def __init__(
        self,
        store: RuleStore,
        nodes: Callable[[], Sequence[FleetNode]],
        allocations: Callable[[], Sequence[Allocation]],
        recorded: Recorded,
    ) -> None:
        self._store, self._nodes, self._allocations, self._recorded = store, nodes, allocations, recorded

    def __repr__(self) -> str:
        return "<placement rules of the fleet>"

    def __iter__(self) -> Iterator[PlacementRule]:
        return iter(self.list())

    def list(self) -> Sequence[PlacementRule]:
        """Return all rules, sorted by name."""
        return self._store.rules()

    def add(self, name: str, kind: str, *, tag: str, scope: str = "host", must: bool = True) -> PlacementRule:
        """Add a rule for the VMs that have a tag.

        Args:
            name: the rule's name.
            kind: "affinity" keeps the VMs in one domain, "anti-affinity" at most one of them in each.
            tag: the VMs with this tag.
            scope: "host", or the name of a label of nodes such as "rack".
            must: refuse operations that would break the rule. Otherwise placement only prefers nodes that follow it.

        Raises:
            InvalidSpecError: the kind is unknown, no node has the label, another rule contradicts it, or running VMs break it already.
        """
        checked_name("rule", name)
        problems = []
        if kind not in KINDS:
            problems.append(SpecProblem("kind", kind, " or ".join(KINDS)))
        if not tag:
            problems.append(SpecProblem("tag", tag, "the tag of the VMs"))
        nodes = self._nodes()
        if scope != "host" and not any(scope in node.labels for node in nodes):
            labels = sorted({label for node in nodes for label in node.labels})
            problems.append(
                SpecProblem("scope", scope, f"host, or a label of a node: {', '.join(labels) or 'there is none yet'}")
            )
        if problems:
            raise InvalidSpecError("invalid placement rule", problems=problems)
        rule = PlacementRule(name=name, kind=kind, tag=tag, scope=scope, must=must)  # type: ignore[arg-type]
        if must:
            self._refuse_contradiction(rule, nodes)
            self._refuse_broken(rule, nodes)
        with self._recorded("rule_add", name, rule.as_dict()):
            self._store.save_rule(rule)
        return rule

    def remove(self, name: str) -> None:
        """Remove a rule. Raises NotFoundError."""
        with self._recorded("rule_remove", name, {}):
            if not self._store.remove_rule(name):
                raise NotFoundError(f"no placement rule named {name!r}", hint="`novacron fleet rules` shows them")

    def broken(self) -> Sequence[tuple[PlacementRule, Sequence[str]]]:
        """Return the rules that VMs break now, each with the names of those VMs."""
        nodes = {node.id: node for node in self._nodes()}
        found = [(rule, self._breaking(rule, nodes)) for rule in self.list()]
        return [(rule, vms) for rule, vms in found if vms]

    def _refuse_contradiction(self, rule: PlacementRule, nodes: Sequence[FleetNode]) -> None:
        """Refuse a rule that leaves two VMs no place together with another one. Two hosts of one rack are such a place, for example."""
        for other in self.list():
            if not other.must or other.name == rule.name or other.tag != rule.tag or other.kind == rule.kind:
                continue
            together, apart = (rule, other) if rule.kind == "affinity" else (other, rule)
            if not _fits_twice(nodes, together.scope, apart.scope):
                problem = SpecProblem("kind", rule.kind, f"what the rule {other.name!r} ({other.kind}, {other.scope}) allows")
                raise InvalidSpecError("two rules contradict each other", problems=[problem])

    def _refuse_broken(self, rule: PlacementRule, nodes: Sequence[FleetNode]) -> None:
        vms = self._breaking(rule, {node.id: node for node in nodes})
        if vms:
            problem = SpecProblem("tag", rule.tag, f"VMs that follow the rule; these break it: {', '.join(vms)}")
            raise InvalidSpecError(
                "VMs break the rule already", problems=[problem], hint="move them first, or use a rule with should"
            )

    def _breaking(self, rule: PlacementRule, nodes: dict[str, FleetNode]) -> Sequence[str]:
        members = [each for each in self._allocations() if rule.tag in each.tags and each.node in nodes]
        domains = [(each.name, nodes[each.node].domain(rule.scope)) for each in members]
        if rule.kind == "affinity":
            return sorted({name for name, _ in domains}) if len({domain for _, domain in domains}) > 1 else []
        places = [domain for _, domain in domains]
        return sorted({name for name, domain in domains if domain is None or places.count(domain) > 1})


def _fits_twice(nodes: Sequence[FleetNode], together: str, apart: str) -> bool:
    """Return whether one domain of the scope `together` has nodes in two domains of the scope `apart`."""
    parts: dict[str, set[str]] = {}
    for node in nodes:
        whole, part = node.domain(together), node.domain(apart)
        if whole is not None and part is not None:
            parts.setdefault(whole, set()).add(part)
    return any(len(found) > 1 for found in parts.values())


class QuotaCollection:
    """The quotas of owners and tags.

    Args:
        store: where quotas are stored.
        recorded: writes audit lines.

    Example:
        >>> import novacron
        >>> quotas = novacron.fleet().quotas
        >>> quotas.set("owner:ann", vcpus=16, memory="64GiB").vcpus
        16
        >>> quotas.remove("owner:ann")
    """

    def __init__(self, store: RuleStore, recorded: Recorded) -> None:
        self._store, self._recorded = store, recorded

    def __repr__(self) -> str:
        return "<quotas of the fleet>"

    def __iter__(self) -> Iterator[Quota]:
        return iter(self.list())

    def list(self) -> Sequence[Quota]:
        """Return all quotas with what is used, sorted by subject."""
        return self._store.quotas()

    def set(self, subject: str, **limits: Any) -> Quota:
        """Set the limits of an owner or a tag. Limits that are not given are removed.

        Args:
            subject: "owner:NAME" or "tag:TAG".
            limits: fields of `QuotaSettings`: vms, vcpus, memory, storage.

        Raises:
            InvalidSpecError: the subject or a limit is invalid.
        """
        from novacron.specs.capacity import QuotaSettings

        kind, colon, name = subject.partition(":")
        if kind not in ("owner", "tag") or not colon or not name:
            raise InvalidSpecError("invalid quota", problems=[SpecProblem("subject", subject, "owner:NAME or tag:TAG")])
        given = QuotaSettings.parse(limits)
        quota = Quota(subject=subject, vms=given.vms, vcpus=given.vcpus, memory_bytes=given.memory, storage_bytes=given.storage)
        with self._recorded("quota_set", subject, limits):
            self._store.save_quota(quota)
        return next(each for each in self.list() if each.subject == subject)

    def remove(self, subject: str) -> None:
        """Remove a quota. Raises NotFoundError."""
        with self._recorded("quota_remove", subject, {}):
            if not self._store.remove_quota(subject):
                raise NotFoundError(f"no quota of {subject!r}", hint="`novacron fleet quotas` shows them")


__all__ = ["QuotaCollection", "RuleCollection"]
