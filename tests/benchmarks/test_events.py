"""Events: 10,000 in a burst through a real daemon, none lost, in order, and hardly later than libvirt's own callback."""

import random
import statistics
import time

import libvirt
import pytest

pytestmark = [pytest.mark.benchmark, pytest.mark.lab, pytest.mark.timeout(600)]

BURST = 10_000
ADDED = 0.0005
"""Seconds that NovaCron may add at the median."""


def test_ten_thousand_events_in_a_burst(lab_hosts):
    host = lab_hosts[0]
    raw_connection, maker = libvirt.open(host.uri), libvirt.open(host.uri)
    names = [f"burst-{number}" for number in range(10)]
    text = "<domain type='qemu'><name>{}</name><memory unit='MiB'>32</memory><os><type arch='x86_64'>hvm</type></os></domain>"
    domains = {name: maker.defineXML(text.format(name)) for name in names}
    definitions = {name: domain.XMLDesc(0) for name, domain in domains.items()}
    raw, told = [], []

    def heard_raw(connection, domain, event, detail, data):
        raw.append((domain.name(), time.perf_counter()))

    number = raw_connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, heard_raw, None)
    subscription = host.subscribe(lambda event: told.append((event.resource, time.perf_counter())))
    draw = random.Random(20261124)
    expected = [draw.choice(names) for _ in range(BURST)]
    try:
        began = time.perf_counter()
        for name in expected:
            maker.defineXML(definitions[name])
        made = time.perf_counter() - began
        deadline = time.monotonic() + 60
        while min(len(raw), len(told)) < BURST:
            assert time.monotonic() < deadline, (len(raw), len(told))
            time.sleep(0.01)
        time.sleep(0.5)  # nothing comes twice
    finally:
        subscription.close()
        raw_connection.domainEventDeregisterAny(number)
        for domain in domains.values():
            domain.undefine()
        raw_connection.close()
        maker.close()
    assert [name for name, _ in raw] == expected
    assert [name for name, _ in told] == expected
    added = statistics.median(ours - theirs for (_, ours), (_, theirs) in zip(told, raw, strict=True))
    print(
        f"\n{BURST} events in {made:.1f} s: in order, none lost; {added * 1000:+.3f} ms at the median against libvirt's own callback"
    )
    assert added <= ADDED
