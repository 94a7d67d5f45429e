"""What a call costs besides libvirt's own time, and what slow calls cost the others."""

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import libvirt
import pytest

import novacron

pytestmark = [pytest.mark.benchmark, pytest.mark.lab]

CALLS = 300
IN_FLIGHT = 12
GUEST = """
<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><features><acpi/></features>
  <os><type arch='x86_64' machine='pc'>hvm</type></os><devices>{disk}</devices></domain>
"""
DISK = "<disk type='file' device='disk'><source file='{file}'/><target dev='vda' bus='virtio'/></disk>"


def repeated(call):
    def way():
        for _ in range(CALLS):
            call()

    return way


def test_a_read_through_api_policies_and_hook_costs_little_more_than_libvirts_call(lab, measure, tell):
    """The raw connection is one as a careful program opens it: with an event loop and keepalive, without which a call may never end."""
    uri = lab.hosts[0].uri
    with novacron.connect(uri) as ours:
        raw = libvirt.open(uri)
        raw.setKeepAlive(5, 3)
        assert ours.ping().version == "{}.{}.{}".format(*(raw.getLibVersion() // 1000**n % 1000 for n in (2, 1, 0)))
        m = measure(
            {
                "getLibVersion": repeated(raw.getLibVersion),
                "host.ping": repeated(ours.ping),
                "getLibVersion again": repeated(raw.getLibVersion),
            },
            rounds=15,
            control=("getLibVersion again", "getLibVersion"),
        )
        raw.close()
    tell(
        f"{1e6 * m.best('host.ping') / CALLS:.0f} us, {m.told('host.ping', 'getLibVersion')}; "
        f"control {m.told('getLibVersion again', 'getLibVersion')}"
    )
    assert m.ratio("host.ping", "getLibVersion") <= 1.3


@pytest.fixture
def sleepers(lab):
    """Return a function that makes paused guests with a disk: taking it away takes libvirt 5 s of waiting, once for each guest."""
    connection = libvirt.open(lab.hosts[0].uri)
    made = []

    def make(count, prefix):
        for number in range(count):
            name = f"{prefix}-{number}"
            file = lab.shared / f"{name}.raw"
            with file.open("wb") as disk:
                disk.truncate(2**20)
            text = GUEST.format(name=name, disk=DISK.format(file=file))
            made.append((connection.createXML(text, libvirt.VIR_DOMAIN_START_PAUSED), file))
        return [f"{prefix}-{number}" for number in range(count)]

    yield make
    for domain, file in made:
        domain.destroy()
        file.unlink()
    connection.close()


def detach(connection, name, lab):
    disk = DISK.format(file=lab.shared / f"{name}.raw")
    connection.lookupByName(name).detachDeviceFlags(disk, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def test_slow_calls_neither_wait_for_each_other_nor_delay_reads(lab, sleepers, tell):
    """Twelve at once on the driver's connections for slow calls; the peer is a program with one connection for everything."""
    # libvirt 9 starts with 5 workers and adds more of its 20 too late: some of twelve calls on twelve connections wait for 5 s then,
    # whoever makes them; here the daemon has all of them from the beginning
    grown = lab.hosts[0].exec("virt-admin", "server-threadpool-set", "libvirtd", "--min-workers", "20")
    assert grown.returncode == 0, grown.stderr
    with novacron.connect(lab.hosts[0].uri) as host:
        native = host.dispatcher.driver.native

        def slow(name):
            with native.dedicated() as connection:
                detach(connection, name, lab)

        alone = timed(lambda: slow(*sleepers(1, "alone")))
        several, reads = under_way(slow, sleepers(IN_FLIGHT, "ours"), host.ping, lambda: host.vms["alone-0"])
    shared = libvirt.open(lab.hosts[0].uri)
    naive, blocked = under_way(lambda name: detach(shared, name, lab), sleepers(IN_FLIGHT, "naive"), shared.getLibVersion)
    shared.close()
    p95 = statistics.quantiles(reads, n=20)[-1]
    tell(
        f"{IN_FLIGHT} slow calls end in {several:.1f} s, {several / alone:.2f} x one; meanwhile reads take {1000 * p95:.1f} ms at the "
        f"95th percentile of {len(reads)}; on one connection {naive:.1f} s, {naive / several:.1f} x ours, and a read up to "
        f"{max(blocked):.1f} s"
    )
    assert alone > 4, "the call was not slow"
    assert p95 <= 0.005
    assert several <= 1.3 * alone
    assert naive > 2 * several


def timed(work):
    began = time.monotonic()
    work()
    return time.monotonic() - began


def under_way(slow, names, *reading):
    """Return the seconds until all slow calls have ended, and the seconds of each read meanwhile, the ways of reading in turns."""
    reads, ended = [], threading.Event()
    with ThreadPoolExecutor(len(names)) as pool:
        began = time.monotonic()
        calls = [pool.submit(slow, name) for name in names]
        watcher = threading.Thread(target=lambda: ([call.result() for call in calls], ended.set()))
        watcher.start()
        for read in cycle(reading):
            if ended.wait(0.01):
                break
            reads.append(timed(read))
        watcher.join()
        return time.monotonic() - began, reads
