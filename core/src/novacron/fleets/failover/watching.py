"""Which nodes failover watches. A node that it can't watch though its group has failover is named with the reason."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from novacron.records.capacity import FleetNode

ANEW = "remove its host from the fleet, run `novacron node refresh`, and add the host again"
"""What to do when the machine of a host was replaced. The refresh forgets the old one, which would else share the host with the new one."""


def unwatched(node: FleetNode, nodes: Sequence[FleetNode], hosts: Collection[str]) -> str:
    """Return why failover can't watch a node; empty if it can.

    A node without a registered host does not answer, and nothing is wrong with it. Of several nodes of one host it is not known which one
    answers there.

    Args:
        node: the node.
        nodes: all nodes.
        hosts: the names of the registered hosts.
    """
    if node.host not in hosts:
        return f"its host {node.host} was removed from the fleet"
    others = [other.name for other in nodes if other.id != node.id and node.host in other.hosts]
    if others:
        shown = ", ".join(others[:3]) + (" ..." if len(others) > 3 else "")
        return f"its host {node.host} leads to other nodes as well ({shown}); if its machine was replaced, {ANEW}"
    return ""


__all__ = ["ANEW", "unwatched"]
