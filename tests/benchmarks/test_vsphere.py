"""Listing and measuring many VMs of a vCenter, against govc and against pyvmomi as people use it."""

import functools
import os
import shutil
import subprocess
import sys
import time

import pytest

import novacron
from novacron.specs import VMQuery
from novacron_lab.govc import Govc
from novacron_lab.vcenter import PASSWORD, USER, VCenter, built
from novacron_vmware.metrics.counters import DISK, NIC, WHOLE

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

VMS = 2000
PATIENT = 900
"""Seconds for one answer. The simulator collects everything before it gives the first page."""
PATHS = ["name", "runtime.powerState", "config.hardware.numCPU", "config.hardware.memoryMB", "runtime.host"]


@pytest.fixture(scope="module")
def vcenter():
    """2,000 VMs in one datacenter."""
    with VCenter("-machines", str(VMS // 2), "-autostart=false") as vcenter:
        yield vcenter


def test_listing_takes_hardly_more_than_govc(vcenter, measure):
    """Connecting and a first listing, by one sweep; govc's time has its start and log-in too. And each later listing is a fraction."""
    govc = Govc(vcenter)
    uri = vcenter.uri(path="/DC0")

    def collect():
        assert govc("object.collect", "-s", "-type", "m", "/", *PATHS).count("\n") >= VMS

    def ours():
        with novacron.connect(uri, name="vc", password=vcenter.password) as host:
            vms = host.vms.list()
            assert vms.total == VMS
            assert all(vm.record.node and vm.record.vcpus and vm.record.memory_bytes for vm in vms)

    with novacron.connect(uri, name="vc", password=vcenter.password) as host:

        def again():
            assert host.vms.list().total == VMS

        again()
        found = measure(
            {"govc": collect, "govc again": collect, "ours": ours, "ours, a second listing": again},
            rounds=5,
            control=("govc", "govc again"),
        )
    for way in ("ours", "ours, a second listing"):
        print(f"{VMS} VMs, {way}: {found.best(way) * 1000:.0f} ms, {found.told(way, 'govc')}")
    assert found.ratio("ours", "govc") <= 1.5
    assert found.ratio("ours, a second listing", "govc") <= 0.5


def test_listing_is_ten_times_as_fast_as_asking_for_each_value(vcenter, measure):
    """pyvmomi reads an attribute with a call, so three values of a VM take three."""
    from pyVim.connect import Disconnect, SmartConnect
    from pyVmomi import vim

    def each():
        service = SmartConnect(host="127.0.0.1", port=vcenter.port, user=USER, pwd=PASSWORD, disableSslCertValidation=True)
        content = service.RetrieveContent()
        view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
        # runtime.powerState can't be read so: the simulator leaves an enumeration beside it empty, on which pyvmomi stumbles
        names = [(vm.name, vm.config.hardware.numCPU, vm.config.hardware.memoryMB) for vm in view.view]
        Disconnect(service)
        assert len(names) == VMS

    def ours():
        with novacron.connect(vcenter.uri(path="/DC0"), name="vc", password=vcenter.password) as host:
            assert host.vms.list().total == VMS

    found = measure({"each value": each, "ours": ours}, rounds=1)
    print(f"{VMS} VMs: {found.told('each value', 'ours')}")
    assert found.ratio("each value", "ours") >= 10


def test_a_hundred_vms_stop_as_quickly_as_by_govc(vcenter, measure, tmp_path):
    """`novacron vm stop` and `vm start` with 100 names, whole processes, among 2,000 VMs: one session, one listing."""
    govc, names = Govc(vcenter), [f"DC0_H0_VM{number}" for number in range(100)]
    environment = os.environ | {"NOVACRON_VSPHERE_PASSWORD": vcenter.password, "NOVACRON_STATE": str(tmp_path)}

    def ours(verb):
        command = ["novacron", "-c", vcenter.uri(), "vm", verb, *names]
        subprocess.run(command, env=environment, capture_output=True, check=True)

    def with_novacron():
        ours("start")
        ours("stop")

    def with_govc():
        govc("vm.power", "-on", *names)
        govc("vm.power", "-off", *names)

    found = measure({"govc": with_govc, "ours": with_novacron}, rounds=2)
    print(f"100 VMs started and stopped: {found.best('ours'):.1f} s, {found.told('ours', 'govc')}")
    assert found.ratio("ours", "govc") <= 1.5


def test_one_vm_is_shown_without_reading_the_others(vcenter, measure, tmp_path):
    """By name and by path, whole processes. Python and pyVmomi take most of the time: they are the control."""
    environment = os.environ | {"NOVACRON_VSPHERE_PASSWORD": vcenter.password, "NOVACRON_STATE": str(tmp_path)}

    def run(*command):
        subprocess.run(command, env=environment, capture_output=True, check=True)

    show = ["novacron", "-c", vcenter.uri(), "vm", "show"]
    ways = {
        "imports": lambda: run(sys.executable, "-c", "import pyVmomi, novacron"),
        "by name": lambda: run(*show, "DC0_H0_VM7"),
        "by path": lambda: run(*show, "/DC0/vm/DC0_H0_VM7"),
    }
    found = measure(ways, rounds=5)
    for way in ("by name", "by path"):
        print(f"a VM {way} among {VMS}: {found.best(way) * 1000:.0f} ms, {found.told(way, 'imports')}")
        assert found.ratio(way, "imports") <= 3


def test_whole_commands_against_govc(vcenter, measure, environment, tmp_path):
    """`vm list` and `vm show`, each as a process of its own. Memory is at most twice that of govc's; the times are reported."""
    govc, uri = built("govc"), vcenter.uri()
    theirs = environment | Govc(vcenter).environment
    ours = environment | {"NOVACRON_VSPHERE_PASSWORD": vcenter.password, "NOVACRON_STATE": str(tmp_path)}
    commands = {
        "govc vm.info -json": ([govc, "vm.info", "-json", "*"], theirs),
        "novacron vm list": (["novacron", "-c", uri, "vm", "list", "-o", "json"], ours),
        "govc vm.info NAME": ([govc, "vm.info", "DC0_H0_VM7"], theirs),
        "novacron vm show NAME": (["novacron", "-c", uri, "vm", "show", "DC0_H0_VM7"], ours),
    }

    def run(name):
        words, variables = commands[name]
        subprocess.run(words, env=variables, stdout=subprocess.DEVNULL, check=True)

    found = measure({name: functools.partial(run, name) for name in commands}, rounds=3)
    # afterwards: a first run compiles Python's bytecode, as an installation does
    peak = {name: timed(words, variables, tmp_path / "output")[1] for name, (words, variables) in commands.items()}
    names = list(commands)
    for theirs, ours in (names[:2], names[2:]):
        print(f"{ours}: {found.best(ours):.2f} s and {peak[ours]} MB, {found.told(ours, theirs)}; {theirs}: {peak[theirs]} MB")
        assert peak[ours] <= 2 * peak[theirs]
    assert found.ratio("novacron vm list", "govc vm.info -json") <= 1.0


def test_twenty_thousand_vms_in_one_simulator(environment, tmp_path):
    """List, filter, one by name, and the metrics of a datacenter, each as a process of its own, once. Then the steady state.

    Ten datacenters, because the simulator looks for names in the whole folder.
    """
    flags = ("-datacenters", "10", "-hosts", "1", "-datastores", "1", "-machines", "1000")
    began = time.perf_counter()
    with VCenter(*flags) as vcenter:
        print(f"20,000 VMs: the simulator starts in {time.perf_counter() - began:.0f} s")
        compare_many(vcenter, environment, tmp_path, 20_000)
        steady_state(vcenter, 20_000)


def compare_many(vcenter, environment, folder, total):
    """Run each pair of commands, ours and govc's; print their times and memory, and compare them."""
    govc, uri = built("govc"), vcenter.uri()
    theirs = environment | Govc(vcenter).environment
    ours = environment | {"NOVACRON_VSPHERE_PASSWORD": vcenter.password, "NOVACRON_STATE": str(folder)}
    one = "/DC0/vm/DC0_H0_VM7"
    pairs = {
        "list": (
            ["novacron", "-c", uri, "vm", "list", "--timeout", "900", "-o", "json"],
            [govc, "object.collect", "-s", "-type", "m", "/", *PATHS],
            None,
        ),
        "filter": (
            ["novacron", "-c", uri, "vm", "list", "--timeout", "900", "--name", "DC1_*", "-o", "json"],
            [govc, "find", "/", "-type", "m", "-name", "DC1_*"],
            None,
        ),
        "one": (["novacron", "-c", uri, "vm", "show", "--timeout", "900", one], [govc, "vm.info", one], None),
        "metrics": (
            [sys.executable, "-c", MEASURE, vcenter.uri(path="/DC0"), vcenter.password],
            [govc, "metric.sample", "-n", "1", "/DC0/vm/*", *WHOLE, *DISK, *NIC],
            1.5,
        ),
    }
    failures = []
    timed(pairs["one"][0], ours, folder / "ours")  # compiles Python's bytecode, as an installation does
    for what, (own, other, most) in pairs.items():
        mine, peer = timed(own, ours, folder / "ours"), timed(other, theirs, folder / "theirs")
        print(f"{total} VMs, {what}: {mine[0]:.1f} s and {mine[1]} MB; govc {peer[0]:.1f} s and {peer[1]} MB", flush=True)
        if what == "list":
            assert (folder / "ours").read_text().count('"status"') == total
        if mine[1] > max(2 * peer[1], 64):
            failures.append(f"{what}: {mine[1]} MB, govc {peer[1]} MB")
        if most is not None and mine[0] > most * peer[0]:
            failures.append(f"{what}: {mine[0]:.1f} s, govc {peer[0]:.1f} s")
    assert failures == []


def steady_state(vcenter, total):
    """After the first listing only changes are read: what govc has changed, and nothing else."""
    govc = Govc(vcenter)
    with novacron.connect(vcenter.uri(), name="vc", password=vcenter.password, timeout=PATIENT) as host:
        began = time.perf_counter()
        vms = host.invoke("vm_list", query=VMQuery(), timeout=900)
        assert len(vms) == total
        first, began = time.perf_counter() - began, time.perf_counter()
        assert len(host.invoke("vm_list", query=VMQuery(), timeout=900)) == total
        second = time.perf_counter() - began
        print(f"{total} VMs, first listing {first:.1f} s, second {second:.2f} s", flush=True)
        inventory = host.dispatcher.driver.native.inventory
        inventory.refresh()
        other = next(vm for vm in reversed(vms) if vm.status == "running")
        govc("vm.power", "-off", other.path)
        changed = {change.now["name"] for change in inventory.refresh(seconds=20)}
        print(f"{total} VMs, changes read after one by govc: {changed}")
        assert changed == {other.name}
        assert second <= 0.5 * first


MEASURE = """
import sys, novacron
with novacron.connect(sys.argv[1], name="vc", password=sys.argv[2], timeout=900) as host:
    print(len(host.invoke("metrics_vms", timeout=600)))
"""


LAUNCHER = """
import os, resource, sys, time
began = time.perf_counter()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, sys.argv[1], 577, 0o644)])
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(status, time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""
"""Begins a command from a small process: Linux counts the memory of the process that begins a command as that command's peak too."""


def timed(words, variables, output):
    """Run a command; return its seconds and its peak of memory in MB."""
    program = shutil.which(words[0], path=variables.get("PATH"))
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(output), program, *words[1:]]
    told = subprocess.run(launcher, env=variables, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert told[0] == "0", words[:5]
    return float(told[1]), int(told[2])


def test_the_memory_of_a_command_is_its_own(environment, tmp_path):
    """Not that of this process, which is larger than any of the commands that are compared."""
    ballast = b"x" * 2**28
    assert timed(["true"], environment, tmp_path / "output")[1] < len(ballast) // 2**20 // 4
