"""Placement rules and quotas in the state database, and their check within a claim.

A claim first changes the rows of the rules and quotas that concern the VM, and then reads the other members. So two claims that concern the
same rule or quota happen one after the other, and races can't break it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from novacron.records.capacity import Amounts, PlacementRule, Quota
from novacron.store.base import Store
from novacron.units import format_size

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from novacron.store.takers import Taker

LIMITS = ("vms", "vcpus", "memory_bytes", "storage_bytes")
"""The fields of a quota that are limits."""


class RuleStore(Store):
    """Reads and writes rules and quotas."""

    def rules(self) -> list[PlacementRule]:
        """Return all rules, sorted by name."""
        with self.transaction() as connection:
            return all_rules(connection)

    def save_rule(self, rule: PlacementRule) -> None:
        """Store a rule; a rule of the same name is replaced."""
        from novacron.store.tables import placement_rules

        values = {key: value for key, value in rule.as_dict().items() if key != "name"}
        with self.transaction() as connection:
            known = placement_rules.update().where(placement_rules.c.name == rule.name)
            if not connection.execute(known.values(definition=values)).rowcount:
                connection.execute(placement_rules.insert().values(name=rule.name, definition=values, generation=0))

    def remove_rule(self, name: str) -> bool:
        """Delete a rule. Returns whether it was there."""
        from novacron.store.tables import placement_rules

        with self.transaction() as connection:
            return bool(connection.execute(placement_rules.delete().where(placement_rules.c.name == name)).rowcount)

    def quotas(self) -> list[Quota]:
        """Return all quotas with what is used, sorted by subject."""
        from novacron.store.tables import quotas

        with self.transaction() as connection:
            rows = connection.execute(quotas.select().order_by(quotas.c.subject)).all()
            return [_with_use(connection, Quota(subject=row.subject, **row.limits), "") for row in rows]

    def save_quota(self, quota: Quota) -> None:
        """Store the limits of a subject."""
        from novacron.store.tables import quotas

        limits = {name: getattr(quota, name) for name in LIMITS}
        with self.transaction() as connection:
            known = quotas.update().where(quotas.c.subject == quota.subject)
            if not connection.execute(known.values(limits=limits)).rowcount:
                connection.execute(quotas.insert().values(subject=quota.subject, limits=limits, generation=0))

    def remove_quota(self, subject: str) -> bool:
        """Delete a quota. Returns whether it was there."""
        from novacron.store.tables import quotas

        with self.transaction() as connection:
            return bool(connection.execute(quotas.delete().where(quotas.c.subject == subject)).rowcount)


def broken_rules(
    connection: Connection, rules: Iterable[PlacementRule], node: Any, taker: Taker, together: Collection[str] = ()
) -> Iterator[str]:
    """Yield why a VM can't be on a node because of a "must" rule.

    Args:
        connection: the transaction of the claim.
        rules: all rules.
        node: the row of the node.
        taker: the VM.
        together: VMs that move together with this one. They are left out.
    """
    from novacron.store.tables import allocations, nodes, placement_rules

    for rule in rules:
        if not rule.must or rule.tag not in taker.tags:
            continue
        locked = placement_rules.update().where(placement_rules.c.name == rule.name)
        connection.execute(locked.values(generation=placement_rules.c.generation + 1))
        query = (
            allocations.join(nodes, nodes.c.id == allocations.c.node)
            .select()
            .with_only_columns(allocations.c.vm, allocations.c.name, allocations.c.node, nodes.c.labels)
        )
        rows = connection.execute(query.where(_tagged(rule.tag))).all()
        others = [row for row in rows if row.vm != taker.vm and row.vm not in together]
        domain = domain_of(rule, node["id"], node["labels"])
        if rule.broken_by(domain, [domain_of(rule, row.node, row.labels) for row in others]):
            yield broken_text(rule, node["name"], domain, [row.name for row in others])


def subjects_of(taker: Taker) -> Sequence[str]:
    """Return the subjects whose quotas concern a VM."""
    return [f"owner:{taker.owner}", *(f"tag:{tag}" for tag in sorted(taker.tags))]


def exceeded_quotas(connection: Connection, quotas: Iterable[Quota], taker: Taker) -> Iterator[str]:
    """Yield which of the quotas of its subjects a VM with these amounts exceeds."""
    from novacron.store import tables

    for limits in quotas:
        locked = tables.quotas.update().where(tables.quotas.c.subject == limits.subject)
        connection.execute(locked.values(generation=tables.quotas.c.generation + 1))
        quota = _with_use(connection, limits, taker.vm)
        sums = quota.used + taker.amounts
        asked = {"vms": quota.used_vms + 1, **{name: getattr(sums, name) for name in LIMITS[1:]}}
        for name, amount in asked.items():
            limit = getattr(quota, name)
            growing = name == "vms" or getattr(taker.amounts, name) > 0
            if limit is not None and amount > limit and growing:
                shown = format_size if name.endswith("_bytes") else str
                yield f"the quota of {quota.subject} allows {shown(limit)} {name.removesuffix('_bytes')}, it would be {shown(amount)}"


def domain_of(rule: PlacementRule, node: str, labels: dict[str, str]) -> str | None:
    """Return the domain of a node for a rule."""
    return node if rule.scope == "host" else labels.get(rule.scope)


def broken_text(rule: PlacementRule, node: str, domain: str | None, others: Sequence[str]) -> str:
    """Return why a node breaks a rule, for people."""
    if domain is None:
        return f"the rule {rule.name!r} needs the label {rule.scope!r}, which {node} does not have"
    what = "away from" if rule.kind == "anti-affinity" else "with"
    return f"the rule {rule.name!r} keeps it {what} {', '.join(sorted(others)[:3])} ({rule.scope})"


def all_rules(connection: Connection) -> list[PlacementRule]:
    """Return all rules, sorted by name."""
    from novacron.store import statements as sql

    rows = connection.execute(sql.RULES)
    return [PlacementRule(name=row.name, **row.definition) for row in rows]


def _tagged(tag: str) -> Any:
    """Return the condition that an allocation has a tag. Tags are stored as a JSON list of texts."""
    import sqlalchemy as sa

    from novacron.store.tables import allocations

    return sa.cast(allocations.c.tags, sa.Text).contains(json.dumps(tag), autoescape=True)


def _with_use(connection: Connection, quota: Quota, but: str) -> Quota:
    """Return a quota with what its VMs use, except for the VM `but`. A VM that migrates counts once, with the larger amounts."""
    from novacron.store.tables import allocations

    kind, _, name = quota.subject.partition(":")
    condition = allocations.c.owner == name if kind == "owner" else _tagged(name)
    largest: dict[str, Amounts] = {}
    for row in connection.execute(allocations.select().where(condition, allocations.c.vm != but)).mappings():
        amounts = Amounts(vcpus=row["vcpus"], memory_bytes=row["memory"], storage_bytes=row["storage"])
        largest[row["vm"]] = largest.get(row["vm"], Amounts()).largest(amounts)
    used = Amounts()
    for amounts in largest.values():
        used += amounts
    result: Quota = quota.replace(used=used, used_vms=len(largest))
    return result


__all__ = [
    "LIMITS",
    "RuleStore",
    "all_rules",
    "broken_rules",
    "broken_text",
    "domain_of",
    "exceeded_quotas",
    "subjects_of",
]
