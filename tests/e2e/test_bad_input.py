"""Bad input: every operation of the contract, asked of what is not there or in a state where it can't be; on `sim`, on a real
host and, sampled, on a simulated vCenter.

The matrix is made from the contract itself, so that an operation that is added is asked too.
"""

import csv
import io
import re
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import pytest

import novacron
from novacron import errors, specs
from novacron.plugins import Destination
from novacron.plugins.validation import operations

OPERATIONS = operations()

NOBODY = "nobody-of-that-name"


@pytest.fixture(scope="module")
def sim():
    with novacron.connect("sim://bad-input?vms=1") as host:
        yield host


@pytest.fixture(params=["sim", pytest.param("real", marks=pytest.mark.lab)])
def host(request):
    if request.param == "sim":
        return request.getfixturevalue("sim")
    return request.getfixturevalue("lab_hosts")[0]


class SharedVMs:
    """One VM for each driver and status. Tests share it until one of them changes it. It has no operating system."""

    def __init__(self):
        self.vms = {}

    def get(self, host, status, **fields):
        """Return the VM of this status as it was created; a new one if it changed since, or if it needs more fields."""
        key = host.driver_name, status
        if key in self.vms and (fields or not self._unchanged(*self.vms[key])):
            self.discard(host, status)
        if key not in self.vms:
            vm = create_in(host, status, **fields)
            self.vms[key] = vm, vm.refresh().record
        return self.vms[key][0]

    def discard(self, host, status):
        """Delete the VM, wherever the test left it, and its clones."""
        vm, _ = self.vms.pop((host.driver_name, status))
        for found in host.vms.list():
            if found.id == vm.id or found.name in (vm.name, "another"):
                found.delete(force=True)

    def close(self, host=None):
        """Delete all of them, or those of one host."""
        for (_, status), (vm, _) in list(self.vms.items()):
            if host in (None, vm.host):
                self.discard(vm.host, status)

    @staticmethod
    def _unchanged(vm, record):
        return vm.id in vm.host.vms and vm.refresh().record == record


@pytest.fixture(scope="module")
def shared_vms(sim):
    vms = SharedVMs()
    yield vms
    vms.close()


def create_in(host, status, **fields):
    """Create a VM and bring it to a status."""
    vm = host.vms.create(**({"name": f"state-{status}", "memory": "64MiB", "disks": [{"size": "8MiB"}]} | fields))
    if status != "stopped":
        vm.start()
    if status == "suspended":
        vm.suspend()
    if status == "saved":
        vm.save()
    return vm


A_DEVICE = defaultdict(
    lambda: specs.HostDeviceSpec(usb="0951:1666"),
    vmware=specs.HostDeviceSpec(pci="0000:03:00.0"),  # vSphere lists no USB devices
)


def arguments(operation, host, **known):
    """Valid arguments of every operation, but for what `known` says."""
    elsewhere = Destination("elsewhere", "sim://elsewhere", host.dispatcher.driver, host.invoke)
    valid = {
        "vm": NOBODY,
        "pool": NOBODY,
        "volume": NOBODY,
        "network": NOBODY,
        "filter": NOBODY,
        "template": NOBODY,
        "snapshot": NOBODY,
        "disk": "vda",
        "nic": "52:54:00:00:00:01",
        "name": "another",
        "seconds": 1.0,
        "otherwise": "fail",
        "keep_disks": False,
        "force": False,
        "linked": False,
        "changes": specs.VMUpdate(description="x"),
        "count": 1,
        "size": 64 * 2**20,
        "live": False,
        "persistent": True,
        "pinning": {"0": "0"},
        "limits": specs.LimitsSpec(cpu_shares=5),
        "shrink": False,
        "format": "vmdk" if host.driver_name == "vmware" else "raw",
        "source": "/nowhere.iso",
        "up": True,
        "children": False,
        "to": elsewhere,
        "disks": (),
        "bandwidth": 2**20,
        "max_downtime": None,
        "post_copy": False,
        "version": None,
        "description": "x",
        "tags": None,
        "argv": ["true"],
        "stdin": b"",
        "path": "/etc/hostname",
        "data": b"x",
        "delete": True,
        "device": "0000:03:00.0",
        "question": NOBODY,
        "answer": "0",
        "validate": True,
        "user": "root",
        "password": "pw",
        "keys": (),
        "definition": "<domain/>",
        "query": specs.VMQuery(),
        "others": [],
    }
    by_operation = {
        "disk_limit": {"limits": specs.DiskLimits(total_iops=100)},
        "disk_attach": {"spec": specs.DiskSpec(size="1MiB")},
        "volume_upload": {"source": io.BytesIO(b"x")},
        "volume_download": {"target": io.BytesIO()},
        "appliance_export": {"target": io.BytesIO()},
        "appliance_import": {"source": io.BytesIO(b"no appliance"), "spec": specs.ApplianceSpec()},
        "nic_attach": {"spec": specs.NICSpec(network="default")},
        "nic_update": {"spec": specs.NICUpdate(network="default")},
        "volume_create": {"spec": specs.VolumeSpec(name="x", capacity="1MiB")},
        "filter_update": {"spec": specs.TrafficFilterSpec(name=NOBODY)},
        "network_update": {"spec": specs.NetworkSpec(name=NOBODY)},
        "snapshot_create": {"spec": specs.SnapshotSpec(name="s")},
        "snapshot_check": {"spec": specs.SnapshotSpec(name="s"), "status": "stopped"},
        "template_create": {"spec": specs.TemplateSpec(name="t")},
        "vm_preview": {"spec": specs.VMSpec(name="x")},
        "template_deploy": {"spec": specs.VMSpec(name="from-nothing")},
        "address_list": {"source": None},
        "console_send_keys": {"keys": ("enter",)},
        "device_attach": {"spec": A_DEVICE[host.driver_name]},
        "vm_migrate": {"spec": specs.MigrationSpec()},
        "migration_check": {"spec": specs.MigrationSpec()},
    }
    values = valid | by_operation.get(operation.name, {}) | known
    return {name: values[name] for name in operation.arguments if name != "job"}


def ask(host, name, **known):
    return host.invoke(name, **arguments(OPERATIONS[name], host, **known))


with Path(__file__).with_name("hints.csv").open(newline="") as table:
    REVIEWED = {(row["area"], row["error"], row["hint"]) for row in csv.DictReader(table)}
"""The hints that a person has reviewed, by area of the operation and class of the error. Each fits each cause that the table has for it."""

LISTS = re.compile(r"\b(possible when|it has:|there are:|it waits on:|in this area it offers:) .*")
"""Hints that list something: what, depends on the case."""


def assert_reviewed(error):
    """Check that the hint of an error is in the table of reviewed hints, without names and lists."""
    hint = LISTS.sub(r"\1 ...", re.sub(r"'[^']*'", "'...'", error.hint))
    hint = re.sub(r"(?<=volume list )[\w.-]+", "POOL", hint)
    row = (OPERATIONS[error.operation].area, type(error).__name__, hint)
    assert row in REVIEWED, f"{error}; if the hint fits, add to hints.csv: {row}"


NEVER = (
    (errors.NovaCronError, r"(?i)\breport it\b|defect"),
    (errors.NotFoundError, r"another name|case-sensitive"),
    (errors.InvalidStateError, r"spelling|another name"),
    (errors.UnsupportedOperationError, r"spelling|try again"),
)
"""Words of hints that never fit: bad input is no defect, and what is not there needs no other name."""


def test_no_reviewed_hint_has_words_that_never_fit():
    for area, error, hint in REVIEWED:
        assert area in {each.area for each in OPERATIONS.values()}
        for kind, words in NEVER:
            assert not (issubclass(getattr(errors, error), kind) and re.search(words, hint)), (area, error, hint)
    assert len(REVIEWED) > 70


def expected(caught, family):
    """A clear error of this family: a hint, a true outcome, and nothing of the SDK's that was not understood."""
    error = caught.value
    assert isinstance(error, family), repr(error)
    assert error.hint, f"{type(error).__name__} without a hint: {error}"
    assert_reviewed(error)
    assert error.outcome in ("failed", "not_sent")
    assert error.host
    assert error.operation


ABSENT = {
    "vm": errors.VMNotFoundError,
    "pool": errors.StoragePoolNotFoundError,
    "network": errors.NetworkNotFoundError,
    "filter": errors.TrafficFilterNotFoundError,
    "template": errors.TemplateNotFoundError,
}
ODD_NAMES = (NOBODY, "", "x" * 300, "../../etc/passwd", "a\nb", "nul\0byte", "-rf", "%s", "<x/>", "ü")
ASKED = [(o.name, next(a for a in ABSENT if a in o.arguments)) for o in OPERATIONS.values() if set(ABSENT) & set(o.arguments)]


@pytest.mark.parametrize(("operation", "argument"), ASKED, ids=[name for name, _ in ASKED])
@pytest.mark.parametrize("given", ODD_NAMES)
def test_what_is_not_there_is_said_whatever_its_name(host, operation, argument, given):
    refuses_what_is_not_there(host, operation, argument, given)


def refuses_what_is_not_there(host, operation, argument, given):
    with pytest.raises(errors.NovaCronError) as caught:
        ask(host, operation, **{argument: given})
    if host.supports(operation):
        expected(caught, (ABSENT[argument], errors.InvalidSpecError) if given != NOBODY else ABSENT[argument])
    else:
        expected(caught, errors.UnsupportedOperationError)


WITHIN = [
    ("volume_get", "volume", errors.VolumeNotFoundError, "pool"),
    ("volume_delete", "volume", errors.VolumeNotFoundError, "pool"),
    ("volume_resize", "volume", errors.VolumeNotFoundError, "pool"),
    ("snapshot_get", "snapshot", errors.SnapshotNotFoundError, "vm"),
    ("snapshot_revert", "snapshot", errors.SnapshotNotFoundError, "vm"),
    ("snapshot_delete", "snapshot", errors.SnapshotNotFoundError, "vm"),
    ("disk_detach", "disk", errors.DeviceNotFoundError, "vm"),
    ("disk_resize", "disk", errors.DeviceNotFoundError, "vm"),
    ("disk_limit", "disk", errors.DeviceNotFoundError, "vm"),
    ("nic_detach", "nic", errors.DeviceNotFoundError, "vm"),
    ("nic_link_set", "nic", errors.DeviceNotFoundError, "vm"),
]


@contextmanager
def bystanding(host):
    """Yield a VM that stands there and that no bad call may change."""
    vm = host.vms.create(name="bystander", memory="96MiB", disks=[{"size": "8MiB"}])
    before = vm.refresh().record
    yield vm
    assert vm.refresh().record == before
    vm.delete()


@pytest.fixture
def bystander(host):
    with bystanding(host) as vm:
        yield vm


@pytest.mark.parametrize(("operation", "argument", "error", "of"), WITHIN, ids=[w[0] for w in WITHIN])
def test_a_part_that_is_not_there_is_said(host, bystander, operation, argument, error, of):
    with pytest.raises(errors.NovaCronError) as caught:
        ask(host, operation, **{argument: "nothing-such", of: "default" if of == "pool" else bystander.id})
    expected(caught, error if host.supports(operation) else errors.UnsupportedOperationError)


IMPOSSIBLE = [
    {"memory": "200TiB", "start": True},
    {"disks": [{"size": "900PiB"}]},
    {"vcpus": 4096, "start": True},
    {"disks": [{"size": "1MiB", "pool": "no-such-pool"}]},
    {"disks": [{"source": "image:no-such-image"}]},
    {"disks": [{"path": "/no/such/file.qcow2"}]},
    {"nics": [{"network": "no-such-network"}]},
    {"iso": "/no/such.iso"},
    {"kernel": {"path": "/no/such/kernel"}, "start": True},
    {"machine": "no-such-machine"},
    {"arch": "z80"},
]


@pytest.mark.lab
@pytest.mark.parametrize("fields", IMPOSSIBLE, ids=lambda f: ",".join(f))
def test_the_impossible_is_refused_and_nothing_stays(lab, lab_hosts, fields):
    host = lab_hosts[0]
    before = {v.id for v in host.vms.list()}, {p.name for p in lab.shared.iterdir()}
    with pytest.raises(errors.NovaCronError) as caught:
        host.vms.create(**({"name": "impossible", "memory": "64MiB"} | fields))
    expected(caught, errors.NovaCronError)
    assert not isinstance(caught.value, errors.DriverError), f"not understood: {caught.value}"
    assert ({v.id for v in host.vms.list()}, {p.name for p in lab.shared.iterdir()}) == before


@pytest.mark.parametrize(
    "fields",
    [{"name": "../x"}, {"name": ""}, {"memory": "-1"}, {"memory": "many"}, {"memory": "8EiB"}, {"vcpus": 0}, {"colour": "red"}],
)
def test_a_bad_field_never_reaches_the_host(host, fields):
    with pytest.raises(errors.InvalidSpecError) as caught:
        host.vms.create(**({"name": "never"} | fields))
    assert [p.path for p in caught.value.problems] == list(fields)


# Every operation on a VM, in every status that a VM can be brought to. What is allowed is done, and undone by the next round.
STATUSES = ("stopped", "running", "suspended", "saved")
NOT_NOW = (errors.InvalidStateError, errors.NotFoundError, errors.GuestAgentUnavailableError, errors.UnsupportedOperationError)
ON_A_VM = [o.name for o in OPERATIONS.values() if "vm" in o.arguments and o.name not in ("vm_delete", "vm_migrate")]


OF_THE_VM = {"disk_commit": "there is nothing below it", "question_answer": "does not wait on the question"}
"""What an operation is refused for whatever the status is: these VMs have disks that are backed by nothing, and wait for no answer."""

WIDER = {"vm_clone": STATUSES}
"""What vSphere allows in more statuses than the contract promises."""

NARROWER = {"device_attach", "device_detach", "console_open"}
"""What vSphere allows in fewer statuses; they are refused with the statuses that are allowed."""

NEXT_START = {"vcpus_set", "memory_set", "limits_set"}
"""What can't be kept for the next start on vSphere: a running VM has one configuration there."""

NEEDS_A_GUEST = ("disk_detach",)
"""Operations that an operating system in the VM has to agree to."""


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("operation", ON_A_VM)
def test_every_operation_in_every_status_is_done_or_refused_clearly(host, request, shared_vms, status, operation):
    done_or_refused_clearly(host, request, shared_vms, status, operation)


def done_or_refused_clearly(host, request, shared_vms, status, operation):
    fields = {}
    if operation in NEEDS_A_GUEST and host.driver_name == "kvm":
        guest = request.getfixturevalue("lab").guest
        fields["memory"] = "96MiB"
        fields["kernel"] = {"path": str(guest.kernel), "initrd": str(guest.initrd), "command_line": guest.command_line}
    vm = shared_vms.get(host, status, **fields)
    error = refusal(host, operation, vm)
    allowed = OPERATIONS[operation].statuses
    if host.driver_name == "vmware" and operation in WIDER:
        allowed = WIDER[operation]
    if allowed and status not in allowed:
        assert isinstance(error, NOT_NOW), f"the contract says when {' or '.join(allowed)}, but it was done"
    else:
        of_its_own = OF_THE_VM.get(operation)
        narrower = host.driver_name == "vmware" and (operation in NARROWER or operation in NEXT_START)
        if not narrower and (of_its_own is None or of_its_own not in str(error)):
            assert not isinstance(error, errors.InvalidStateError) or isinstance(error, errors.BusyError), error
    if error:
        assert not isinstance(error, errors.DriverError), f"not understood: {error!r} from {error.__cause__!r}"
        assert error.outcome == "failed" or isinstance(error, (errors.UnsupportedOperationError, errors.AuthenticationError))
        assert error.hint, f"{type(error).__name__} without a hint: {error}"
        assert_reviewed(error)
    assert vm.refresh().status in (*STATUSES, "crashed")
    if error is None and not OPERATIONS[operation].reads:
        shared_vms.discard(host, status)


def refusal(host, operation, vm):
    try:
        ask(host, operation, vm=vm.id)
    except errors.NovaCronError as error:
        return error
    return None


@pytest.fixture(scope="module")
def vsphere(shared_vms):
    """A simulated vCenter with one VM of its own. It ends before the hosts of the other drivers do."""
    from novacron_lab.vcenter import VCenter

    with (
        VCenter("-machines", "1") as vcenter,
        novacron.connect(vcenter.uri(path="/DC0"), name="bad-input-vc", password=vcenter.password) as host,
    ):
        yield host
        shared_vms.close(host)


def sampled(cases, share):
    """Return each n-th case. `share` has no divisor in common with the number of odd names, so that all operations and names occur."""
    return list(cases)[::share]


def test_vsphere_refuses_what_is_not_there(vsphere, sample):
    cases = [(operation, argument, given) for operation, argument in ASKED for given in ODD_NAMES]
    for operation, argument, given in sampled(cases, sample(9, 1)):
        refuses_what_is_not_there(vsphere, operation, argument, given)


def test_vsphere_names_the_vm_whose_part_is_not_there(vsphere):
    """Handles pass the VM's id; the error names the VM."""
    with bystanding(vsphere) as vm:
        for operation, argument, error, of in WITHIN:
            with pytest.raises(errors.NovaCronError) as caught:
                ask(vsphere, operation, **{argument: "nothing-such", of: "LocalDS_0" if of == "pool" else vm.id})
            expected(caught, error)
            assert "nothing-such" in str(caught.value)
            assert ("LocalDS_0" if of == "pool" else "bystander") in str(caught.value)
            assert vm.id not in f"{caught.value} {caught.value.hint} {caught.value.resource}"


@pytest.mark.parametrize(
    "fields", [each for each in IMPOSSIBLE if "start" not in each] + [{"machine": "pc"}], ids=lambda f: ",".join(f)
)
def test_vsphere_refuses_the_impossible_and_nothing_stays(vsphere, fields):
    before = {vm.id for vm in vsphere.vms.list()}
    with pytest.raises(errors.NovaCronError) as caught:
        vsphere.vms.create(**({"name": "impossible", "memory": "64MiB"} | fields))
    expected(caught, errors.NovaCronError)
    assert {vm.id for vm in vsphere.vms.list()} == before


def test_vsphere_does_or_refuses_clearly_every_operation_in_every_status(vsphere, request, shared_vms, sample):
    cases = [(operation, status) for operation in ON_A_VM for status in STATUSES if status != "saved"]
    for operation, status in sampled(cases, sample(7, 1)):
        done_or_refused_clearly(vsphere, request, shared_vms, status, operation)
