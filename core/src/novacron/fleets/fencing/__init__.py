"""Fencing: switches a node off before its VMs are started elsewhere."""
