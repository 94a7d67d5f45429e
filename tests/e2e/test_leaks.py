"""A process that works for days: its threads, files and memory do not grow with the number of operations."""

import gc
import threading
import time
from pathlib import Path

import pytest

from novacron import errors

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

GROWTH = 8 * 2**20
"""Bytes that Python's allocator and libvirt's client may keep beyond what they had after the first operations."""


def held():
    """The threads and open files of this process, after those that are about to end have ended."""
    gc.collect()
    until, before = time.monotonic() + 60, None
    while time.monotonic() < until:
        now = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
        if now == before:
            break
        before = now
        time.sleep(0.2)
    return now


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_operations_leave_no_thread_and_no_open_file(lab_hosts, boot, sample):
    a = lab_hosts[0]
    vm = boot(a, "for-days", ticks=0, kernel=None, start=False)

    def operations(number):
        a.vms.list()
        a.vms[vm.id].metrics()
        a.pools.create_volume(name="days.qcow2", capacity="1MiB", format="qcow2")
        a.pools.clone_volume("days.qcow2", "days-2.qcow2")
        for name in ("days.qcow2", "days-2.qcow2"):
            a.pools.delete_volume(name)
        disk = vm.disks.attach(size="1MiB")
        disk.detach(delete=True)
        vm.snapshots.create(f"day-{number}").delete()
        with pytest.raises(errors.VMNotFoundError):
            a.vms["nobody"]
        with pytest.raises(errors.NovaCronError):
            a.pools.clone_volume("nothing", "copy")
        return 12

    for number in range(3):
        operations(number)
    before, memory, done = held(), resident(), 0
    while done < sample(60, 1000):
        done += operations(done)
    threads, files = held()
    assert threads <= before[0] + 1
    assert files <= before[1] + 2
    assert resident() - memory < GROWTH
    print(f"{done} operations: {before} -> {(threads, files)}, {resident() - memory} bytes more")
