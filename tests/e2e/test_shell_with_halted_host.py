"""The interactive shell in a terminal with three real hosts, of which one is halted: at the start, in the middle, and back."""

import os
import re

import pexpect
import pytest

import novacron
from novacron_lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

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
        child = pexpect.spawn("novacron", ["shell"], env=environment, encoding="utf-8", timeout=60, dimensions=(40, 140))
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
    child = shell()
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
