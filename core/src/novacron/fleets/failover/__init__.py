"""Failover: restarts the VMs of a failed node elsewhere, after the node was switched off for certain."""
