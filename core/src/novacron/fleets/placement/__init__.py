"""Placement: finds the node for a VM. Filters say why a node can't take it, weighers order the nodes that can."""
