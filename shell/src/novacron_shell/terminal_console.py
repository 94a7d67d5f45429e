"""A serial console in this terminal: what the guest says is printed, what is typed is sent."""

from __future__ import annotations

import os
import re
import select
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, TYPE_CHECKING

import click

from novacron.errors import NovaCronError
from novacron.text import printable
from novacron_shell.output import tell

if TYPE_CHECKING:
    from novacron.hookspecs.console import Console

UsualMode = Callable[[], AbstractContextManager[None]]
"""Returns a context manager in which the terminal is as it was before the console."""

DETACH, MENU = b"\x1d", b"\x1c"
"""Ctrl-], as telnet and virsh use it, and Ctrl-\\."""
KEYS = re.compile(rb"([\x1c\x1d])")
KEPT = 1 << 20
"""Bytes of output that can be scrolled back to."""
CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|\x07")


class Scrollback:
    r"""The last output of a console.

    Args:
        most: bytes to keep.

    Example:
        >>> kept = Scrollback()
        >>> kept.add(b"\x1b[1mlogin:\x1b[0m root\r\nloading 1%\rloading 2%\r\n")
        >>> kept.text()
        'login: root\nloading 2%\n'
    """

    def __init__(self, most: int = KEPT) -> None:
        self._most, self._size = most, 0
        self._parts: deque[bytes] = deque()

    def add(self, data: bytes) -> None:
        """Keep more output. The oldest is dropped when it is too much."""
        self._parts.append(data)
        self._size += len(data)
        while self._size > self._most and len(self._parts) > 1:
            self._size -= len(self._parts.popleft())

    def text(self) -> str:
        """Return it as lines, without colours and cursor movements."""
        text = CONTROL_SEQUENCE.sub("", b"".join(self._parts).decode(errors="replace")).replace("\r\n", "\n")
        return printable("\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")))


class TerminalConsole:
    """Connects an open console with the terminal.

    Args:
        opened: the console.
        log: a file that the output is also written to.
    """

    def __init__(self, opened: Console, log: IO[bytes] | None = None) -> None:
        self._opened, self._log = opened, log
        self._ended, self._shown = threading.Event(), threading.Lock()
        self._scrollback = Scrollback()

    def run(self, greeting: str) -> None:
        """Return when the user detaches, or when the input or the console ends. Without a terminal, standard input is sent as it is.

        Args:
            greeting: a line for the user, written when each key reaches the console: before that, Ctrl-\\ would end this process.
        """
        printing = threading.Thread(target=self._print, name="novacron-console", daemon=True)
        try:
            if sys.stdin.isatty():
                with _raw_mode() as usual_mode:
                    print(printable(greeting), end="\r\n", file=sys.stderr, flush=True)
                    printing.start()
                    self._type(usual_mode)
            else:
                tell(greeting)
                printing.start()
                self._send_all()
        finally:
            self._ended.set()

    def _print(self) -> None:
        try:
            while not self._ended.is_set():
                if data := self._opened.read(0.2):
                    self._scrollback.add(data)
                    if self._log is not None:
                        self._log.write(data)
                    with self._shown:  # not while the menu is on the screen
                        os.write(1, data)
        except (NovaCronError, OSError, ValueError) as error:
            if not self._ended.is_set():
                tell(f"the console ended: {error}")
        self._ended.set()

    def _send_all(self) -> None:
        while not self._ended.is_set() and (data := os.read(0, 4096)):
            self._opened.write(data)
        self._ended.wait(1.0)  # let the answer come

    def _type(self, usual_mode: UsualMode) -> None:
        keys = self._keys()
        for typed in keys:
            if typed == DETACH:
                return
            if typed != MENU:
                self._opened.write(typed)
            elif self._menu(keys, usual_mode):
                return

    def _keys(self) -> Iterator[bytes]:
        """Yield what is typed, the two keys apart from the rest, until the console or the input ends."""
        while not self._ended.is_set():
            if select.select([0], [], [], 0.2)[0]:
                data = os.read(0, 4096)
                if not data:
                    return
                yield from filter(None, KEYS.split(data))

    def _menu(self, keys: Iterator[bytes], usual_mode: UsualMode) -> bool:
        """Ask what to do, do it, and return whether to detach. Output of the guest waits until then."""
        columns, rows = os.get_terminal_size(0)  # of the terminal itself, whatever COLUMNS and LINES say
        resize = f"stty rows {rows} cols {columns}"
        with self._shown:
            os.write(1, f"\r\n[s]croll back, [r]esize: type `{resize}`, [d]etach, Ctrl-\\: send it, Enter: continue ".encode())
            choice = next(keys, DETACH)
            os.write(1, b"\r\n")
            if choice[:1] == b"s":
                with usual_mode():
                    click.echo_via_pager(self._scrollback.text())
            elif choice[:1] == b"r":
                self._opened.write(f" {resize}\r".encode())
            elif choice == MENU:
                self._opened.write(MENU)
            if len(choice) > 1 and choice[:1] in (b"s", b"r", b"\r"):
                self._opened.write(choice[1:])  # typed so quickly that it was read together with the answer
        return choice[:1] in (b"d", DETACH)


@contextmanager
def _raw_mode() -> Iterator[UsualMode]:
    """Let every key reach the guest, Ctrl-C too."""
    import termios
    import tty

    before = termios.tcgetattr(0)

    @contextmanager
    def usual_mode() -> Iterator[None]:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        try:
            yield
        finally:
            tty.setraw(0)

    try:
        tty.setraw(0)
        yield usual_mode
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


__all__ = ["Scrollback", "TerminalConsole"]
