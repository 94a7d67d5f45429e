"""Input that attacks: control characters, passwords in URIs, wrong types and links."""

import json

import msgspec
import pytest

from novacron import Site, errors
from novacron.dispatch.arguments import DATA
from novacron.dispatch.dispatcher import Dispatcher
from novacron.handles.host import HostHandle
from novacron.jobs import Job
from novacron.keys import combinations_of
from novacron.plugins import Driver, hookimpl
from novacron.plugins.driver import HostURI
from novacron.plugins.validation import declared, operations
from novacron.records.vm import VM
from novacron.specs.spec import Spec
from novacron.testing.marked import SecretSearch
from novacron.workflow import steps
from novacron.workflow.run.progress import StepRecord

BAD = [
    "a\nb",
    "a\rb",
    "a\tb",
    "a\x1b]0;title\x07",
    "a\x9bA",
    "a\x7fb",
    "a\x85b",
    "a\u2028b",
    "a\u2029b",
    "nul\0",
    "sur\ud800rogate",
]
NAMES = [
    (operation.name, argument)
    for operation in operations().values()
    for argument in operation.arguments
    if declared(operation.name, argument).startswith("str")
    and argument not in ("definition", "description")
    and argument not in DATA
]


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state") as site:
        yield site


@pytest.fixture
def host(site):
    with site.connect("sim://attacked?vms=1") as host:
        yield host


def audit_of(site):
    file = site.state / "audit.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


PLAIN = {"int": 1, "bool": False, "float": 1.0, "bytes": b"", "list[str]": ["x"], "tuple[str, ...]": (), "dict[str, str]": {}}


def some_arguments(operation):
    """Return arguments of the right types; None for types that have no plain value here."""
    named = {}
    for argument in operation.arguments:
        kind = declared(operation.name, argument)
        named[argument] = None if kind.endswith("| None") else "fail" if kind.startswith("Literal") else PLAIN.get(kind, "web1")
    named.pop("job", None)
    return named


@pytest.mark.parametrize(("operation", "argument"), NAMES, ids=[f"{o}-{a}" for o, a in NAMES])
def test_no_name_argument_of_any_operation_takes_control_characters(host, operation, argument):
    for text in BAD:
        with pytest.raises(errors.InvalidSpecError) as caught:
            host.invoke(operation, **some_arguments(operations()[operation]) | {argument: text})
        told = str(caught.value)
        assert argument in told
        assert told.isprintable(), "the error itself drives no terminal"
        assert caught.value.outcome == "not_sent"


@pytest.mark.parametrize("operation", ["vm_rename", "vm_clone"])
@pytest.mark.parametrize("name", ["", "-rf", "a/b", "../x", "a b", "x" * 129])
def test_a_new_name_must_be_one_that_a_spec_would_take(host, operation, name):
    vm = host.vms.create(name="named")
    with pytest.raises(errors.InvalidSpecError, match="name"):
        vm.rename(name) if operation == "vm_rename" else vm.clone(name)
    assert host.vms["named"].id == vm.id


@pytest.mark.parametrize(
    ("ask", "named"),
    [
        (lambda host: host.invoke("vm_start"), "vm"),
        (lambda host: host.invoke("vm_start", vmm="web1"), "vmm"),
        (lambda host: host.invoke("vm_start", vm="web1", extra=1), "extra"),
        (lambda host: host.vms[3], "name"),
        (lambda host: host.vms.create(name="t", start=True).guest.exec(["ls"]), "argv"),
        (lambda host: host.invoke("vm_delete", vm="t", keep_disks="no", force=0), "keep_disks"),
        (lambda host: host.invoke("vm_list", query="running"), "query"),
        (lambda host: host.invoke("vm_get", "soon", vm="t"), "timeout"),
        (lambda host: host.invoke("vm_create", spec={"name": "x"}), "spec"),
        (lambda host: host.invoke("vm_shutdown", vm="t", seconds="soon", otherwise="fail"), "seconds"),
        (lambda host: host.invoke("vm_shutdown", vm="t", seconds=1, otherwise="explode"), "otherwise"),
    ],
)
def test_wrong_types_and_unknown_arguments_are_the_callers_mistake(host, ask, named):
    with pytest.raises(errors.InvalidSpecError) as caught:
        ask(host)
    assert named in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("options", [{"tmeout": 3}, {"password": "x"}])
def test_options_that_the_driver_does_not_know_are_refused(site, options):
    with pytest.raises(errors.InvalidSpecError, match=next(iter(options))):
        site.connect("sim://a", **options)


def test_a_misspelt_option_is_told_how_it_is_spelt(site):
    with pytest.raises(errors.InvalidSpecError, match="did you mean 'timeout'"):
        site.connect("sim://a", tmeout=3)


@pytest.mark.parametrize(
    "answer", [None, {"id": "x"}, "pong", [1], VM(id="x", name="x", host="h", status="dancing")], ids=lambda a: type(a).__name__
)
def test_what_a_driver_returns_is_checked(tmp_path, answer):
    class Liar:
        @hookimpl
        def host_info(self):
            return answer

        host_ping = hookimpl(lambda self: answer)
        host_ping.__name__ = "host_ping"

        @hookimpl
        def vm_get(self, vm):
            return answer

        @hookimpl
        def vm_list(self, query):
            return [answer]

        @hookimpl
        def vm_create(self, spec):
            return answer

        @hookimpl
        def vm_start(self, vm):
            return answer

        @hookimpl
        def vm_stop(self, vm):
            return answer

        @hookimpl
        def vm_delete(self, vm):
            return answer

    host = HostHandle(Dispatcher("h", "liar", Driver([Liar()])), uri="liar://")
    for ask in (host.info, host.ping, lambda: host.vms["x"], host.vms.list, lambda: host.invoke("vm_start", vm="x")):
        with pytest.raises(errors.DriverError, match="liar"):
            ask()


SECRET_URIS = [
    "vsphere://admin:Sek/ret@vc/",
    "vsphere://admin:Se#kret@vc/",
    "vsphere://admin:Se?kret@vc/",
    "vsphere://admin:Sek[ret@vc/",
    "vsphere://admin:Sekret@vc:port/",
    "vsphere://admin:12/Sekret@vc",
    "vsphere://admin:12?Sekret@vc",
    "vsphere://admin:12#Sekret@vc",
    "admin:Sekret@vc",
    "vsphere://vc/?password=Sekret",
    "vsphere://vc/?Pass=Sekret",
    "qemu:///system?api_key=Sekret",
    "qemu:///system?auth_token=Sekret",
    "vsphere://vc/#Sekret",
    "vsphere://a:Sek\nret@vc/",
    "vsphere://a:Sekret @vc/",
    "Sekret",
    "vsphere://admin:@vc/",
    "vsphere://:Sekret@vc/",
    "vsphere://vc/?pwd=Sekret",
    "vsphere://vc/?client_secret=Sekret",
]


@pytest.mark.parametrize("uri", SECRET_URIS)
def test_passwords_in_uris_are_refused_and_neither_shown_nor_stored(site, uri, caplog):
    for ask in (lambda: HostURI.parse(uri), lambda: site.connect(uri), lambda: site.fleet.add("secret", uri)):
        with pytest.raises(errors.InvalidSpecError) as caught:
            ask()
        error = caught.value
        for text in (str(error), repr(error), json.dumps(error.as_dict()), error.hint, caplog.text):
            assert "Sek" not in text
            assert "ret" not in text.replace("secret", "")
    assert site.fleet.list() == []
    assert "Sek" not in json.dumps(audit_of(site))


@pytest.mark.parametrize(
    "uri",
    [
        "qemu:///system",
        "qemu+ssh://root@kvm1:2222/system?keyfile=/k",
        "vsphere://me%40corp@vc/dc?password_file=/run/pw",
        "sim://a?vms=3",
        "vsphere://[::1]:443/",
        "qemu:///embed?root=/tmp/x",
    ],
)
def test_uris_without_secrets_are_taken(uri):
    assert HostURI.parse(uri).text == uri


def test_refusals_reads_of_the_guest_and_changes_of_the_fleet_are_on_record(site, host):
    vm = host.vms.create(name="web1", start=True)
    vm.guest.exec("echo", "-pSekret", "--password", "Sekret")
    vm.guest.write("/etc/motd", b"hello")
    vm.guest.read("/etc/motd")
    vm.console().close()
    site.fleet.add("a", "sim://a")
    site.fleet.remove("a")
    with pytest.raises(errors.InvalidSpecError):
        host.invoke("vm_rename", vm="web1", name="a\nb")
    with pytest.raises(errors.UnsupportedOperationError):
        host.invoke("vm_explode", vm="web1")
    with pytest.raises(errors.UnsupportedOperationError):
        site.connect("nowhere://x")
    lines = audit_of(site)
    assert [line["operation"] for line in lines] == [
        "vm_create",
        "guest_exec",
        "guest_file_write",
        "guest_file_read",
        "console_open",
        "fleet_add",
        "fleet_remove",
        "vm_rename",
        "vm_explode",
        "host_connect",
    ]
    assert lines[1]["arguments"]["argv"] == ["echo", "<3 arguments>"]
    assert [line["outcome"] for line in lines[-3:]] == ["not_sent"] * 3
    assert "Sekret" not in json.dumps(lines)


def test_changes_of_schedules_alerts_and_runs_are_on_record(site, host):
    """They decide what is done later and by whom, so whoever makes them is on record, as the refused ones are."""
    fleet, vm = site.fleet, host.vms["vm-00001"]
    run = steps.tag("x").run(vm)
    before = len(audit_of(site))
    fleet.schedules.add("nightly", steps.snapshot("a"), cron="0 3 * * *", vms=[vm])
    fleet.schedules.pause("nightly")
    fleet.schedules.resume("nightly")
    fleet.schedules.remove("nightly")
    fleet.alerts.load("x", {"rules": [{"alert": "A", "expr": "novacron_host_up == 0"}]})
    fleet.alerts.unsilence(fleet.alerts.silence(["host=a"], "1h").id)
    fleet.alerts.unload("x")
    with pytest.raises(errors.InvalidStateError):
        fleet.runs.cancel(run.id)
    fleet.runs.prune(keep=1)
    lines = audit_of(site)[before:]
    assert [line["operation"] for line in lines] == [
        "schedule_add",
        "schedule_pause",
        "schedule_resume",
        "schedule_remove",
        "alerts_load",
        "alerts_silence",
        "alerts_unsilence",
        "alerts_unload",
        "run_cancel",
        "run_prune",
    ]
    assert {line["actor"] for line in lines} == {site.identity.actor}
    assert [line["resource"] for line in lines if line["error"]] == [run.id]


def test_the_audit_log_is_private_and_no_link_is_followed(site, host, tmp_path):
    host.vms.create(name="one")
    file = site.state / "audit.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious\n")
    file.symlink_to(elsewhere)
    host.vms.create(name="two")
    assert elsewhere.read_text() == "precious\n"
    assert site.audit.lost == 1


@pytest.mark.parametrize("text", ["one\ntwo", "a\tb", "\x1b[1m", "\x9b"])
def test_data_for_a_guest_may_hold_any_character(host, text):
    """Text of several lines is an ordinary argument of a program."""
    vm = host.vms.create(name="data", start=True)
    assert vm.guest.exec("echo", text).exit_status == 0
    vm.guest.set_password("root", text)
    with pytest.raises(errors.InvalidSpecError, match="argv"):
        vm.guest.exec("echo", "nul\0byte")
    vm.delete(force=True)


def test_what_is_typed_into_a_console_is_on_record_without_its_content(tmp_path):
    with Site(tmp_path / "state", actor="ann") as site:
        host = site.connect("sim://typed?vms=1")
        vm = next(iter(host.vms))
        console = host.acting_for("bob").invoke("console_open", vm=vm.id, force=False)
        assert console.read(0.0) == b""
        console.write(b"root\n")
        console.write(b"hunter2-secret\n")
        console.close()
        with pytest.raises(errors.NovaCronError):
            console.write(b"more")
        text = (tmp_path / "state" / "audit.jsonl").read_text()
    lines = [line for line in map(json.loads, text.splitlines()) if line["operation"].startswith("console_")]
    assert [line["operation"] for line in lines] == ["console_open", *["console_write"] * 3]
    assert [line["arguments"].get("bytes") for line in lines] == [None, 5, 20, 0]
    assert {line["actor"] for line in lines} == {"bob"}
    assert lines[-1]["error"]
    assert "hunter2" not in text


def test_typed_keys_are_on_record_without_what_was_typed(site, host):
    """`novacron send-key --text` types passwords. They are in no audit line, error or database."""
    vm = host.vms["vm-00001"]
    vm.send_keys(*combinations_of("Hunter2-secret"))
    vm.send_keys("ctrl-alt-delete")
    for wrong in ("Hunter2-secret", "hunter2"):
        with pytest.raises(errors.InvalidSpecError) as caught:
            vm.send_keys(wrong)
        assert "unter2" not in f"{caught.value} {caught.value!r} {caught.value.as_dict()}"
    steps.console_send_keys(keys=combinations_of("Hunter2-secret")).run(vm)
    lines = [line for line in audit_of(site) if line["operation"] == "console_send_keys"]
    assert [line["arguments"]["keys"] for line in lines] == [f"<{count} keys>" for count in (14, 1, 1, 1, 14)]
    search = SecretSearch("keys")
    search.add("typed keys", '"shift-h", "u", "n"')
    search.look_at_database(site.database.url)
    assert search.found == []


MINIMAL = {
    "name": "x",
    "capacity": "1MiB",
    "image": "x",
    "path": "/x",
    "tag": "x",
    "size": 2,
    "type": "pci",
    "address": "0000:00:1f.0",
}
TEXT_SHAPES = (lambda text: text, lambda text: [text], lambda text: {"k": text}, lambda text: {text: "v"})


def minimal(spec):
    """Return the fewest fields of a spec that are valid."""
    needed = {name: MINIMAL.get(name, "x") for name, field in spec.model_fields.items() if field.is_required()}
    try:
        spec.parse(needed)
    except errors.InvalidSpecError:
        return None
    return needed


def test_no_field_of_any_spec_takes_control_characters():
    """What a guest or hypervisor reads as a whole may have some: scripts, and native definitions."""
    data = {"commands", "metadata", "native", "network_config", "user_data", "vendor_data"}
    taken, told, tried = set(), [], 0
    for spec in Spec.__subclasses__():
        fields = minimal(spec) or {}
        for field in spec.model_fields:
            for text in BAD:
                for shape in TEXT_SHAPES:
                    tried += 1
                    try:
                        spec.parse(fields | {field: shape(text)})
                    except errors.InvalidSpecError as error:
                        told.append(str(error))
                    else:
                        taken.add((field, text))
    lines = {(field, text) for field in ("description",) for text in ("a\nb", "a\rb", "a\tb")}
    assert {each for each in taken if each[0] not in data and each not in lines} == set()
    assert not [each for each in taken if each[1] in ("nul\0", "sur\ud800rogate")]
    assert lines <= taken
    assert tried > 5000
    assert [error for error in told if not error.isprintable()] == []


FOREIGN = "x\x1b]0;owned\x07\x9b2J\u202e\r\u2028"
"""Other tools and guests may choose such texts; NovaCron reads them as they are."""


def test_the_text_of_no_handle_and_no_error_controls_a_terminal(host):
    """`print(vm)`, a traceback of Python or a log of another program shows it without any filter."""
    vm = host.vms["vm-00001"]
    vm.snapshots.create("s")
    snapshot = vm.snapshots["s"]
    vm.record = msgspec.structs.replace(vm.record, name=FOREIGN, host=FOREIGN)
    snapshot.record = msgspec.structs.replace(snapshot.record, name=FOREIGN)
    disk, job = next(iter(vm.disks)), Job("vm_start", FOREIGN)
    disk.record = msgspec.structs.replace(disk.record, source=FOREIGN)
    held = [vm, snapshot, disk, job, vm.guest, vm.ssh, vm.resources, vm.metrics, vm.host_devices]
    failures = [
        errors.GuestAgentError(f"the guest says {FOREIGN}", host=FOREIGN),
        errors.MigrationCheckError("not ready", failures=[FOREIGN]),
        errors.InvalidSpecError(FOREIGN, problems=[errors.SpecProblem(FOREIGN, FOREIGN, FOREIGN)]),
    ]
    step = StepRecord(path="0", description=FOREIGN, vm=FOREIGN, error={"text": FOREIGN})
    texts = [*map(repr, held), *map(str, [*failures, step])]
    assert [text for text in [*texts, *map(repr, failures)] if not text.isprintable()] == []
    assert [text for text in texts if "owned" not in text] == []
    assert FOREIGN in failures[0].as_dict()["message"], "programs get the text as it is"


@pytest.mark.parametrize("bad", ["a\x9bb", "a\nb", "a\x1b]0;x\x07"])
def test_no_resource_is_created_with_control_characters(host, bad):
    """The names and labels that a spec has, as operations get them."""
    for create in (
        lambda: host.networks.create(name=bad, type="isolated"),
        lambda: host.pools.create(name=bad, type="dir", path="/x"),
        lambda: host.pools.create_volume(name=bad, capacity="1MiB"),
        lambda: host.vms.create(name=bad),
        lambda: host.vms.create(name="ok", tags=[bad]),
        lambda: host.vms.create(name="ok", metadata={bad: "x"}),
        lambda: host.vms.create(name="ok", nics=[{"network": bad}]),
        lambda: host.vms.create(name="ok", iso=f"/{bad}"),
        lambda: host.vms["vm-00001"].snapshots.create(bad),
        lambda: host.vms["vm-00001"].update(tags=[bad]),
    ):
        with pytest.raises(errors.InvalidSpecError) as caught:
            create()
        assert str(caught.value).isprintable()
    assert [vm.name for vm in host.vms] == ["vm-00001"]
