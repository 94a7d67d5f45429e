"""Many threads of one process call a host whose daemon hangs again and again: the process survives, and no thread waits without end.

Before version 10.3, libvirt's client is not safe when two threads use one connection (CVE-2024-4418). With a shared connection, six of six
processes died of SIGSEGV within 12 s (Debian's libvirt 9.0).
"""

import queue
import socket
import subprocess
import sys
import threading
import time

import pytest

from novacron import errors
from novacron.threads import in_thread
from novacron_kvm.connection import KVMConnection

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


class SlowLink:
    """A port of this machine from which each byte takes some seconds to a host, and as long back."""

    def __init__(self, host, seconds):
        self.host, self.seconds = host, seconds
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed
            far = socket.create_connection((self.host.address, 16514))
            for source, target in ((near, far), (far, near)):
                under_way = queue.SimpleQueue()
                threading.Thread(target=self._take, args=(source, under_way), daemon=True).start()
                threading.Thread(target=self._bring, args=(under_way, target), daemon=True).start()

    def _take(self, source, under_way):
        data = b"?"
        while data:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            under_way.put((time.monotonic() + self.seconds, data))

    def _bring(self, under_way, target):
        while True:
            due, data = under_way.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
            except OSError:
                return

    def close(self):
        self._listener.close()


def test_a_host_behind_a_slow_link_is_not_taken_for_dead(lab, sample):
    """While its connection is in use, a new one has to be opened to ask it: many round trips."""
    link = SlowLink(lab.hosts[0], sample(0.1, 1.0))
    patience = sample(0.3, 3.0)
    uri = f"qemu+tls://127.0.0.1:{link.port}/system?pkipath={lab.hosts[0].client}&no_verify=1"
    connection = KVMConnection(uri, "far away", timeout=120)
    try:
        with connection.operation():
            connection.read.getLibVersion()
            began = time.monotonic()
            assert in_thread(lambda: connection.answers(patience), "asks").result(300)
            assert time.monotonic() - began > patience, "a new connection took longer than a near host would be given"
    finally:
        connection.close()
        link.close()
