"""`novacron console`: the serial console in this terminal. `novacron screenshot` and `viewer`: the display."""

from __future__ import annotations

import os
import select
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import click

from novacron.text import printable
from novacron_shell.commands.ssh import run
from novacron_shell.completion import vm_argument
from novacron_shell.options import Settings, common_options
from novacron_shell.output import show_one, tell, write

DETACH = b"\x1d"
"""Ctrl-], as telnet and virsh use it."""


@click.command("console")
@vm_argument
@click.option("--force", is_flag=True, help="Take the console from whoever has it.")
@click.option("--log", type=click.Path(dir_okay=False), help="Also append the output to this file.")
@common_options
def console(settings: Settings, vm: str, force: bool, log: str | None) -> None:
    """Attach to the serial console of VM. Ctrl-] detaches; the VM runs on.

    The guest controls the terminal while attached. Without a terminal, standard input is sent and the output is printed until it ends.
    """
    handle = settings.vm(vm)
    opened = handle.console(force=force)
    tell(f"attached to {handle.name} on {handle.host.name}; Ctrl-] detaches")
    written = open(log, "ab", buffering=0) if log else None  # noqa: SIM115 - closed below
    ended = threading.Event()
    try:
        threading.Thread(target=_print, args=(opened, written, ended), name="novacron-console", daemon=True).start()
        _type(opened, ended)
    finally:
        ended.set()
        opened.close()
        if written is not None:
            written.close()
    tell(f"detached from {handle.name}")


def _print(opened: Any, log: Any, ended: threading.Event) -> None:
    from novacron.errors import NovaCronError

    try:
        while not ended.is_set():
            data = opened.read(0.2)
            if data:
                os.write(1, data)
                if log is not None:
                    log.write(data)
    except (NovaCronError, OSError, ValueError) as error:
        if not ended.is_set():
            tell(f"the console ended: {error}")
    ended.set()


def _type(opened: Any, ended: threading.Event) -> None:
    """Send what is typed until Ctrl-], the end of input, or the end of the console."""
    if not sys.stdin.isatty():
        while not ended.is_set() and (data := os.read(0, 4096)):
            opened.write(data)
        ended.wait(1.0)  # let the answer come
        return
    import termios
    import tty

    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        while not ended.is_set():
            if not select.select([0], [], [], 0.2)[0]:
                continue
            data, found, _ = os.read(0, 4096).partition(DETACH)
            if data:
                opened.write(data)
            if found:
                return
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


@click.command("screenshot")
@vm_argument
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@common_options
def screenshot(settings: Settings, vm: str, file: Path) -> None:
    """Save a picture of the first display of VM in FILE, which must not exist. The format is the hypervisor's (PNG or PPM)."""
    from novacron.handles.files import new_file

    picture = settings.vm(vm).screenshot()
    with new_file(file) as target:
        target.write(picture.data)
    if settings.output in ("table", "wide"):
        tell(f"{file}: {picture.mime_type}, {len(picture.data)} bytes")
    else:
        show_one(picture, settings.output)


@click.command("send-key")
@vm_argument
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--text", help="Type this text on a US keyboard, after KEY.")
@click.option("--enter", is_flag=True, help="Press enter at the end.")
@common_options
def send_key(settings: Settings, vm: str, keys: tuple[str, ...], text: str | None, enter: bool) -> None:
    """Press keys of the keyboard of VM: novacron send-key web1 ctrl-alt-delete

    KEY is a name such as f2, enter, esc, up or a; modifiers stand before it: ctrl-c, shift-tab, alt-f1.
    """
    from novacron.keys import combinations_of

    pressed = [*keys, *combinations_of(text or ""), *(["enter"] if enter else [])]
    if not pressed:
        raise click.UsageError("name a key, or give --text")
    settings.vm(vm).send_keys(*pressed)


@click.command("viewer")
@vm_argument
@click.option("--print", "show", is_flag=True, help="Print the URL, and start no viewer.")
@common_options
def viewer(settings: Settings, vm: str, show: bool) -> None:
    """Open the display of VM (VNC or SPICE) with remote-viewer of the package virt-viewer.

    The display of a host that is added by qemu+ssh:// goes through SSH. Without remote-viewer, and with --print, the URL is printed; a URL
    that goes through SSH works until Ctrl-C. On vSphere the URL is a web socket for a WebMKS client, good for one use within half a minute.
    """
    from novacron.handles.displays import display_url, through_ssh

    handle = settings.vm(vm)
    with display_url(handle) as url:
        program = None if show or url.startswith("wss:") else shutil.which("remote-viewer")
        if program is not None:
            tell(f"{handle.name}: {url}")
            code = run([program, "--title", printable(handle.name), "--", url])
            raise click.exceptions.Exit(code)
        write(url)
        if not show and not url.startswith("wss:"):
            tell("remote-viewer is not installed: install virt-viewer, or open this URL in another viewer")
        if through_ssh(handle):
            tell("Ctrl-C closes the connection through SSH")
            threading.Event().wait()


COMMANDS = {"console": console, "screenshot": screenshot, "send-key": send_key, "viewer": viewer}
