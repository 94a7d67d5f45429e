"""The serial console in a terminal: detach, scroll back, and the size of the guest's terminal."""

import os

import pexpect
import pytest

from novacron_shell.terminal_console import Scrollback


@pytest.fixture
def console(tmp_path):
    """The console of a simulated VM, which repeats what is typed, within the shell; the pager prints everything."""
    environment = os.environ | {"NOVACRON_STATE": str(tmp_path), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    environment |= {"PAGER": "sed s/^/paged:/", "COLUMNS": "80", "LINES": "24"}
    command = ["shell", "--quiet", "-c", "sim://console?vms=1"]
    child = pexpect.spawn("novacron", command, env=environment, encoding="utf-8", timeout=60, dimensions=(33, 117))
    child.send(":console vm-00001 --log console.log\r")
    child.expect("attached to vm-00001.*terminal's size\r\n")
    yield child
    child.close(force=True)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_output_is_scrolled_back_to_and_the_console_goes_on(console, tmp_path):
    console.send("first line\r")
    console.expect("first line")
    console.send("\x1c")
    console.expect_exact("[s]croll back")
    console.send("s")
    console.expect("paged:.*first line")
    console.send("second\x1c")
    console.expect_exact("[s]croll back")
    console.send("\rthird")  # at once
    console.expect("third")
    console.send("\x1c")
    console.expect_exact("[s]croll back")
    console.send("sfourth")
    console.expect("paged:.*third")
    console.expect("fourth")
    console.send("\x1d")
    console.expect("detached from vm-00001")
    console.send("print('back', 3 + 4)\r")
    console.expect("back 7")
    assert b"first line" in (tmp_path / "console.log").read_bytes()


def test_the_size_of_the_terminal_is_typed_when_it_is_asked_for(console):
    console.setwinsize(41, 99)
    console.send("\x1cr")
    console.expect_exact("[r]esize: type `stty rows 41 cols 99`")
    console.expect_exact("stty rows 41 cols 99\r")
    console.send("\x1c\x1c")
    console.expect_exact("\x1c")
    console.send("\x1cd")
    console.expect("detached from vm-00001")


def test_scroll_back_keeps_the_latest_output_without_control_sequences():
    kept = Scrollback(most=10)
    for number in range(9):
        kept.add(b"%d\r\n" % number)
    assert kept.text() == "6\n7\n8\n"
    evil = Scrollback()
    for part in (b"\x1b]0;title\x07a\x1b[2J\x1b[1;31mb\x1b[0m\x1bc\r\n", b"\xff\x00\x9b2J\n", "é\x1b".encode(), b"[31", b"m!"):
        evil.add(part)
    assert evil.text() == "ab\n\ufffd\\x00\ufffd2J\né!"
