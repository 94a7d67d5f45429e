"""The addresses of many VMs: asked from their guests for a limited time."""

from itertools import count
from types import SimpleNamespace

import novacron
from novacron.handles import addresses


def test_guests_that_hang_delay_a_long_list_for_a_limited_time(monkeypatch):
    host = novacron.connect("sim://addressed-lists")
    records = [host.vms.create(name=f"web{n}", nics=[{"network": "default"}], start=True).record for n in range(5)]
    without = [record.replace(nics=tuple(nic.replace(addresses=()) for nic in record.nics)) for record in records]
    clock = count(0, 10)  # each guest takes ten seconds
    monkeypatch.setattr(addresses, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(addresses, "AT_ONCE", 1)
    found = addresses.with_addresses(host, without, longest=30)
    assert [bool(record.nics[0].addresses) for record in found] == [True, True, True, False, False]
