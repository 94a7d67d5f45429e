"""The SQL statements of claims. They are built once, so SQLAlchemy compiles each one once and not at every claim.

This module imports SQLAlchemy. Other modules import it where they use it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from novacron.store.nodes import RESOURCES
from novacron.store.tables import allocations, node_groups, nodes, placement_rules, quotas

_node = sa.bindparam("on_node", type_=sa.String)
_vm = sa.bindparam("of_vm", type_=sa.String)
_same_node = nodes.c.id == _node
_same = sa.and_(allocations.c.vm == _vm, allocations.c.node == _node)


def _growth(resource: str) -> Any:
    return sa.bindparam(f"more_{resource}", type_=sa.BigInteger)


def _sum(resource: str) -> Any:
    return (
        sa.select(sa.func.coalesce(sa.func.sum(allocations.c[resource]), 0)).where(allocations.c.node == _node).scalar_subquery()
    )


LOCK_NODE = nodes.update().where(_same_node).values(generation=nodes.c.generation + 1).returning(*nodes.c)
"""Changes the row of a node, so that no other transaction changes its allocations before this one has ended."""
GROW_NODE = (
    nodes.update()
    .where(_same_node)
    .values({f"{resource}_allocated": nodes.c[f"{resource}_allocated"] + _growth(resource) for resource in RESOURCES})
)
"""Adds amounts to what is allocated on a node. The node must be locked, and have room for them."""
SUM_UP_NODE = nodes.update().where(_same_node).values({f"{resource}_allocated": _sum(resource) for resource in RESOURCES})
"""Sets the allocated amounts of a node to the sum of its allocations."""

ALLOCATION = allocations.select().where(_same)
ADD_ALLOCATION = allocations.insert()
CHANGE_ALLOCATION = allocations.update().where(_same)
"""Sets those columns of an allocation that are parameters, too."""
DELETE_ALLOCATION = allocations.delete().where(_same)
ALLOCATIONS_OF_NODE = allocations.select().where(allocations.c.node == _node)
ALLOCATIONS_OF_NODES = allocations.select().where(allocations.c.node.in_(sa.bindparam("on_nodes", expanding=True)))

RULES = placement_rules.select().order_by(placement_rules.c.name)
_constraints = sa.union_all(
    sa.select(sa.literal("rule").label("kind"), placement_rules.c.name.label("subject"), placement_rules.c.definition),
    sa.select(sa.literal("quota"), quotas.c.subject, quotas.c.limits).where(
        quotas.c.subject.in_(sa.bindparam("subjects", expanding=True))
    ),
).subquery()
HELD_AND_CONSTRAINTS = (
    sa.select(allocations, _constraints)
    .select_from(sa.select(sa.literal(1)).subquery().outerjoin(allocations, _same).outerjoin(_constraints, sa.true()))
    .order_by(_constraints.c.subject)
)
"""The allocation of a VM on a node beside each rule and each quota of the subjects; each side is NULL if there is none.

One statement reads all of them, because each round trip to PostgreSQL takes longer than the statement.
"""
LOCK_GROUP = (
    node_groups.update()
    .where(node_groups.c.name.in_(["", sa.bindparam("of_group", type_=sa.String)]))
    .values(settings=node_groups.c.settings)
)
"""Changes the rows of a group and of the fleet, so that one claim at a time is simulated."""
NODES_OF_GROUP = nodes.select().where(nodes.c.group_name == sa.bindparam("of_group", type_=sa.String))


__all__ = [
    "ADD_ALLOCATION",
    "ALLOCATION",
    "ALLOCATIONS_OF_NODE",
    "ALLOCATIONS_OF_NODES",
    "CHANGE_ALLOCATION",
    "DELETE_ALLOCATION",
    "GROW_NODE",
    "HELD_AND_CONSTRAINTS",
    "LOCK_GROUP",
    "LOCK_NODE",
    "NODES_OF_GROUP",
    "RULES",
    "SUM_UP_NODE",
]
