"""The interactive shell in a terminal with real hosts: one that is halted, migrations that are interrupted, the console of a guest."""

import os
import re

import pexpect
import pytest

import novacron
from novacron_lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

CODES = r"(?:\x1b\[[0-9;?]*[A-Za-z])*"


@pytest.fixture
def three(lab, mended):
    """The two hosts of the lab, and one of another lab."""
    third = Lab.up(hosts=1, name=f"third-{os.getpid()}", temporary=True)
    yield [*lab.hosts, *third.hosts]
    third.down()


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A function that starts the shell with some hosts of labs as its fleet. Pages are printed with a mark."""
    environment = os.environ | {"NOVACRON_STATE": str(tmp_path), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    environment |= {"PAGER": "sed s/^/paged:/"}
    children = []

    def start(hosts):
        with novacron.Site(tmp_path) as site:
            for number, host in enumerate(hosts):
                site.fleet.add(f"h{number}", host.uri)
        child = pexpect.spawn("novacron", ["shell"], env=environment, encoding="utf-8", timeout=120, dimensions=(40, 140))
        child.delaybeforesend = None
        children.append(child)
        seen(child, "novacron>")
        return child

    yield start
    for child in children:
        child.close(force=True)


def seen(child, text):
    """Wait for a text, whatever colours and cursor movements stand between its letters."""
    child.expect(CODES.join(re.escape(letter) for letter in text))


def answered(child, expression, text):
    """Evaluate an expression and wait for its value; the echo of what is typed is no answer."""
    child.send(f"print('<' + str({expression}) + '>')\r")
    seen(child, f"<{text}>")


def echoed(child, letters="abcdefgh"):
    """Type letters one by one, each when the one before it is on the screen."""
    child.send("#")
    for letter in letters:
        child.send(letter)
        child.expect(letter)
    child.send("\x03")
    seen(child, "novacron>")


def test_a_halted_host_delays_neither_the_prompt_nor_the_others_and_returns_by_itself(three, shell):
    """All that is typed while the host is halted is echoed and answered, because it continues only afterwards."""
    *_, halted = three
    halted.freeze_daemon()
    child = shell(three)
    echoed(child)
    answered(child, "sorted(hosts)", "['h0', 'h1']")
    answered(child, "len(h1.vms.list()) >= 0", "True")
    child.send("vms['nope']\r")
    seen(child, "no answer from h2")
    halted.thaw_daemon()
    answered(child, "wait(lambda: 'h2' in hosts, timeout=50)", "True")
    halted.freeze_daemon()
    echoed(child)
    answered(child, "[len(host.vms.list()) >= 0 for host in (h0, h1)]", "[True, True]")
    child.send(":vm list\r")
    seen(child, "novacron>")
    echoed(child)
    halted.thaw_daemon()
    answered(child, "wait(lambda: not vms.unreachable and len(h2.vms.list()) == 0, timeout=50)", "True")


@pytest.fixture(scope="module")
def visited(lab_hosts, boot_shared):
    """A guest on the first host."""
    return boot_shared(lab_hosts[0], "visited")


def test_the_console_of_a_guest_is_scrolled_back_resized_and_left(lab, visited, shell):
    """A shell of the guest on its serial line says which size its terminal has."""
    child = shell(lab.hosts[:1])
    child.send(":console visited\r")
    seen(child, "attached to visited")
    child.expect("NOVACRON TICK")
    child.send("\x1cs")
    child.expect("paged:.*NOVACRON TICK")
    child.expect("NOVACRON TICK")  # the console goes on
    child.setwinsize(37, 111)
    visited.guest.exec("sh", "-c", "setsid sh </dev/console >/dev/console 2>&1 &")
    child.send("\x1cr")
    child.expect_exact("stty rows 37 cols 111")
    child.send("stty size\r")
    child.expect("37 111")
    child.send("\x1d")
    seen(child, "detached from visited")
    answered(child, "3 + 4", "7")


SLOW = "bandwidth='1MiB/s'"
QUICK = "h0.invoke('migration_tune', vm=vm.id, bandwidth=2**30, max_downtime=5.0, post_copy=False)"


def interrupted(child, answer):
    """Press Ctrl-C while a VM migrates, and answer the question."""
    child.send("\x03")
    seen(child, "[c]ancel and roll back, [d]etach, or Enter to continue?")
    child.send(answer)


def copying(child):
    """Wait until memory is copied: the bar says how much of it."""
    child.expect(r"iB(?:\x1b\[[0-9;?]*[A-Za-z])* of ")


def runs_at(child, place):
    """The guest runs on one host, and the other one does not know it."""
    answered(
        child, "[(n, h.vms[vm.id].status) for n, h in (('h0', h0), ('h1', h1)) if vm.name in h.vms]", f"[('{place}', 'running')]"
    )


def test_ctrl_c_while_a_real_guest_is_copied_waits_on_rolls_back_or_detaches(lab, visited, shell, sample):
    child = shell(lab.hosts)
    child.send(f"vm = vms['{visited.name}']; vm.migrate(h1, {SLOW})\r")
    copying(child)
    interrupted(child, "\r")
    copying(child)
    interrupted(child, "c\r")
    seen(child, "cancelled and rolled back")
    runs_at(child, "h0")
    visited.console.wait_for_more_ticks()
    if sample(True, False):
        return
    child.send(f"vm.migrate(h1, {SLOW})\r")
    copying(child)
    interrupted(child, "d\r")
    seen(child, "continues; `:jobs")
    child.send(f"{QUICK}\r")
    seen(child, "migrate visited done")
    runs_at(child, "h1")
    visited.console.wait_for_more_ticks()


def test_ctrl_c_before_and_after_the_copying_says_what_became_of_the_guest(lab, lab_hosts, boot, shell, mended, sample):
    """The destination is halted while it prepares, and while it takes the guest over; it continues after the answer."""
    child = shell(lab.hosts)
    for number in range(sample(0, 3)):
        vm = boot(lab_hosts[0], f"held-{number}")
        answered(child, "wait(lambda: 'h1' in hosts, timeout=50)", "True")
        answered(child, f"h0.vms['{vm.name}'].migration_check(h1).ok", "True")
        lab.hosts[1].freeze_daemon()
        child.send(f"vm = h0.vms['{vm.name}']; vm.migrate(h1)\r")
        seen(child, f"migrate {vm.name} ━")
        interrupted(child, "c\r")
        lab.hosts[1].thaw_daemon()
        seen(child, "cancelled and rolled back")
        runs_at(child, "h0")
        child.send(f"vm.migrate(h1, {SLOW})\r")
        copying(child)
        lab.hosts[1].freeze_daemon()
        lab_hosts[0].invoke("migration_tune", vm=vm.id, bandwidth=2**30, max_downtime=5.0, post_copy=False)
        child.expect(r"9\d%|100%")
        interrupted(child, "c\r")
        lab.hosts[1].thaw_daemon()
        child.expect("rolled back")
        answered(child, "sum(vm.name in host.vms for host in (h0, h1))", "1")
        vm.console.wait_for_more_ticks()
        vm.delete(force=True) if vm.name in lab_hosts[0].vms else lab_hosts[1].vms[vm.id].delete(force=True)
