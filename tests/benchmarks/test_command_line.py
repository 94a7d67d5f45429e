"""`novacron` as a process: quick to start, and quick to list, beside kcli and virsh."""

import io
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.benchmark, pytest.mark.lab, pytest.mark.timeout(900)]

NOVACRON = str(Path(sys.executable).with_name("novacron"))
HEAVY = {"pyVmomi", "ptpython", "prompt_toolkit", "sqlalchemy", "dbos"}
FASTER_THAN_KCLI = {1000: 4, 5000: 12}
COMPLETION_SECONDS = 0.1
LOADED = """
import json, sys
from novacron_shell.main import main
sys.argv[1:] = json.loads(sys.argv[1])
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def output(argv, environment):
    return subprocess.run(argv, env=environment, capture_output=True, check=True, text=True).stdout


def run(argv, environment):
    """Return a way to be timed: the program from its start to its end, its output thrown away."""
    return lambda: subprocess.run(argv, env=environment, stdout=subprocess.DEVNULL, check=True)


@pytest.fixture
def programs(crowd, kcli, environment):
    """{name: (command line, environment)} of programs that list the same VMs of the same daemon."""
    uri = crowd[1].uri
    return {
        "novacron vm list": ([NOVACRON, "-c", uri, "vm", "list"], environment),
        "kcli list vm": kcli(uri, "list", "vm"),
        "virsh domstats": (["virsh", "-c", uri, "domstats", "--state", "--vcpu", "--balloon"], environment),
    }


def test_vm_list_is_quicker_than_kcli(crowd, programs, measure, tell):
    """kcli tells more of each VM (address, image, plan) and less (vcpus, memory); virsh domstats tells what `novacron vm list` does."""
    size = crowd[0]
    for name, program in programs.items():
        listed = output(*program)
        assert all(f"crowd-{number:05}" in listed for number in range(size)), name
    rounds = 7 if size == 1000 else 3
    m = measure({name: run(*program) for name, program in programs.items()}, rounds=rounds)
    ratio = m.ratio("kcli list vm", "novacron vm list")
    told = m.told("novacron vm list", "virsh domstats")
    milliseconds = ", ".join(f"{name} {1000 * m.best(name):.0f} ms" for name in programs)
    tell(f"{m.told('kcli list vm', 'novacron vm list')} takes kcli; NovaCron takes {told}; {milliseconds}")
    assert ratio >= FASTER_THAN_KCLI[size]


def test_version_takes_at_most_four_times_bare_python(environment, measure, tell):
    bare = [sys.executable, "-c", "pass"]
    m = measure(
        {"novacron --version": run([NOVACRON, "--version"], environment), "python -c pass": run(bare, environment)}, rounds=15
    )
    tell(f"{1000 * m.best('novacron --version'):.0f} ms, {m.told('novacron --version', 'python -c pass')}")
    assert m.ratio("novacron --version", "python -c pass") <= 4


@pytest.mark.parametrize("command", ["vm list", "--version"])
def test_a_command_for_a_libvirt_host_loads_nothing_heavy(crowds, command, environment, tell):
    argv = ["-c", crowds[1000].uri, *command.split()] if command == "vm list" else [command]
    ran = [sys.executable, "-c", LOADED, json.dumps(argv)]
    ended = subprocess.run(ran, env=environment, capture_output=True, check=True, text=True)
    loaded = set(json.loads(ended.stderr.splitlines()[-1]))
    tell(f"`novacron {command}` loads {len(loaded)} packages, none of {', '.join(sorted(HEAVY))}")
    assert not loaded & HEAVY
    assert ("libvirt" in loaded) == (command == "vm list")


def test_vm_list_takes_at_most_three_times_the_bulk_call_in_bare_python(crowd, environment, measure, tell):
    """The peer prints the same rows with libvirt's own bulk calls, and nothing else."""
    uri = crowd[1].uri
    m = measure(
        {
            "novacron vm list": run([NOVACRON, "-c", uri, "vm", "list"], environment),
            "bare Python": run([sys.executable, "-c", BARE, uri], environment),
        },
        rounds=7 if crowd[0] == 1000 else 3,
    )
    tell(f"{m.told('novacron vm list', 'bare Python')}; {1000 * m.best('novacron vm list'):.0f} ms")
    assert m.ratio("novacron vm list", "bare Python") <= 3


def cpu_of_programs():
    """The CPU time of the programs that ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_completion_takes_at_most_100_ms(environment, tmp_path, measure, tell):
    """The CPU time of the whole process that a tab starts, with the names of 5,000 VMs; the first one of a command is not measured."""
    (tmp_path / "names.json").write_text(json.dumps({"kvm1": [f"web-{number:05}" for number in range(5000)]}))
    (tmp_path / "snapshots.json").write_text(json.dumps({"kvm1/web-00001": ["before", "nightly"]}))

    def tab(line):
        typed = {"_NOVACRON_COMPLETE": "bash_complete", "COMP_WORDS": f"novacron {line}", "COMP_CWORD": str(len(line.split(" ")))}
        return run([NOVACRON], {**environment, **typed, "NOVACRON_STATE": str(tmp_path)})

    lines = ("stop web-", "snapshot revert web-00001 ", "snap", "vm list --")
    m = measure({line: tab(line) for line in lines}, rounds=10, clock=cpu_of_programs)
    tell(", ".join(f"`{line}` {1000 * m.best(line):.0f} ms" for line in lines))
    assert max(m.best(line) for line in lines) <= COMPLETION_SECONDS


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize("width", [40, 200])
def test_a_table_at_a_terminal_takes_at_most_four_times_a_table_in_a_pipe(width, monkeypatch, measure, tell):
    """5,000 VMs, in columns that fit and in columns that are folded. A table of rich took 4 s."""
    from novacron.records import VM
    from novacron_shell.commands.lifecycle import COLUMNS
    from novacron_shell.output import show_many

    vms = [
        VM(id=str(n), name=f"web-{n:05}", host="kvm1", status="suspended", vcpus=1 + n % 8, memory_bytes=(1 + n % 4) * 2**29)
        for n in range(5000)
    ]
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def shown(stream):
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", stream())
            show_many(vms, COLUMNS, "table")

    m = measure({"terminal": lambda: shown(Terminal), "pipe": lambda: shown(io.StringIO)}, rounds=5, clock=time.process_time)
    tell(f"{m.told('terminal', 'pipe')}; {1000 * m.best('terminal'):.0f} ms")
    assert m.ratio("terminal", "pipe") <= 4


BARE = """
import sys
import libvirt
connection = libvirt.open(sys.argv[1])
groups = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_VCPU | libvirt.VIR_DOMAIN_STATS_BALLOON
for domain, stats in sorted(connection.getAllDomainStats(groups, 0), key=lambda found: found[0].name()):
    print(domain.name(), stats.get("state.state"), stats.get("vcpu.current"), stats.get("balloon.maximum"))
"""
