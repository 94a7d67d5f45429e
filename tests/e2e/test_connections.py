"""Many threads of one process call a host whose daemon hangs again and again: the process survives, and no thread waits without end.

Before version 10.3, libvirt's client is not safe when two threads use one connection (CVE-2024-4418). With a shared connection, six of six
processes died of SIGSEGV within 12 s (Debian's libvirt 9.0).
"""

import subprocess
import sys
import time

import pytest

from novacron import errors

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

CALLERS = """
import sys, threading, time
import novacron, novacron_kvm.connection, novacron_kvm.pool
from novacron.threads import in_thread
novacron_kvm.connection.KEEPALIVE = (1, 2)
novacron_kvm.pool.REOPEN_SECONDS = 1.0
end, calls, failed = time.monotonic() + float(sys.argv[2]), [], []
host = novacron.connect(sys.argv[1], name="stressed")
host.subscribe(lambda event: None)
print("connected", flush=True)

def call():
    for _ in range(20):
        try:
            host.vms.list()
            host.invoke("host_info")
            calls.append(2)
        except novacron.NovaCronError as error:
            failed.append(type(error).__name__)

def caller():
    while time.monotonic() < end:
        in_thread(call, "short-lived").result()  # a stack that is gone when the next call is made

threads = [in_thread(caller, "caller") for _ in range(6)]
for thread in threads:
    thread.result(max(0.0, end - time.monotonic()) + 60)
assert set(failed) <= {"HostConnectionError", "OperationTimeoutError"}, set(failed)
print(sum(calls), len(failed), flush=True)
host.close()
"""


def test_threads_of_one_process_survive_a_daemon_that_hangs(lab, mended, sample, record_property):
    daemon, seconds = lab.hosts[0], sample(8, 300)
    process = subprocess.Popen([sys.executable, "-c", CALLERS, daemon.uri, str(seconds)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "connected\n"
        halts, end = 0, time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < end:
            daemon.freeze_daemon()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait((3.5, 0.2, 4.5)[halts % 3])  # keepalive ends the first and the last; none of them ends the process
            daemon.thaw_daemon()
            halts += 1
            try:
                process.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
        daemon.thaw_daemon()
        told, _ = process.communicate(timeout=90)
    finally:
        daemon.thaw_daemon()
        process.kill()
    assert process.returncode == 0
    calls, failed = map(int, told.split())
    record_property("calls", calls)
    assert calls > 0
    assert failed > 0


def test_a_cold_migration_to_a_halted_host_is_cancelled_at_once(lab, lab_hosts, boot, mended):
    """While it is "checking", both hosts are only read."""
    a, b = lab_hosts
    vm = boot(a, "cancelled-cold", ticks=0, start=False)
    lab.hosts[1].freeze_daemon()
    job = vm.migrate(b, live=False, wait=False)
    job.cancel()
    with pytest.raises(errors.OperationCancelledError) as caught:
        job.result(60)
    assert caught.value.outcome == "failed"
    lab.hosts[1].thaw_daemon()
    assert a.vms[vm.id].status == "stopped"
