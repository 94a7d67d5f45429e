"""The shell in a small, changing and hostile terminal: it never dies and leaves the terminal as it was."""

import itertools
import os
import random
import re
import termios
import time

import pexpect
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st


def started(state):
    """A shell within `sh`, so that the terminal can be looked at after its end."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NOVACRON_")}
    environment |= {"NOVACRON_STATE": str(state), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    environment |= {"EDITOR": "true", "VISUAL": "true"}  # random keys also call the editor, which must end
    child = pexpect.spawn(
        "sh", env=environment, encoding="utf-8", codec_errors="replace", timeout=120, dimensions=(12, 40), cwd=state
    )
    child.before_mode = termios.tcgetattr(child.child_fd)
    child.sendline("novacron shell -c 'sim://small?vms=3'; echo left=$?")
    child.expect("novacron>")
    return child


@pytest.fixture
def shell(tmp_path):
    child = started(tmp_path)
    yield child
    child.close(force=True)


def leaves(child):
    """End the shell at an empty prompt; the terminal is as it was before."""
    child.send("\x03")
    child.send("exit()\r")
    child.expect("left=0")
    assert termios.tcgetattr(child.child_fd)[:4] == child.before_mode[:4]


def answers(child, number):
    """Clear the input, type an expression and wait for its value: the shell is alive."""
    child.send("\x03")
    child.send(f"print({number} * 1000 + 7)\r")
    child.expect(re.escape(f"{number}007"))


def text_of(file):
    return file.read_text() if file.exists() else ""


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


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


def test_what_is_typed_while_the_history_closes_is_read_at_once(shell):
    answers(shell, 1)
    shell.send("\x1bOR")
    shell.expect("History browser")
    shell.send("\x03print(7 * 1001)\r")
    shell.expect("7007")
    leaves(shell)


def test_keys_typed_at_once_go_to_the_screen_that_the_key_before_them_opened(shell):
    """F3 opens the history, Ctrl-C closes it and then clears the line, whatever arrives in the same moment."""
    answers(shell, 1)
    shell.send("lost\x1bOR\x03\x03print(7 * 1002)\r")
    shell.expect("7014")
    shell.send("lost\x1bOR\x1bOR\x1bOR\x03 = 1; print(7 * 1003)\r")
    shell.expect("7021")
    shell.send("lost\x1bOQ\x1bOR\x03\x03print(7 * 1004)\r")  # from the menu
    shell.expect("7028")
    for number in range(5):
        shell.send(f"vm-0\x03vm-1\x03\x03vm-2\x03print(7 * 100{number})\r")
        shell.expect(str(7 * (1000 + number)))
    leaves(shell)


def test_ctrl_z_after_top_stops_the_shell(shell):
    """The library that draws `top` would otherwise answer the signals of the terminal from then on, with tracebacks."""
    shell.send(":top\r")
    shell.expect("Quit")
    shell.send("q")
    shell.expect("novacron>")
    answers(shell, 1)
    shell.expect("novacron>")  # a key that comes before the prompt is the terminal's, not the prompt's
    shell.send("\x1a")
    shell.expect("Stopped")
    assert "Traceback" not in shell.before


def test_a_line_chosen_from_the_history_is_edited_at_the_prompt(shell):
    answers(shell, 4)
    shell.send("\x1bOR")
    shell.expect("History browser")
    shell.send(" \r; print(4 * 1001)\r")
    shell.expect("4004")
    leaves(shell)


def test_ctrl_c_also_discards_the_lines_that_were_pasted_after_the_one_that_runs(shell):
    answers(shell, 1)
    shell.send("import time; print('begun', 3 + 4); time.sleep(100)\rprint('unwanted', 1 + 1)\r")
    shell.expect("begun 7")
    shell.send("\x03")
    shell.expect("interrupted")
    answers(shell, 2)
    assert "unwanted 2" not in shell.before
    leaves(shell)


def test_commands_that_fail_in_any_way_leave_the_shell_and_its_terminal_usable(shell):
    for line in (":vm nope", ":vm show nope", ":shell", "!exit 4", "1/0", "vms['nope']", ":time", ":"):
        shell.send(line + "\r")
    answers(shell, 5)
    shell.send("\x04")
    shell.expect("left=0")
    assert termios.tcgetattr(shell.child_fd)[:4] == shell.before_mode[:4]


KEYS = (  # arrows, words, kill, yank, undo, search, literal character, menu, history, vi or emacs, clear, interrupt
    "\x1b[A",
    "\x1b[B",
    "\x1b[C",
    "\x1b[D",
    "\x01",
    "\x05",
    "\t",
    "\x1b[Z",
    "\x7f",
    "\x1b[3~",
    "\x0b",
    "\x17",
    "\x19",
    "\x1f",
    "\x1bb",
    "\x1bf",
    "\x12",
    "\x1b",
    "\r",
    "\x1b\r",
    "\x1bOQ",
    "\x1bOR",
    "\x1bOS",
    "\x0c",
    "\x03",
    "\x00",
    "\x16",
)
PIECES = (
    "vms",
    'vms["',
    "vm-0",
    ":vm list ",
    ":",
    "!true",
    "?",
    "(",
    "[",
    "{",
    "'",
    '"""',
    "\\",
    "#",
    "1/0",
    "def f(",
    "await ",
    "名前😀",
    "\x07",
)
pasted = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=20)), max_size=8).map(
    lambda parts: "\x1b[200~" + "\n".join(parts).replace("\x1b", "") + "\x1b[201~"
)
edits = st.one_of(
    st.sampled_from(KEYS),
    st.sampled_from(PIECES),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8),
    pasted,
    st.tuples(st.integers(3, 50), st.integers(10, 200)),
    st.just("\x03"),
)


def test_edits_pastes_and_interrupts_never_end_the_shell(shell, sample):
    """What is sent is random; afterwards the shell evaluates a line, and at the end the terminal is as it was."""
    number = itertools.count(2)

    @settings(
        max_examples=sample(12, 1000),
        deadline=None,
        database=None,
        derandomize=not sample(0, 1),
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(edits, min_size=1, max_size=4))
    def edited(some):
        for each in some:
            if isinstance(each, tuple):
                shell.setwinsize(*each)
            else:
                shell.send(each)
        shell.send("\x03\x03\x03")  # for a literal character, for the menu or the history, for the line
        answers(shell, next(number))

    edited()
    shell.setwinsize(24, 80)
    answers(shell, 1)
    leaves(shell)


def test_two_terminals_at_once_keep_what_both_typed(shell, tmp_path):
    """They share the state directory: history of the host, aliases, configuration."""
    other = started(tmp_path)
    for number in range(3):
        answers(shell, 100 + number)
        answers(other, 200 + number)
    for child, alias, number in ((shell, "mine", 300), (other, "yours", 400)):
        child.send(f":alias {alias} vm list -o name\r")
        until(lambda alias=alias: alias in text_of(tmp_path / "shell.toml"))  # the Ctrl-C of `answers` would interrupt it
        answers(child, number)
    leaves(shell)
    answers(other, 401)
    leaves(other)
    other.close()
    lines = [line[1:] for line in (tmp_path / "history-sim-small-vms-3").read_text().splitlines() if line.startswith("+")]
    assert {f"print({number} * 1000 + 7)" for number in (100, 101, 102, 200, 201, 202, 300, 400, 401)} <= set(lines)
    assert {"mine", "yours"} <= set(re.findall(r"\w+", text_of(tmp_path / "shell.toml")))
