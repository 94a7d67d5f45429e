"""What all tests share: a state directory of their own, and one lab for those that need real hosts."""

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings

from novacron.drivers import sim
from novacron_lab import scratch

POSTGRESQL_FOLDERS = Path("/var/tmp")
scratch.remove_abandoned()
scratch.remove_abandoned(POSTGRESQL_FOLDERS)
_state = scratch.make_folder("state")
atexit.register(shutil.rmtree, _state, ignore_errors=True)


settings.register_profile("sample", max_examples=50, deadline=None)
settings.register_profile("soak", max_examples=1000, deadline=None)
settings.load_profile("soak" if os.environ.get("NOVACRON_SOAK") else "sample")
"""How many examples a property test tries that does not say so itself."""


def pytest_configure(config):
    os.environ["NOVACRON_STATE"] = str(_state)
    os.environ.pop("NOVACRON_DATABASE", None)
    for name in ("NOVACRON_CONNECT", "NOVACRON_HOST"):
        os.environ.pop(name, None)


@pytest.fixture(autouse=True)
def interruptible():
    """Each test begins with Python's own handler of Ctrl-C, even if the tests were started where the signal is ignored."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def simulated_hosts():
    """What a test simulates ends with the test."""
    with sim.temporary():
        yield


@pytest.fixture
def own_state(tmp_path, monkeypatch):
    """A state directory for one test alone."""
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


SEARCH = pytest.StashKey()
"""Where the session's search for marked secrets is."""


@pytest.fixture(scope="session")
def secret_search(pytestconfig, tmp_path_factory):
    """Looks for the marked secrets that tests with real hosts use, until the session ends: in logs, errors, output, process lists, state
    directories with their databases and audit files, and in the files of the lab's hosts. None may be found."""
    from novacron.testing.marked import SecretSearch

    with SecretSearch().watching() as search:
        pytestconfig.stash[SEARCH] = search
        yield search
    for state in (_state, *(audit.parent for audit in tmp_path_factory.getbasetemp().rglob("audit.jsonl"))):
        search.look_at_files(state)
    print(f"\nmarked secrets: looked at {search.looked_at} texts and files, found {len(search.found)}")
    assert not search.found, sorted({*search.found})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if search := item.config.stash.get(SEARCH, None):
        for name, content in report.sections:
            search.look(f"{name} of {item.nodeid}", content)
    return report


@pytest.fixture(scope="session")
def lab(secret_search):
    """Two real libvirt and QEMU hosts, for the whole session."""
    from novacron.testing.marked import mark
    from novacron_lab import Lab

    with pytest.MonkeyPatch.context() as environment:  # of whoever starts a lab; its processes must not keep it
        environment.setenv("NOVACRON_SECRET_OF_A_LAB", mark("environment", "lab"))
        made = Lab.up(hosts=2, name=f"test-{os.getpid()}", temporary=True)
    import libvirt

    for host in made.hosts:
        connection = libvirt.open(host.uri)
        connection.getCapabilities()  # libvirtd examines each QEMU once; asked by a peer on a busy machine, it would count as silent
        connection.close()
    yield made
    for host in made.hosts:
        for pattern in ("*.log", "*.conf"):
            secret_search.look_at_files(Path(host.folder), pattern)
        # libvirt keeps definitions of other tools with the passwords of their displays
        secret_search.look_at_files(Path(host.folder), "*.xml", but=["display"])
    made.down()


@pytest.fixture(scope="session")
def lab_hosts(lab):
    """Both hosts of the lab, connected."""
    import novacron

    hosts = [novacron.connect(h.uri, name=h.name) for h in lab.hosts]
    yield hosts
    for host in hosts:
        host.close()


@pytest.fixture
def lab_bmc(lab, secret_search, monkeypatch):
    """The Redfish server of the lab, whose password is the secret "lab-bmc"."""
    bmc = lab.start_bmc()
    secret_search.add("bmc", bmc.password)
    monkeypatch.setenv("NOVACRON_SECRET_LAB_BMC", bmc.password)
    return bmc


@pytest.fixture
def mended(lab):
    """Whatever a test breaks is whole again afterwards."""
    import novacron

    yield
    for host in lab.hosts:
        host.mend_link()
        try:
            host.thaw_daemon()
        except novacron.NovaCronError:
            host.restart_daemon()
        deadline = time.monotonic() + 60
        while True:
            try:
                novacron.connect(host.uri, timeout=5).close()
                break
            except novacron.NovaCronError:
                assert time.monotonic() < deadline
                time.sleep(0.2)


@pytest.fixture(scope="session")
def free_port():
    """Return a function that returns a TCP port of the loopback at which nobody listens.

    It is below the ports that the kernel gives to connections and to servers that take any: none of them takes it before it is used.
    """
    numbers = random.SystemRandom()

    def find():
        while True:
            port = numbers.randrange(20000, 32768)
            with suppress(OSError), socket.create_server(("127.0.0.1", port)):
                return port

    return find


@pytest.fixture(scope="session")
def sample():
    """Return a function that says how often a long test repeats: the first number, or the second in a soak (`tox -e soak`)."""
    return lambda short, full: full if os.environ.get("NOVACRON_SOAK") else short


@pytest.fixture(scope="session")
def wait_for_agent():
    """Return a function that waits until a VM's guest agent answers."""
    from novacron.errors import GuestAgentError

    def wait(vm, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            try:
                return vm.guest.info()
            except GuestAgentError:
                assert time.monotonic() < deadline
                time.sleep(0.2)

    return wait


class GuestConsole:
    """What a guest wrote to its serial console."""

    def __init__(self, log: Path) -> None:
        self.log = log

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def lines(self) -> list[str]:
        """The lines that are whole: the guest may be in the middle of the next one."""
        return self.text.rpartition("\n")[0].splitlines()

    @property
    def ticks(self) -> list[tuple[int, float]]:
        """The seconds that the guest counted, each with the guest's uptime then."""
        lines = [line for line in self.lines if line.startswith("NOVACRON TICK ")]
        return [(int(line.split()[2]), float(line.rpartition("=")[2])) for line in lines]

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        self.wait_until(lambda: text in self.text, seconds, text)

    def wait_for_more_ticks(self, seconds: float = 60.0, more: int = 1) -> None:
        """Wait until the guest has counted on: a line that it began after this call shows that it runs."""
        before = len(self.ticks)
        self.wait_until(lambda: len(self.ticks) >= before + more, seconds, "more ticks")

    def wait_until(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"no {what!r} on the console within {seconds} s: {self.text[-400:]}"
            time.sleep(0.05)


class GuestDisk:
    """The second that a guest wrote to the first disk of a VM that is stopped now, read and written through all files of the disk.

    What a running guest wrote is not all in its files: QEMU keeps tables of a qcow2 file in memory until the guest flushes its disk.
    """

    offset = 2**20

    def __init__(self, lab) -> None:
        self._hosts = {host.uri: host for host in lab.hosts}

    def read(self, vm) -> int:
        """Return the last second that the guest wrote."""
        said = self._qemu_io(vm, "-r", "-c", f"read -v {self.offset} 16")
        return int(bytes.fromhex("".join(said.split("\n")[0].split()[1:17])).decode())

    def write(self, vm, digit: int) -> int:
        """Write a number of four equal digits where the guest would write its second, and return it."""
        self._qemu_io(vm, "-c", f"write -P {ord(str(digit))} {self.offset} 4", "-c", f"write -P 32 {self.offset + 4} 508")
        return int(str(digit) * 4)

    def _qemu_io(self, vm, *arguments):
        disk = vm.refresh().record.disks[0]
        done = self._hosts[vm.host.uri].exec("qemu-io", "-f", disk.format, *arguments, disk.source)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def guest_disk(lab):
    """Reads and writes what a guest left on its disk, without the boot that a guest would need to say it."""
    return GuestDisk(lab)


@contextmanager
def booting(lab, lab_hosts):
    """Yield the function that the fixtures `boot` and `boot_shared` return; delete its VMs at the end, wherever they are."""
    made = []

    def start(host, name, *, ticks=1, load=0, fill=0, **fields):
        log = lab.shared / f"{name}-{time.monotonic_ns()}.log"
        line = lab.guest.command_line + (f" novacron.load={load}" if load else "") + (f" novacron.fill={fill}" if fill else "")
        # with NUMA nodes and a TPM together, the unpacked kernel stops before its first message (QEMU 7.2)
        packed = "firmware" in fields or ("numa" in fields and "tpm" in fields)
        image = lab.guest.packed_kernel if packed else lab.guest.kernel
        kernel = {"path": str(image), "initrd": str(lab.guest.initrd), "command_line": line}
        wanted = {
            "memory": f"{96 + load + fill}MiB",
            "disks": [{"size": "64MiB"}],
            "kernel": kernel,
            "serial": {"log": str(log)},
            "start": True,
        }
        vm = host.vms.create(name=name, **(wanted | fields))
        console = GuestConsole(log)
        vm.console = console
        made.append(vm)
        if ticks:
            console.wait_until(lambda: len(console.ticks) >= ticks, 120, "ticks")
        return vm

    yield start
    for vm in made:
        for host in lab_hosts:
            delete_at_last(host, vm.id)
        vm.console.log.unlink(missing_ok=True)


@pytest.fixture
def boot(lab, lab_hosts):
    """Return a function that creates and starts a tiny guest on a host, and its console; deleted at the end, wherever it is.

    `ticks` is how many seconds the guest has to count first. `load` is how many MiB it dirties without end, `fill` how many
    it fills once. With `kernel=None, ticks=0` the VM runs without an operating system, which spares the emulated processor a boot: three
    seconds of CPU time.
    """
    with booting(lab, lab_hosts) as start:
        yield start


@pytest.fixture(scope="module")
def boot_shared(lab, lab_hosts):
    """Like `boot`, for guests that all tests of a module share."""
    with booting(lab, lab_hosts) as start:
        yield start


def delete_at_last(host, identity, seconds=60):
    """Delete a VM if this host has it; what is under way there may take its time to end."""
    from novacron.errors import NovaCronError, VMNotFoundError

    deadline = time.monotonic() + seconds
    while True:
        try:
            host.vms[identity].delete(force=True)
            return
        except VMNotFoundError:
            return
        except NovaCronError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@pytest.fixture
def moving():
    """Return a function that begins a migration that takes long, and returns its job once memory flows."""

    def begin(vm, destination, **options):
        job = vm.migrate(destination, wait=False, **({"bandwidth": "2MiB/s", "deadline": 60} | options))
        flows = threading.Event()
        job.listen(lambda p: flows.set() if p.details.get("transferred_bytes") else None)
        assert flows.wait(60)
        return job

    return begin


@pytest.fixture
def processes(tmp_path, monkeypatch):
    """Processes that can be killed, with a state directory that only they and the test have."""
    from novacron.testing.processes import Processes

    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    found = Processes()
    yield found
    found.close()


@pytest.fixture
def postgresql(monkeypatch):
    """A PostgreSQL server of the distribution's, on a socket that no one else has, as the state database."""
    from novacron.site import default_site

    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/bin"), key=lambda p: float(p.parent.name))
    outer = scratch.make_folder("postgresql", POSTGRESQL_FOLDERS)
    outer.chmod(0o711)
    folder = outer / "server"
    folder.mkdir(mode=0o700)
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    try:
        if as_user:
            subprocess.run(["chown", "postgres", folder], check=True)
        data = folder / "data"
        subprocess.run(
            [*as_user, programs / "initdb", "--no-sync", "-D", data, "-A", "trust", "-U", "postgres"],
            check=True,
            capture_output=True,
        )
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c max_connections=200"
        control = [*as_user, programs / "pg_ctl", "-D", data, "-l", folder / "log"]
        server = SimpleNamespace(
            start=lambda: subprocess.run([*control, "-o", options, "-w", "start"], check=True, capture_output=True),
            stop=lambda: subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True),
        )
        server.start()
        try:
            monkeypatch.setenv("NOVACRON_DATABASE", f"postgresql://postgres@/postgres?host={folder}")
            yield server
            default_site().engine.close()
        finally:
            server.stop()
    finally:
        subprocess.run(["rm", "-rf", outer], check=True)
