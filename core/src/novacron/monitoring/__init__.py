"""Monitoring: collects metrics of all hosts and VMs, keeps their history, exports them, and raises alerts.

The data flows one way: sources, collector, then store, exporters and alerts. `novacron.fleet().metrics` and `novacron.fleet().alerts` are
the public interface; docs/monitoring.md explains it.
"""
