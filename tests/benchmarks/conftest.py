"""What the benchmarks share: crowds of VMs on real daemons, fair measuring, and the peers."""

import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

KCLI = "99.0.202610251748"
SIZES = (1000, 5000)
CROWD = """
<domain type='qemu'><name>crowd-{number:05}</name>
  <memory unit='MiB'>{memory}</memory><vcpu>{vcpus}</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/nowhere/{number}-a'/>
      <target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/nowhere/{number}-b'/>
      <target dev='vdb' bus='virtio'/></disk>
    <interface type='network'><source network='default'/><model type='virtio'/></interface>
    <interface type='network'><source network='default'/><model type='virtio'/></interface>
  </devices></domain>
"""


def pytest_sessionstart(session):
    if session.config.option.markexpr == "benchmark":
        models = [
            line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
        ]
        print(f"{len(models)} x {models[0] if models else 'CPU'}, Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}")


class Measured:
    """The seconds of each way, round by round.

    Ways are compared by the least that each took: what others do on the machine only ever adds. The ratios of the single rounds are
    told beside it.
    """

    def __init__(self, seconds):
        self.seconds = seconds

    def best(self, way):
        return min(self.seconds[way])

    def ratio(self, way, to):
        """How many times as long as `to` a way takes."""
        return self.best(way) / self.best(to)

    def told(self, way, to):
        """A ratio with its median and range over the rounds."""
        rounds = [a / b for a, b in zip(self.seconds[way], self.seconds[to], strict=True)]
        spread = f"rounds {statistics.median(rounds):.2f}, {min(rounds):.2f}-{max(rounds):.2f}"
        return f"{self.ratio(way, to):.2f} x {to} ({spread})"


@pytest.fixture(scope="session")
def measure():
    """Return a function that times several ways in turns, in one process, after a round that does not count.

    `control` names two ways that do the same: when they differ by more than a tenth the machine is too busy to tell, and more
    rounds are made, until they agree or there have been four times as many. `clock=time.process_time` measures CPU time.
    """

    def measured(ways, *, rounds=9, control=None, pause=0.0, clock=time.perf_counter):
        seconds = {name: [] for name in ways}
        for way in ways.values():
            way()
        for number in range(4 * rounds):
            for name, way in ways.items():
                began = clock()
                way()
                seconds[name].append(clock() - began)
            time.sleep(pause)
            result = Measured(seconds)
            if number + 1 >= rounds and (control is None or 0.9 < result.ratio(*control) < 1.1):
                return result
        pytest.fail(f"the control is off by more than a tenth: {result.told(*control)}; the machine is too busy to measure")

    return measured


@pytest.fixture
def tell(request, capsys):
    """Print a benchmark's line, whether pytest captures or not."""

    def say(text):
        with capsys.disabled():
            print(f"\n{request.node.name}: {text}")

    return say


@contextmanager
def _crowds(name, sizes):
    from novacron_lab import Lab

    lab = Lab.up(hosts=len(sizes), name=f"{name}-{os.getpid()}", temporary=True)
    try:
        with ThreadPoolExecutor(len(sizes)) as pool:
            list(pool.map(_fill, lab.hosts, sizes))
        yield dict(zip(sizes, lab.hosts, strict=True))
    finally:
        lab.down()


@pytest.fixture(scope="session")
def crowds():
    """{1000: host, 5000: host}: real libvirtd with that many defined VMs of two disks and two NICs."""
    with _crowds("crowd", SIZES) as hosts:
        yield hosts


@pytest.fixture(scope="module")
def growing_crowds():
    """The same of 10, 100 and 1,000 VMs."""
    with _crowds("growth", (10, 100, 1000)) as hosts:
        yield hosts


def _fill(host, count):
    import libvirt

    connection = libvirt.open(host.uri)
    for number in range(count):
        connection.defineXML(CROWD.format(number=number, memory=64 * (1 + number % 4), vcpus=1 + number % 3))
    connection.close()


@pytest.fixture(params=SIZES, ids=lambda size: f"{size}-vms")
def crowd(request, crowds):
    """(the number of VMs, their host)."""
    return request.param, crowds[request.param]


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The environment of every program that is timed: Python's bytecode is kept, as it is for installed programs."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("bytecode"))}


@pytest.fixture(scope="session")
def kcli(tmp_path_factory, environment):
    """Return a function that gives kcli's command line and environment for a URI, with a HOME of its own."""
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "novacron" / f"kcli-{KCLI}-py{sys.version_info.minor}"
    )
    program = cache / "bin" / "kcli"
    if not program.exists():
        shutil.rmtree(cache, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "uv", "venv", "-q", "--python", sys.executable, cache], check=True)
        install = [sys.executable, "-m", "uv", "pip", "install", "-q", "--python", cache / "bin" / "python", f"kcli=={KCLI}"]
        if subprocess.run(install).returncode:
            pytest.skip(f"not measured: kcli {KCLI} can't be installed here")

    def configured(uri, *arguments):
        home = tmp_path_factory.mktemp("kcli")
        (home / ".kcli").mkdir()
        (home / ".kcli" / "config.yml").write_text(f"default:\n  client: peer\npeer:\n  type: kvm\n  url: {uri}\n")
        return [str(program), *arguments], {**environment, "HOME": str(home)}

    return configured


@pytest.fixture(scope="session")
def measured_vms():
    """Returns a round of metrics of so many VMs."""
    return round_of


def round_of(vms, minute=0, layouts=None):
    """Return a round of so many VMs with 30 noisy series each, of which 20 are counters."""
    from novacron.monitoring.layouts import Layouts, Measured, Round, SeriesKey

    layouts = layouts or Layouts()
    layout = layouts.of([SeriesKey(f"counter{n:02}_total") for n in range(20)] + [SeriesKey(f"gauge{n:02}") for n in range(10)])
    chance = random.Random(minute)
    measured = []
    for number in range(vms):
        busy = 1 + number % 97
        counters = [float(minute * 60 * busy * (n + 1) * 1000 + chance.randrange(50_000)) for n in range(20)]
        gauges = [float(busy * 2**20 + 4096 * chance.randrange(200)) for n in range(10)]
        measured.append(
            Measured(
                "vm",
                f"vm-{number:06}",
                f"host{number % 50}",
                (("name", f"vm-{number:06}"), ("vm", f"id-{number:06}")),
                layout,
                counters + gauges,
            )
        )
    return Round(at=1.7e9 + 60 * minute, measured=measured)
