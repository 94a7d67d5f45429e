"""The command line as a process: data on stdout, words on stderr, an exit code for each family of errors, never a traceback."""

import json
import os
import signal
import subprocess
import sys
import time

import pexpect
import pytest
import yaml

from novacron import Site, errors
from novacron.records import VM
from novacron_shell.testing import CommandServer

SIM = "sim://lab?vms=3"


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture(scope="module")
def server():
    with CommandServer() as server:
        yield server


@pytest.fixture
def novacron(state, server):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NOVACRON_")} | {"NOVACRON_STATE": str(state)}

    def run(*arguments, stdin=None, **more):
        done = server.run(arguments, environment=environment | more, stdin=stdin)
        assert "Traceback" not in done.stderr + done.stdout
        return done

    run.environment = environment
    return run


def test_vms_are_listed_as_a_table_json_yaml_and_names(novacron):
    table = novacron("-c", SIM, "vm", "list")
    assert table.stdout.splitlines()[0].split() == ["NAME", "STATUS", "VCPUS", "MEMORY", "HOST"]
    assert len(table.stdout.splitlines()) == 4
    found = json.loads(novacron("vm", "list", "-c", SIM, "-o", "json").stdout)
    assert set(found[0]) == set(VM.__struct_fields__)
    assert yaml.safe_load(novacron("-c", SIM, "-o", "yaml", "vm", "list").stdout) == found
    assert novacron("-c", SIM, "vm", "list", "-o", "name").stdout.split() == [vm["name"] for vm in found]
    some = novacron("-c", SIM, "vm", "list", "--sort=-name", "--limit", "2", "-o", "name")
    assert some.stdout.split() == sorted((vm["name"] for vm in found), reverse=True)[:2]
    assert "--cursor" in some.stderr


def test_a_vm_is_created_from_options_and_from_a_file(novacron):
    made = novacron(
        "-c",
        "sim://x",
        "vm",
        "create",
        "web1",
        "--memory",
        "1GiB",
        "--disk",
        "size=5GiB,bus=scsi",
        "--nic",
        "network=default",
        "--tag",
        "a",
        "--start",
        "-o",
        "json",
    )
    record = json.loads(made.stdout)
    assert (record["name"], record["status"], record["memory_bytes"], record["tags"]) == ("web1", "running", 2**30, ["a"])
    assert record["disks"][0]["bus"] == "scsi"
    asked = ("iothreads=2,tpm=true", "display.type=spice", "channels.0.name=a", "channels.1.name=b")
    furnished = novacron(
        "-c",
        "sim://x",
        "vm",
        "create",
        "web3",
        "--disk",
        "size=1GiB,limits.read_iops=5",
        "-o",
        "json",
        *(word for each in asked for word in ("--set", each)),
    )
    assert furnished.returncode == 0, furnished.stderr
    assert json.loads(furnished.stdout)["native"]["tpm"]
    wrong = novacron("-c", "sim://x", "vm", "create", "web4", "--set", "numa.0.vcpus=x", "--set", "numa.0.memory=1GiB")
    assert wrong.returncode
    assert "numa.0.vcpus: got 'x'" in wrong.stderr
    from_file = novacron("-c", "sim://x", "vm", "create", "web2", "--file", "-", "-o", "json", stdin="memory: 2GiB\nvcpus: 3\n")
    assert (json.loads(from_file.stdout)["name"], json.loads(from_file.stdout)["vcpus"]) == ("web2", 3)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (["-c", "sim://x", "vm", "start", "nope"], errors.VMNotFoundError, "nope"),
        (["-c", "nonsense", "vm", "list"], errors.HostNotFoundError, "novacron host list"),
        (["-c", "vbox://x", "vm", "list"], errors.UnsupportedOperationError, "installed:"),
        (["-c", "sim://u:secret@x", "vm", "list"], errors.InvalidSpecError, "without a password"),
        (["-c", "sim://x", "vm", "create", "a b", "--memory", "lots"], errors.InvalidSpecError, "memory: got 'lots'"),
        (["-c", "sim://x", "vm", "list", "--sort", "shoe-size"], errors.InvalidSpecError, "shoe-size"),
        (["-c", "sim://x", "vm", "list", "--status", "happy"], errors.InvalidSpecError, "happy"),
        (["-c", SIM, "flow", "run", "vm-00001", "migrat:x"], None, "there is no step 'migrat'"),
        (["-c", SIM, "flow", "plan", "vm-00001", "snapshot:a", "vm-00002"], None, "no step 'vm-00002'"),
        (["-c", SIM, "flow", "plan", "vm-00001", "vm-00002"], None, "the VMs are one word before the steps"),
        (["-c", SIM, "flow", "run", "vm-00001", "migrate:nowhere"], errors.WorkflowError, "nowhere"),
        (["host", "add", "x", "sim://y", "--no-check", "--nonsense"], None, "--help"),
        (["-c", SIM, "vm", "migrate", "vm-00001", "kvm2"], None, "the usage is `novacron vm migrate [OPTIONS] VM`"),
        (["host", "remove", "nope"], errors.HostNotFoundError, "nope"),
        (["vmm", "list"], None, "did you mean 'vm'"),
        (["-c", "sim://x", "call", "vm_get"], None, "vm=..."),
        (["-c", "sim://x", "call", "vm_gett", "vm=a"], errors.UnsupportedOperationError, "vm_gett"),
        (["-c", "qemu+tcp://127.0.0.1:1/system", "vm", "list"], errors.HostConnectionError, "127.0.0.1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_an_error_is_a_line_and_a_hint_on_stderr_with_its_familys_exit_code(novacron, arguments, error, said):
    done = novacron(*arguments)
    assert done.stdout == ""
    assert done.returncode == (error.exit_code if error else 2)
    assert "error: " in done.stderr
    assert said in done.stderr
    assert "secret" not in done.stderr


def test_the_fleet_is_kept_and_its_vms_found_wherever_they_are(novacron):
    assert novacron("host", "add", "one", "sim://one?vms=2&prefix=a-").returncode == 0
    assert novacron("host", "add", "two", "sim://two?vms=2&prefix=b-").returncode == 0
    assert novacron("host", "list", "-o", "name").stdout.split() == ["one", "two"]
    assert "up" in novacron("host", "list", "--ping").stdout
    names = novacron("vm", "list", "-o", "name").stdout.split()
    assert len(names) == 4
    assert json.loads(novacron("vm", "show", names[-1], "-o", "json").stdout)["host"] == "two"
    again = novacron("host", "add", "one", "sim://elsewhere")
    assert again.returncode == errors.AlreadyExistsError.exit_code
    assert novacron("host", "list", "-o", "json").stdout.count("sim://one") == 1
    moved = novacron("flow", "run", names[0], "start", "migrate:two", "snapshot:after", "-o", "json")
    assert moved.returncode == 0, moved.stderr
    assert [s["status"] for s in json.loads(moved.stdout)["steps"]] == ["done", "done", "done"]
    planned = novacron("flow", "plan", names[0], "migrate:two", "snapshot:after")
    assert "undo" in planned.stdout
    twice = novacron("flow", "run", names[0], "snapshot:x", "snapshot:x")
    assert twice.returncode == errors.WorkflowError.exit_code
    assert f"takes the snapshot 'x' of {names[0]} twice" in twice.stderr
    failing = novacron("flow", "run", names[0], "snapshot:x", "delete_snapshot:nope")
    assert failing.returncode == errors.WorkflowError.exit_code
    assert "undone" in failing.stderr


def test_a_name_on_two_hosts_has_to_be_made_clear(novacron):
    novacron("host", "add", "one", "sim://one?vms=1")
    novacron("host", "add", "two", "sim://two?vms=1")
    done = novacron("vm", "show", "vm-00001")
    assert done.returncode == errors.InvalidSpecError.exit_code
    assert "--host" in done.stderr
    assert novacron("vm", "show", "vm-00001", "--host", "two", "-o", "json").returncode == 0


def test_snapshots_migration_storage_network_calls_and_plugins(novacron):
    assert novacron("-c", SIM, "snapshot", "create", "vm-00001", "s1", "-o", "json").returncode == 0
    assert novacron("-c", SIM, "snapshot", "list", "vm-00001").returncode == 0
    checked = novacron("-c", SIM, "migrate", "vm-00001", "--to", "sim://other", "--check")
    assert checked.returncode == 0, checked.stderr
    moved = novacron("-c", SIM, "migrate", "vm-00001", "--to", "sim://other", "-o", "json")
    assert json.loads(moved.stdout)["vm"]["host"] == "other"
    assert "default" in novacron("-c", SIM, "pool", "list").stdout
    assert "default" in novacron("-c", SIM, "network", "list").stdout
    assert "vm_start" in novacron("call", "-o", "name").stdout.split()
    assert json.loads(novacron("-c", SIM, "call", "vm_get", "vm=vm-00002", "-o", "json").stdout)["name"] == "vm-00002"
    assert {"sim", "qemu", "lab"} <= {p["name"] for p in json.loads(novacron("plugin", "list", "-o", "json").stdout)}
    assert json.loads(novacron("-c", SIM, "host", "capabilities", "-o", "json").stdout)["driver"] == "sim"


def test_snapshots_are_chosen_and_drawn_as_a_tree(novacron, tmp_path):
    script = tmp_path / "take.py"
    script.write_text(
        "vm = vms['vm-00001']\n"
        "for name in ('base', 'left'): vm.snapshots.create(name)\n"
        "vm.snapshots['base'].revert(); vm.snapshots.create('right')\n"
        "from novacron_shell.commands.snapshots import branches\n"
        "print(*branches([s.record for s in vm.snapshots]), sep='\\n')\n"
        "print(*branches([s.record for s in vm.snapshots.list(below='base')]), sep='\\n')\n"
    )
    done = novacron("-c", SIM, "script", str(script))
    drawn = [line.split("  ")[0] + ("  ●" if "●" in line else "") for line in done.stdout.splitlines()]
    assert drawn == ["base", "├─ left", "└─ right  ●", "left", "right  ●"], done.stderr
    assert novacron("-c", SIM, "snapshot", "list", "vm-00001", "--tree", "--leaves").returncode == 0
    assert "no snapshot 'x'" in novacron("-c", SIM, "snapshot", "list", "vm-00001", "--below", "x").stderr


def test_plugins_are_disabled_enabled_and_a_broken_one_stops_nothing(novacron, tmp_path):
    assert novacron("plugin", "disable", "lab").returncode == 0
    assert novacron("lab", "status").returncode == 2
    assert novacron("plugin", "enable", "lab").returncode == 0
    broken = tmp_path / "broken_plugin.py"
    broken.write_text("raise RuntimeError('no licence')\n")
    listed = novacron("plugin", "list", "-o", "json", NOVACRON_PLUGINS=str(broken))
    found = {p["name"]: p for p in json.loads(listed.stdout)}
    assert found["broken_plugin"]["status"] == "broken"
    assert "no licence" in found["broken_plugin"]["error"]


def test_a_script_runs_with_the_shells_names(novacron, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys\nhost = connect('sim://s')\nprint(host.vms.create(name=sys.argv[1]).start().status)\n")
    assert novacron("script", str(script), "web1").stdout == "running\n"
    script.write_text("connect('sim://s').vms['nope']\n")
    assert novacron("script", str(script)).returncode == errors.VMNotFoundError.exit_code


def test_a_reader_that_has_had_enough_is_no_error(novacron):
    command = "novacron -c 'sim://lab?vms=5000' vm list -o json | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, env=novacron.environment, check=False
    )
    assert done.stdout == "[\n"
    assert "Error" not in done.stderr


def test_ctrl_c_cancels_what_is_under_way_and_says_so(novacron, tmp_path):
    script = tmp_path / "slow.py"
    script.write_text(
        "import threading, time\n"
        "a, b = connect('sim://a'), connect('sim://b')\n"
        "vm = a.vms.create(name='web1', memory='1GiB', start=True)\n"
        "def watch():\n    while a.vms['web1'].status != 'migrating':\n        time.sleep(0.01)\n    print('begin', flush=True)\n"
        "threading.Thread(target=watch).start()\n"
        "try:\n    vm.migrate(b, bandwidth='1MiB/s')\n"
        "finally:\n    print(a.vms['web1'].status, 'web1' in b.vms, flush=True)\n"
    )
    process = subprocess.Popen(
        ["novacron", "script", str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=novacron.environment
    )
    assert process.stdout.readline() == "begin\n"
    process.send_signal(signal.SIGINT)
    output, words = process.communicate(timeout=60)
    assert output == "running False\n", words
    assert process.returncode == 130
    assert "Traceback" not in words


def test_runs_are_listed_shown_resumed_and_begun_again(novacron):
    """Each command is a process of its own: what they know of each other's runs is in the database."""
    sim = ("-c", "sim://runs?vms=2")
    assert novacron(*sim, "flow", "run", "vm-00001", "start", "snapshot:a").returncode == 0
    failing = novacron(*sim, "flow", "run", "vm-00002", "snapshot:x", "delete_snapshot:nope")
    assert failing.returncode == errors.WorkflowError.exit_code
    found = json.loads(novacron("run", "list", "-o", "json").stdout)
    assert [(run["status"], run["vms"][0]["name"]) for run in found] == [("undone", "vm-00002"), ("done", "vm-00001")]
    failed = found[0]["id"]
    assert novacron("run", "list", "-o", "name").stdout.split() == [run["id"] for run in found]
    shown = novacron("run", "show", failed[:6]).stdout
    assert "! delete the snapshot 'nope'  failed" in shown
    assert "< snapshot 'x'  undone" in shown
    assert [line.split()[2] for line in novacron("run", "show", failed, "--history").stdout.splitlines()[1:]] == [
        "started",
        "done",
        "started",
        "failed",
        "unwinding",
        "undoing",
        "undone",
    ]
    nothing_left = novacron("run", "resume", failed)
    assert nothing_left.returncode == errors.InvalidStateError.exit_code
    assert f"novacron run retry {failed}" in nothing_left.stderr
    assert novacron("run", "retry", failed).returncode == errors.WorkflowError.exit_code
    assert len(json.loads(novacron("run", "list", "-o", "json").stdout)) == 3
    unknown = novacron("run", "show", "nope")
    assert unknown.returncode == errors.NotFoundError.exit_code
    assert "novacron run list" in unknown.stderr


def test_a_worker_takes_what_is_detached(novacron):
    queued = novacron("-c", "sim://detached?vms=1", "flow", "run", "--detach", "vm-00001", "start").stdout.strip()
    assert json.loads(novacron("run", "show", queued, "-o", "json").stdout)["status"] == "waiting"
    worker = subprocess.Popen(["novacron", "worker"], env=novacron.environment, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 60
        while json.loads(novacron("run", "show", queued, "-o", "json").stdout)["status"] != "done":
            assert time.monotonic() < until
    finally:
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=60)
    assert worker.returncode == 0, said
    assert "Traceback" not in said


def test_schedules_are_added_shown_paused_and_removed(novacron):
    added = novacron(
        "schedule",
        "add",
        "nightly",
        "0 3 * * *",
        "snapshot:nightly-{time}",
        "keep-snapshots:prefix=nightly-,daily=7",
        "--tag",
        "web",
        "--timezone",
        "Europe/Berlin",
    )
    assert added.returncode == 0, added.stderr
    assert "03:00:00 CE" in added.stderr
    (found,) = json.loads(novacron("schedule", "list", "-o", "json").stdout)
    assert (found["cron"], found["tag"], len(found["next"])) == ("0 3 * * *", "web", 3)
    assert "keep 7 daily of the snapshots nightly-*" in novacron("schedule", "show", "nightly").stdout
    novacron("schedule", "pause", "nightly")
    assert "paused" in novacron("schedule", "list").stdout
    assert novacron("schedule", "remove", "nightly").returncode == 0
    assert novacron("schedule", "show", "nightly").returncode == errors.NotFoundError.exit_code
    wrong = novacron("schedule", "add", "x", "99 * * * *", "start", "--tag", "web")
    assert wrong.returncode == errors.InvalidSpecError.exit_code
    assert "cron: got '99 * * * *'" in wrong.stderr


@pytest.mark.parametrize(
    ("answer", "said", "status"),
    [("d", "waits for a worker", "waiting"), ("c", "cancelling: what was done is undone", "cancelled"), ("g", "done", "done")],
)
def test_ctrl_c_asks_whether_to_cancel_detach_or_go_on(novacron, answer, said, status):
    flow = ["-c", "sim://asked?vms=1&latency=1s", "flow", "run", "vm-00001", "start", "snapshot:a", "snapshot:b"]
    process = pexpect.spawn("novacron", flow, env=novacron.environment, timeout=60, encoding="utf-8")
    process.expect("snapshot 'a'")
    process.sendintr()
    process.expect(r"go on \(g\)\?")
    process.sendline(answer)
    process.expect(said)
    process.expect(pexpect.EOF)
    (run,) = json.loads(novacron("run", "list", "-o", "json").stdout)
    assert run["status"] == status, novacron("run", "show", run["id"]).stdout
    assert "Traceback" not in process.before


HEAVY = {
    *("pydantic", "sqlalchemy", "yaml", "rich", "tenacity", "http.client", "ssl", "html", "novacron_lab.host"),
    *("novacron.fleets.failover", "novacron.fleets.placement", "novacron.handles.snapshots", "novacron.handles.templates"),
    *("novacron_kvm.operations.snapshots", "novacron_kvm.operations.migration", "novacron.drivers.sim.operations.snapshots"),
    *("novacron_kvm.lifecycle.creation", "novacron_kvm.storage", "novacron_kvm.snapshots", "novacron.fleets.claims", "fractions"),
}
"""Modules that take longer to import than a listing takes, or belong to operations that a listing does not use."""


@pytest.mark.parametrize(
    ("options", "loaded"),
    [
        (("-c", "sim://imports?vms=3", "vm", "list"), set()),
        (("-c", "test:///default", "vm", "list"), set()),
        (("-c", "test:///default", "vm", "list", "--full"), {"lxml"}),
        (("vm", "list"), set()),
    ],
    ids=["sim", "libvirt", "full", "fleet"],
)
def test_a_listing_imports_nothing_heavy(options, loaded, tmp_path):
    """Of a driver it imports the area of the listing, and lxml only for VMs with their devices."""
    with Site(tmp_path) as site:
        site.fleet.add("registered", "test:///default")
    code = (
        "import sys; from novacron_shell.main import main\n"
        f"sys.argv = {['novacron', *options]!r}\n"
        "try: main()\nexcept SystemExit as ended: assert not ended.code\n"
        f"print(sorted({HEAVY | {'lxml'}!r} & sys.modules.keys()), file=sys.stderr)"
    )
    environment = {**os.environ, "NOVACRON_STATE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == str(sorted(loaded))
