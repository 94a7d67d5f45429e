"""Commands for many VMs and many hosts: selectors, one summary, hosts that do not answer, exit codes."""

import itertools
import json
import os
import socket

import pytest
from click.testing import CliRunner

from novacron import errors
from novacron.errors import InvalidSpecError
from novacron.handles.vm import VMHandle
from novacron.records.vm import Deleted
from novacron_shell.commands import lifecycle
from novacron_shell.settings import PARTLY
from novacron_shell.testing import CommandServer

WORLDS = itertools.count()


@pytest.fixture(scope="module")
def server():
    with CommandServer() as server:
        yield server


@pytest.fixture
def novacron(server, tmp_path):
    """A fleet of two hosts with three VMs each; the third of each is stopped."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NOVACRON_")} | {"NOVACRON_STATE": str(tmp_path)}

    def run(*arguments, stdin=None, code=0):
        done = server.run(arguments, environment=environment, stdin=stdin)
        assert done.returncode == code, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    run("host", "add", "one", "sim://one?vms=3&prefix=a-")
    run("host", "add", "two", "sim://two?vms=3&prefix=b-")
    return run


@pytest.fixture
def silent_port():
    """A port that accepts connections and never says a word, as a halted host does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.mark.parametrize("command", [["vm", "list"], ["pool", "list"]])
def test_a_host_that_does_not_answer_costs_its_own_rows_and_the_exit_code(novacron, silent_port, command):
    novacron("host", "add", "halted", f"qemu+tcp://127.0.0.1:{silent_port}/system", "--no-check")
    done = novacron(*command, "--timeout", "6s", code=PARTLY)
    assert "one" in done.stdout
    assert done.stderr.count("halted") >= 1
    assert "6 s" in done.stderr


def test_no_host_that_answers_is_an_error_of_its_own(novacron):
    novacron("host", "remove", "one")
    novacron("host", "remove", "two")
    novacron("host", "add", "x", "qemu+tcp://127.0.0.1:1/system", "--no-check")
    novacron("host", "add", "y", "qemu+tcp://127.0.0.1:1/system", "--no-check")
    assert novacron("vm", "list", code=errors.HostConnectionError.exit_code).stdout == ""


def test_sort_limit_and_cursor_hold_for_the_whole_fleet(novacron):
    first = novacron("vm", "list", "--sort=-name", "--limit", "4", "-o", "name")
    assert first.stdout.split() == ["b-00003", "b-00002", "b-00001", "a-00003"]
    cursor = first.stderr.split()[-1]
    assert novacron("vm", "list", "--sort=-name", "--cursor", cursor, "-o", "name").stdout.split() == ["a-00002", "a-00001"]


def test_an_unknown_status_is_said_once(novacron):
    assert novacron("vm", "list", "--status", "happy", code=InvalidSpecError.exit_code).stderr.count("happy") == 1


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (["a-*"], "a-00001 a-00002 a-00003"),
        (["?-00001"], "a-00001 b-00001"),
        (["host:two"], "b-00001 b-00002 b-00003"),
        (["status:stopped"], "a-00003 b-00003"),
        (["a-00001", "host:one"], "a-00001 a-00002 a-00003"),
        (["one/a-00002"], "a-00002"),
        (["a-00001,b-00002"], "a-00001 b-00002"),
        (["-"], "b-00001 a-00003"),
    ],
)
def test_selectors_choose_each_vm_once(novacron, words, chosen):
    done = novacron("vm", "stop", *words, "--dry-run", "-o", "name", stdin="b-00001\na-00003\n")
    assert done.stdout.split() == chosen.split()
    assert {vm["status"] for vm in json.loads(novacron("vm", "list", "-o", "json").stdout)} == {"running", "stopped"}


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("z-*", errors.VMNotFoundError),
        ("tag:none", errors.VMNotFoundError),
        ("status:happy", InvalidSpecError),
        ("zz", errors.VMNotFoundError),
    ],
)
def test_a_selector_that_chooses_nothing_is_an_error(novacron, word, error):
    assert word.partition(":")[2] in novacron("stop", word, "a-00001", "a-00002", "b-00001", code=error.exit_code).stderr


def test_results_of_many_are_one_table_grouped_by_equal_error(novacron):
    done = novacron("stop", "*-0000*", code=PARTLY)
    rows = done.stdout.splitlines()
    assert rows[0].split() == ["VM", "HOST", "OUTCOME", "ERROR"]
    assert [row.split()[0] for row in rows[1:]] == ["a-00003", "b-00003"]
    assert done.stderr.count("hint:") == 1
    assert "4 of 6 done, 2 failed" in done.stderr
    found = json.loads(novacron("stop", "*-0000*", "-o", "json", code=PARTLY).stdout)
    assert {(one["name"], one["outcome"]) for one in found if one["error"]} == {("a-00003", "failed"), ("b-00003", "failed")}


def test_all_of_many_failing_alike_is_their_familys_exit_code(novacron):
    novacron("stop", "a-00003", "b-00003", code=errors.InvalidStateError.exit_code)


def test_exit_codes_of_commands_reach_the_caller(novacron):
    novacron("-c", "sim://x?vms=1", "guest", "exec", "vm-00001", "--", "false", code=1)
    novacron("-c", "sim://x?vms=3", "flow", "plan", "vm-00003", "run-in-guest:true", code=25)
    checked = novacron("-c", "sim://x?vms=3", "migrate", "vm-00001", "--to", "sim://x?vms=3", "--check", code=18)
    assert checked.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["vm", "delete", "a-00003"],
        ["vm", "delete", "a-*", "--force"],
        ["snapshot", "delete", "a-00001", "s"],
        ["snapshot", "revert", "a-00001", "s"],
        ["--host", "one", "volume", "delete", "x"],
        ["--host", "one", "volume", "wipe", "x"],
        ["--host", "one", "pool", "delete", "default"],
        ["--host", "one", "network", "delete", "default"],
        ["--host", "one", "filter", "delete", "x"],
        ["--host", "one", "template", "delete", "x"],
        ["--host", "one", "image", "remove", "x"],
        ["disk", "detach", "a-00001", "vda"],
    ],
    ids=" ".join,
)
def test_what_destroys_is_refused_in_a_pipe_without_yes(novacron, command):
    for answer in ("n\n", "y\n", ""):
        refused = novacron(*command, stdin=answer, code=2)
        assert "--yes" in refused.stderr
        assert refused.stdout == ""


def test_tags_that_were_not_read_are_unlike_none_at_all(novacron):
    assert {json.dumps(vm["tags"]) for vm in json.loads(novacron("vm", "list", "-o", "json").stdout)} == {"null"}
    read = [vm["tags"] for vm in json.loads(novacron("vm", "list", "--full", "-o", "json").stdout)]
    assert None not in read
    assert ["web"] in read


def test_several_tags_must_all_be_there():
    import novacron as api

    host = api.connect(f"sim://tags-{next(WORLDS)}")
    host.vms.create(name="both", tags={"a", "b"})
    host.vms.create(name="one", tags={"a"})
    host.vms.create(name="none")
    assert [vm.name for vm in host.vms.list(tag=["a", "b"])] == ["both"]
    assert [vm.name for vm in host.vms.list(tag="a")] == ["both", "one"]
    assert host.vms.list()[0].tags is None
    assert host.vms.list(detail="full")[1].tags == frozenset()
    host.close()


@pytest.mark.parametrize(
    "arguments",
    [
        ["vm", "create", "x", "--disk", "size=10"],
        ["vm", "create", "x", "--memory", "1024"],
        ["vm", "create", "x", "--memory", "1KiB"],
        ["vm", "create", "x", "--memory", "999999GiB"],
        ["vm", "create", "x", "--set", "max_memory=4096"],
        ["volume", "create", "x", "capacity=20"],
        ["disk", "resize", "vm-00001", "vda", "20"],
        ["volume", "resize", "x", "20"],
        ["resources", "set", "vm-00001", "--memory", "2"],
    ],
    ids=" ".join,
)
def test_a_bare_or_absurd_size_is_refused(novacron, arguments):
    assert "memory" in (said := novacron("-c", "sim://s?vms=1", *arguments, code=2).stderr) or "unit" in said


def test_columns_sorting_csv_and_ndjson(novacron):
    assert novacron("vm", "list", "-o", "csv", "--columns", "name,memory").stdout.splitlines()[:2] == [
        "name,memory",
        "a-00001,2147483648",
    ]
    lines = novacron("vm", "list", "-o", "ndjson", "--columns", "name,status").stdout.splitlines()
    assert json.loads(lines[2]) == {"name": "a-00003", "status": "stopped"}
    assert "no-such" in novacron("vm", "list", "--columns", "no-such", code=InvalidSpecError.exit_code).stderr
    pools = novacron("pool", "list", "--sort=-host", "-o", "csv", "--columns", "host").stdout.split()
    assert pools == ["host", "two", "one"]


def test_yaml_with_a_tab_is_an_error_of_the_file(novacron):
    create, code = ("-c", "sim://s", "vm", "create", "x", "--file", "-"), InvalidSpecError.exit_code
    assert "line 2" in novacron(*create, stdin="memory: 1GiB\n\tvcpus: 1\n", code=code).stderr
    assert "fields with values" in novacron(*create, stdin="- a\n", code=code).stderr


def test_tags_are_added_and_removed_without_losing_the_others():
    from click.testing import CliRunner

    from novacron_shell.cli import cli

    def run(*arguments):
        return CliRunner().invoke(cli, ["-c", "sim://retagged?vms=1", "vm", "update", "vm-00001", "-o", "json", *arguments])

    assert sorted(json.loads(run("--tag", "a", "--tag", "b").stdout)["tags"]) == ["a", "b"]
    assert sorted(json.loads(run("--add-tag", "c", "--remove-tag", "a").stdout)["tags"]) == ["b", "c"]
    assert "no tag zz" in run("--remove-tag", "zz").stderr
    assert run("--tag", "x", "--add-tag", "y").exit_code == 2


def test_a_comma_within_a_value_of_a_step_stays():
    from novacron_shell.commands.flows import compose

    assert "hello, world" in str(compose(("snapshot:name=a,description=hello, world",)).as_dict())


def test_novacron_alone_shows_the_help(novacron):
    assert "Commands:" in novacron().stdout


@pytest.mark.parametrize("words", [["vm-00001"], ["vm-00001", "vm-00002"]], ids=["one VM", "several"])
def test_what_a_deletion_keeps_is_said_with_what_deletes_it_later(monkeypatch, words):
    def delete(vm, **options):
        return Deleted(name=vm.name, removed=(f"definition of {vm.name}",), kept=("/a",), hint=f"delete /a of {vm.name} later")

    monkeypatch.setattr(VMHandle, "delete", delete)
    done = CliRunner().invoke(lifecycle.delete, ["-c", "sim://keeping?vms=2", "--force", "-y", *words])
    assert done.exit_code == 0, done.output
    assert [line for line in done.output.splitlines() if line.startswith("hint:")] == [
        f"hint: delete /a of {name} later" for name in words
    ]
