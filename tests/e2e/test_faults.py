"""Daemons killed, hung and cut off in the middle: a true outcome, within the deadline, and nothing left behind."""

import re
import threading
import time

import pytest

import novacron
from novacron import errors

pytestmark = pytest.mark.lab


def places(vm, hosts):
    """Return {host: status} as each host says when asked anew."""
    found = {}
    for host in hosts:
        try:
            found[host.name] = host.vms[vm.id].status
        except errors.VMNotFoundError:
            pass
    return found


@pytest.mark.timeout(180)
def test_the_destinations_daemon_killed_in_the_middle(lab, lab_hosts, boot, moving, mended):
    a, b = lab_hosts
    vm = boot(a, "dest-killed")
    job = moving(vm, b)
    lab.hosts[1].kill_daemon()
    with pytest.raises(errors.NovaCronError) as caught:
        job.result(120)
    assert a.vms[vm.id].status == "running"
    if caught.value.outcome == "unknown":
        assert {a.name, b.name} <= {w for w in (a.name, b.name) if w in str(caught.value)}
    lab.hosts[1].restart_daemon()
    deadline = time.monotonic() + 60
    while places(vm, lab_hosts) != {a.name: "running"}:
        assert time.monotonic() < deadline, places(vm, lab_hosts)
        time.sleep(0.2)
    vm.console.wait_for_more_ticks()


@pytest.mark.timeout(180)
def test_the_sources_daemon_killed_in_the_middle(lab, lab_hosts, boot, moving, mended):
    a, b = lab_hosts
    vm = boot(a, "source-killed")
    job = moving(vm, b)
    lab.hosts[0].kill_daemon()
    threading.Timer(2, lab.hosts[0].restart_daemon).start()
    with pytest.raises(errors.NovaCronError) as caught:
        job.result(120)
    assert caught.value.hint
    deadline = time.monotonic() + 30
    while places(vm, lab_hosts) != {a.name: "running"}:
        assert time.monotonic() < deadline, places(vm, lab_hosts)
        time.sleep(0.2)
    vm.console.wait_for_more_ticks()


@pytest.mark.timeout(240)
def test_the_destinations_link_cut_in_the_middle(lab, lab_hosts, boot, moving, mended):
    a, b = lab_hosts
    vm = boot(a, "cut")
    job = moving(vm, b, deadline=20)
    lab.hosts[1].cut_link()
    with pytest.raises(errors.NovaCronError) as caught:
        job.result(150)
    assert caught.value.outcome in ("unknown", "failed")
    if caught.value.outcome == "unknown":
        assert a.name in str(caught.value)
        assert b.name in str(caught.value)
    lab.hosts[1].mend_link()
    deadline = time.monotonic() + 60
    while places(vm, lab_hosts) != {a.name: "running"}:
        assert time.monotonic() < deadline, places(vm, lab_hosts)
        time.sleep(0.5)


@pytest.mark.timeout(120)
def test_a_hung_daemon_ends_calls_within_their_deadline(lab, boot, mended):
    with novacron.connect(lab.hosts[0].uri, name="hung") as host:
        vm = boot(host, "hanging", ticks=0, start=False)
        lab.hosts[0].freeze_daemon()
        began = time.monotonic()
        with pytest.raises(errors.NovaCronError) as caught:
            vm.start()
        assert time.monotonic() - began < 75
        assert caught.value.outcome == "unknown"
        assert caught.value.hint
        began = time.monotonic()
        with pytest.raises(errors.NovaCronError):
            host.ping()
        assert time.monotonic() - began < 75
        lab.hosts[0].thaw_daemon()
        deadline = time.monotonic() + 30
        while True:
            try:
                host.ping()
                break
            except errors.NovaCronError:
                assert time.monotonic() < deadline
                time.sleep(0.2)


def test_connecting_to_a_hung_daemon_times_out(lab, mended):
    lab.hosts[0].freeze_daemon()
    began = time.monotonic()
    with pytest.raises((errors.OperationTimeoutError, errors.HostConnectionError)) as caught:
        novacron.connect(lab.hosts[0].uri, timeout=2)
    assert time.monotonic() - began < 20, "far below what a daemon that answers late is given otherwise"
    assert caught.value.outcome == "not_sent"


def test_a_killed_daemon_is_reconnected_to_and_running_guests_are_found_again(lab, boot, mended):
    with novacron.connect(lab.hosts[0].uri, name="reborn") as host:
        events = []
        subscription = host.subscribe(events.append)
        vm = boot(host, "survivor", ticks=0, kernel=None)
        lab.hosts[0].kill_daemon()
        with pytest.raises(errors.HostConnectionError) as caught:
            host.ping()
        assert caught.value.hint
        lab.hosts[0].restart_daemon()
        assert host.vms["survivor"].status == "running"
        vm.suspend()
        deadline = time.monotonic() + 60
        while not any(e.status == "suspended" and e.resource == "survivor" for e in events):
            assert time.monotonic() < deadline, events
            time.sleep(0.05)
        subscription.close()
        vm.resume()


def test_a_disk_full_half_way_through_creation_leaves_nothing(lab, lab_hosts):
    a = lab_hosts[0]
    small = lab.folder / "small"
    small.mkdir(exist_ok=True)
    inside = lab.hosts[0].exec("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small))
    assert inside.returncode == 0, inside.stderr
    try:
        a.pools.create(name="small", path=str(small))
        with pytest.raises(errors.ResourceAllocationError) as caught:
            a.vms.create(
                name="too-big",
                disks=[
                    {"size": "4MiB", "pool": "default"},
                    {"size": "64MiB", "pool": "small", "format": "raw", "preallocate": True},
                ],
            )
        assert caught.value.hint
        assert "too-big" not in a.vms
        assert not list(lab.shared.glob("too-big*"))
        assert a.invoke("volume_list", pool="small") == []
    finally:
        a.invoke("pool_delete", pool="small")
        lab.hosts[0].exec("umount", str(small))


def wait_until_memory_flows(host, vm):
    """Wait until a migration that another process has begun transfers memory, as libvirt's own tool says."""
    deadline = time.monotonic() + 100
    while not re.search(r"Memory processed: +[1-9]", host.exec("virsh", "domjobinfo", vm.id).stdout):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_ctrl_c_in_the_middle_of_a_migration_rolls_it_back(lab, lab_hosts, boot, tmp_path):
    import os
    import signal
    import subprocess
    import sys

    a = lab_hosts[0]
    vm = boot(a, "interrupted", load=40)
    script = tmp_path / "move.py"
    script.write_text(
        "import novacron\n"
        f"a = novacron.connect({lab.hosts[0].uri!r}, name='a'); b = novacron.connect({lab.hosts[1].uri!r}, name='b')\n"
        f"vm = a.vms[{vm.id!r}]\n"
        "try:\n    vm.migrate(b, bandwidth='1MiB/s')\n"
        "except KeyboardInterrupt:\n    print('interrupted', a.vms[vm.id].status, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=os.environ)
    wait_until_memory_flows(lab.hosts[0], vm)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert output == "interrupted running\n"
    assert places(vm, lab_hosts) == {a.name: "running"}
