"""Bad input: every operation of the contract, asked of what is not there or in a state where it can't be; on `sim` and on a real host.

The matrix is made from the contract itself, so that an operation that is added is asked too.
"""

import csv
import io
import re
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

    def close(self):
        """Delete all of them."""
        for (_, status), (vm, _) in list(self.vms.items()):
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
        "format": "raw",
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
        "device_attach": {"spec": specs.HostDeviceSpec(usb="0951:1666")},
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
ASKED = [(o.name, next(a for a in ABSENT if a in o.arguments)) for o in OPERATIONS.values() if set(ABSENT) & set(o.arguments)]


@pytest.mark.parametrize(("operation", "argument"), ASKED, ids=[name for name, _ in ASKED])
@pytest.mark.parametrize("given", [NOBODY, "", "x" * 300, "../../etc/passwd", "a\nb", "nul\0byte", "-rf", "%s", "<x/>", "ü"])
def test_what_is_not_there_is_said_whatever_its_name(host, operation, argument, given):
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


@pytest.fixture
def bystander(host):
    """A VM that stands there and that no bad call may change."""
    vm = host.vms.create(name="bystander", memory="96MiB", disks=[{"size": "8MiB"}])
    before = vm.refresh().record
    yield vm
    assert vm.refresh().record == before
    vm.delete()


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

NEEDS_A_GUEST = ("disk_detach",)
"""Operations that an operating system in the VM has to agree to."""


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("operation", ON_A_VM)
def test_every_operation_in_every_status_is_done_or_refused_clearly(host, request, shared_vms, status, operation):
    fields = {}
    if operation in NEEDS_A_GUEST and host.driver_name == "kvm":
        guest = request.getfixturevalue("lab").guest
        fields["memory"] = "96MiB"
        fields["kernel"] = {"path": str(guest.kernel), "initrd": str(guest.initrd), "command_line": guest.command_line}
    vm = shared_vms.get(host, status, **fields)
    error = refusal(host, operation, vm)
    allowed = OPERATIONS[operation].statuses
    if allowed and status not in allowed:
        assert isinstance(error, NOT_NOW), f"the contract says when {' or '.join(allowed)}, but it was done"
    else:
        of_its_own = OF_THE_VM.get(operation)
        if of_its_own is None or of_its_own not in str(error):
            assert not isinstance(error, errors.InvalidStateError) or isinstance(error, errors.BusyError), error
    if error:
        assert not isinstance(error, errors.DriverError), f"not understood: {error!r} from {error.__cause__!r}"
        assert error.outcome == "failed" or isinstance(error, errors.UnsupportedOperationError)
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
