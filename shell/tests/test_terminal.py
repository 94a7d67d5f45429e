"""The shell in a small, changing and hostile terminal: it never dies and leaves the terminal as it was."""

import os
import random
import re
import termios

import pexpect
import pytest


@pytest.fixture
def shell(tmp_path):
    """A shell within `sh`, so that the terminal can be looked at after its end."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NOVACRON_")}
    environment |= {"NOVACRON_STATE": str(tmp_path), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    child = pexpect.spawn("sh", env=environment, encoding="utf-8", codec_errors="replace", timeout=120, dimensions=(12, 40))
    child.before_mode = termios.tcgetattr(child.child_fd)
    child.sendline("novacron shell -c 'sim://small?vms=3'; echo left=$?")
    child.expect("novacron>")
    yield child
    child.close(force=True)


def answers(child, number):
    """Clear the input, type an expression and wait for its value: the shell is alive."""
    child.send("\x03")
    child.send(f"print({number} * 1000 + 7)\r")
    child.expect(re.escape(f"{number}007"))


GARBAGE = [
    "\x1b[200~def f(:\n  x = [[[\n\x00\x01\x02 '''\n\x1b[201~",
    "\x1b[200~" + "名前é😀" * 50 + "\x1b[201~",
    "\x1b[200~:vm list '\n:nope\n!\x1b[201~",
    "\x1b[200~" + "x" * 3000 + "\x1b[201~",
    "\x1b[A\x1b[B\x1b[C\x1b[D\x1b[Z\x1b[99~\x1bOP",
    "\t\t\t\x08\x08\x7f\x17\x15",
]


def test_forty_columns_resizing_and_garbage_do_not_end_the_shell(shell, sample):
    answers(shell, 1)
    shell.send("vms\r")
    shell.expect("vm-00003")
    chooser = random.Random(7)
    for number in range(sample(len(GARBAGE), 200)):
        shell.send(GARBAGE[number] if number < len(GARBAGE) else chooser.choice(GARBAGE) + chr(chooser.randrange(32, 1000)))
        shell.setwinsize(chooser.randrange(3, 50), chooser.randrange(10, 200))
        answers(shell, number + 2)
    shell.setwinsize(24, 80)
    answers(shell, 999)
    shell.send("\x03\x04")
    shell.expect("left=0")
    assert termios.tcgetattr(shell.child_fd)[:4] == shell.before_mode[:4]


def test_commands_that_fail_in_any_way_leave_the_shell_and_its_terminal_usable(shell):
    for line in (":vm nope", ":vm show nope", ":shell", "!exit 4", "1/0", "vms['nope']", ":time", ":"):
        shell.send(line + "\r")
    answers(shell, 5)
    shell.send("\x04")
    shell.expect("left=0")
    assert termios.tcgetattr(shell.child_fd)[:4] == shell.before_mode[:4]
