"""The interactive shell in a real pseudo-terminal."""

import io
import os
import re
import subprocess
import sys
import time

import pexpect
import pytest

import novacron


@pytest.fixture
def shell(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NOVACRON_")}
    environment |= {
        "NOVACRON_STATE": str(tmp_path),
        "TERM": "xterm",
        "COLUMNS": "140",
        "LINES": "50",
        "PROMPT_TOOLKIT_NO_CPR": "1",
    }
    child = pexpect.spawn(
        "novacron", ["shell", "-c", "sim://lab?vms=3"], env=environment, encoding="utf-8", timeout=60, dimensions=(50, 140)
    )
    child.logfile_read = io.StringIO()
    typed(child, "print('opened', len(vms))")
    seen(child, "opened 3")
    seen(child, "novacron>")  # Ctrl-D before the prompt would be lost
    yield child
    child.close(force=True)
    readable_by_others = [file.name for file in tmp_path.rglob("*") if file.is_file() and file.stat().st_mode & 0o077]
    assert (readable_by_others, any(tmp_path.glob("history*"))) == ([], True)


def seen(child, text):
    """Wait for a text, whatever colours and cursor movements stand between its letters."""
    between = r"(?:\x1b\[[0-9;?]*[A-Za-z])*"
    try:
        child.expect(between.join(re.escape(letter) for letter in text))
    except (pexpect.TIMEOUT, pexpect.EOF):
        pytest.fail(f"{text!r} was not seen; all that was shown: {child.logfile_read.getvalue()!r}")


def typed(child, line):
    child.send(line)
    child.send("\r")


def test_vms_are_a_table_a_vm_is_a_card_and_xml_is_shown(shell):
    typed(shell, "vms")
    seen(shell, "memory")
    seen(shell, "vm-00003")
    typed(shell, "vms['vm-00002']")
    seen(shell, "memory_bytes")
    typed(shell, "lab.info()")
    seen(shell, "hypervisor")


def test_names_are_completed(shell):
    shell.send("vms['vm-0")
    seen(shell, "vm-00003")


def test_an_error_is_a_line_and_a_hint_and_its_traceback_a_call_away(shell):
    typed(shell, "lab.vms['nope']")
    seen(shell, "error: ")
    seen(shell, "nope")
    seen(shell, "hint: ")
    typed(shell, "tb()")
    seen(shell, "VMNotFoundError")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("lab.vmss", "did you mean vms?"),
        ("hostz", "did you mean host or hosts?"),
        ("vms['vm-0001']", "did you mean vm-00001"),
        ("fleet.hosts", "fleet is a function; did you mean fleet().hosts?"),
        ("{}['x']", "nothing there is called 'x'"),
    ],
)
def test_a_typo_is_one_line_with_what_was_meant(shell, line, said):
    typed(shell, line)
    seen(shell, "error: ")
    seen(shell, said)


@pytest.mark.parametrize("answer", ["c\r", "\x03"], ids=["c", "ctrl-c"])
def test_a_long_job_draws_a_bar_and_ctrl_c_offers_to_cancel_it(shell, answer):
    typed(shell, "other = connect('sim://other')")
    typed(shell, "vm = lab.vms.create(name='big', memory='1GiB', start=True)")
    typed(shell, "vm.migrate(other, bandwidth='2MiB/s')")
    seen(shell, "migrate big")
    shell.sendintr()
    seen(shell, "[d]etach")
    shell.send(answer)
    seen(shell, "rolled back")
    typed(shell, "print('at', vm.refresh().status, 'on', vm.host.name)")
    seen(shell, "at running on lab")


def test_a_detached_job_continues_and_its_end_is_announced(shell):
    typed(shell, "other = connect('sim://other')")
    typed(shell, "vm = lab.vms.create(name='big', memory='1GiB', start=True)")
    typed(shell, "vm.migrate(other, bandwidth='200MiB/s')")
    seen(shell, "migrate big")
    shell.sendintr()
    seen(shell, "[d]etach")
    shell.send("d\r")
    seen(shell, "continues; `:jobs")
    seen(shell, "✔ job")
    typed(shell, ":jobs")
    seen(shell, "done")


TUNED = "lab.invoke('migration_tune', vm=vm.id, bandwidth=2**40, max_downtime=None, post_copy=False)"
PHASES = {
    "prepare": ("faults.add('vm_migrate', hang=1000)", "faults.clear()"),
    "copying": ("bandwidth = '1MiB/s'", TUNED),
    "switch": ("faults.add('vm_migrate', when='during', hang=1000)", "faults.clear()"),
    "finish": ("faults.add('vm_migrate', when='after', hang=1000)", "faults.clear()"),
}
"""What keeps a migration in a phase, and what lets it continue. It finishes after the VM has changed its host."""


def test_ctrl_c_in_each_phase_of_a_migration_offers_three_ways_and_says_what_became_of_it(shell):
    typed(shell, "from novacron.drivers import sim; faults = sim.world('lab').faults; other = connect('sim://other')")
    for phase, (stays, continues) in PHASES.items():
        typed(shell, f"bandwidth = None; {stays}; vm = lab.vms.create(name='{phase}', memory='1GiB', start=True)")
        typed(shell, "vm.migrate(other, bandwidth=bandwidth)")
        seen(shell, f"migrate {phase} ━")
        for answer in ("\r", "\r", "c\r"):
            shell.sendintr()
            seen(shell, f"migrate {phase}: [c]ancel and roll back, [d]etach, or Enter to continue?")
            shell.send(answer)
            if answer == "\r":
                seen(shell, f"migrate {phase} ━")
        arrived = phase == "finish"
        seen(shell, "ended before it could be cancelled; nothing was rolled back" if arrived else "cancelled and rolled back")
        where = "vm.host.name, vm.refresh().status, [n for n, h in (('lab', lab), ('other', other)) if vm.name in h.vms]"
        typed(shell, f"vm = {'other' if arrived else 'lab'}.vms['{phase}']; print('at', {where})")
        seen(shell, f"at {'other' if arrived else 'lab'} running ['{'other' if arrived else 'lab'}']")
        typed(shell, f"vm.delete(force=True); {stays}; vm = lab.vms.create(name='{phase}', memory='1GiB', start=True)")
        typed(shell, "vm.migrate(other, bandwidth=bandwidth)")
        seen(shell, f"migrate {phase} ━")
        shell.sendintr()
        seen(shell, "[d]etach")
        shell.send("d\r")
        seen(shell, f"migrate {phase}, continues; `:jobs")
        typed(shell, continues)
        seen(shell, f"migrate {phase} done")
        typed(shell, f"vm = other.vms['{phase}']; print('at', {where}); vm.delete(force=True)")
        seen(shell, "at other running ['other']")


def test_await_and_pipes_work_at_the_prompt(shell):
    typed(shell, "(await lab.submit('vm_stop', vm='vm-00001')).status + '!'")
    seen(shell, "stopped!")
    typed(shell, "vms.where(name='vm-00001') | start")
    seen(shell, "start: 1 of 1 done")


def test_ctrl_d_leaves(shell):
    shell.sendeof()
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 0


def test_the_only_host_and_the_flows_are_there_by_name():
    """So that nobody has to look for them."""
    from novacron_shell.repl.inventory import Inventory, OpenHosts, namespace

    hosts = OpenHosts()
    hosts.add(novacron.connect("sim://only"))
    names = namespace(hosts, Inventory(hosts))
    assert names["host"].name == "only"
    assert "patch" in dir(names["flows"])
    assert "command" in repr(names["flows"].patch)
    hosts.add(novacron.connect("sim://another"))
    assert "host" not in namespace(hosts, Inventory(hosts))
    hosts.close()


def test_a_shell_asks_whether_to_go_on_with_runs_that_were_cut_off(tmp_path, processes):
    """A flow's process is killed in its first step; the next shell names the run, and goes on with it when told so."""
    script = tmp_path / "cut.py"
    script.write_text(
        "import novacron, os, signal\n"
        "from novacron.workflow import steps\n"
        "vm = novacron.connect('sim://lab').vms.create(name='web1')\n"
        "def die(progress):\n"
        "    if progress.step: os.kill(os.getpid(), signal.SIGKILL)\n"
        "steps.nothing().run(vm, on_progress=die)\n"
    )
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "140", "LINES": "50", "PROMPT_TOOLKIT_NO_CPR": "1"}
    subprocess.run([sys.executable, script], env=environment, check=False)
    novacron.fleet().add("lab", "sim://lab")
    runs = novacron.fleet().runs
    (cut,) = runs.list(unfinished=True)
    for answer, said in (("n", f"novacron run resume {cut.id}"), ("", "resuming 1 of 1")):
        child = pexpect.spawn("novacron", ["shell"], env=environment, encoding="utf-8", timeout=60, dimensions=(50, 140))
        child.logfile_read = io.StringIO()
        seen(child, "1 run was cut off")
        seen(child, cut.id)
        typed(child, answer)
        seen(child, said)
        if not answer:
            until = time.monotonic() + 60
            while runs[cut.id].ended_at is None:
                assert time.monotonic() < until, runs[cut.id]
                time.sleep(0.1)
        else:
            assert runs[cut.id].status == "interrupted"
        child.close(force=True)
