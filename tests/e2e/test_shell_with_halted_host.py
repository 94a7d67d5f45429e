"""The interactive shell in a terminal with three real hosts, of which one is halted: at the start, in the middle, and back."""

import os
import re
import time

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
def shell(three, tmp_path):
    """A function that starts the shell with these hosts in its fleet."""
    environment = os.environ | {"NOVACRON_STATE": str(tmp_path), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    with novacron.Site(tmp_path) as site:
        for number, host in enumerate(three):
            site.fleet.add(f"h{number}", host.uri)
    children = []

    def start():
        child = pexpect.spawn("novacron", ["shell"], env=environment, encoding="utf-8", timeout=120, dimensions=(40, 140))
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


def longest_wait(child, letters="abcdefghijklmnopqrstuvwxyz"):
    """Type letters, and return the most seconds that the terminal took to echo one."""
    took = []
    child.send("#")
    for letter in letters:
        began = time.perf_counter()
        child.send(letter)
        child.expect(letter)
        took.append(time.perf_counter() - began)
    child.send("\x03")
    seen(child, "novacron>")
    return max(took)


def test_a_halted_host_delays_neither_the_prompt_nor_the_others_and_returns_by_itself(three, shell, capsys):
    """All that is typed while the host is halted is echoed and answered, because it continues only afterwards."""
    *_, halted = three
    halted.freeze_daemon()
    child = shell()
    answered(child, "sorted(hosts)", "['h0', 'h1']")
    at_start = longest_wait(child)
    answered(child, "h1.info().name", "h1")
    child.send("vms['nope']\r")
    seen(child, "no answer from h2")
    halted.thaw_daemon()
    answered(child, "wait(lambda: 'h2' in hosts, timeout=100)", "True")
    undisturbed = longest_wait(child)
    halted.freeze_daemon()
    in_the_middle = longest_wait(child)
    answered(child, "[host.info().name for host in (h0, h1)]", "['h0', 'h1']")
    child.send(":vm list\r")
    seen(child, "h2")
    halted.thaw_daemon()
    answered(child, "wait(lambda: not vms.unreachable and len(h2.vms.list()) == 0, timeout=100)", "True")
    with capsys.disabled():
        print(f"echo at most: {undisturbed:.3f} s, one halted at the start {at_start:.3f} s, later {in_the_middle:.3f} s")
