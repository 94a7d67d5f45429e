"""What a round costs: the number of calls of Python functions, which is the same on a slow and on a busy machine."""

import sys
import threading
from contextlib import closing, contextmanager

from novacron.monitoring.inspection import Inspection
from novacron.monitoring.service import MonitorService


@contextmanager
def counted_calls():
    """Count the calls of Python functions in all threads that start inside, and in this one."""
    counts = {}

    def count(frame, event, argument):
        if event == "call":
            name = threading.get_ident()
            counts[name] = counts.get(name, 0) + 1

    threading.setprofile(count)
    sys.setprofile(count)
    try:
        yield counts
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def test_a_round_takes_few_calls_for_each_vm(site, add_host, monkeypatch):
    """From the driver to the rules, a VM more costs about 90 calls. A call for each sample and rule would be hundreds."""
    monkeypatch.setattr(Inspection, "refresh", lambda self, timeout=0.0: None)
    totals = []
    for vms in (300, 1000):
        add_host(vms)
        with closing(
            MonitorService(site.fleet.metrics, interval=60, say=lambda _: None, alerts=site.fleet.alerts, imports=False)
        ) as service:
            for _ in range(3):
                service.step()
            with counted_calls() as counts:
                made = service.step()
            totals.append((sum(counts.values()), len(made.measured)))
    (few_calls, few), (many_calls, many) = totals
    assert (many_calls - few_calls) / (many - few) < 130
