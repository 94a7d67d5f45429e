"""`novacron console`: the serial console in this terminal. `novacron screenshot` and `viewer`: the display."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NoReturn

import click

from novacron.text import printable
from novacron.threads import SLICE
from novacron_shell.commands.ssh import run
from novacron_shell.completion import vm_argument
from novacron_shell.options import Settings, common_options
from novacron_shell.output import show_one, tell, write


@click.command("console")
@vm_argument
@click.option("--force", is_flag=True, help="Take the console from whoever has it.")
@click.option("--log", type=click.Path(dir_okay=False), help="Also append the output to this file.")
@common_options
def console(settings: Settings, vm: str, force: bool, log: str | None) -> None:
    """Attach to the serial console of VM. Ctrl-] detaches; the VM runs on.

    Ctrl-\\ shows what was printed since then in the pager, or sets the size of the guest's terminal to the size of this one; a serial line
    can't tell the guest by itself. The guest controls the terminal while attached. Without a terminal, standard input is sent and the
    output is printed until it ends.
    """
    from novacron_shell.terminal_console import TerminalConsole

    handle = settings.vm(vm)
    with ExitStack() as stack:
        opened = stack.enter_context(closing(handle.console(force=force)))
        written = stack.enter_context(open(log, "ab", buffering=0)) if log else None
        keys = "Ctrl-] detaches, Ctrl-\\ scrolls back and sets the terminal's size"
        TerminalConsole(opened, written).run(f"attached to {handle.name} on {handle.host.name}; {keys}")
    tell(f"detached from {handle.name}")


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
@click.option("--web", is_flag=True, help="Print the address of a page for a browser (noVNC). It works until Ctrl-C.")
@common_options
def viewer(settings: Settings, vm: str, show: bool, web: bool) -> None:
    """Open the display of VM (VNC or SPICE) with remote-viewer of the package virt-viewer.

    The display of a host that is added by qemu+ssh:// goes through SSH. Without remote-viewer, and with --print, the URL is printed; a URL
    that goes through SSH works until Ctrl-C. On vSphere the URL is a web socket for a WebMKS client, good for one use within half a minute.

    --web needs noVNC (the package novnc) and `pip install 'novacron-shell[web]'`.
    """
    from novacron.handles.displays import display_url, through_ssh

    handle = settings.vm(vm)
    with display_url(handle) as url:
        if web:
            _serve(url, handle.name)
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
            _until_interrupted()


def _serve(url: str, name: str) -> NoReturn:
    """Serve a display to a browser on this machine, until Ctrl-C."""
    from novacron_shell.web_viewer import web_page

    with web_page(url, title=name) as page:
        write(page)
        sys.stdout.flush()
        tell("open this address in a browser on this machine; Ctrl-C ends it")
        _until_interrupted()


def _until_interrupted() -> NoReturn:
    while True:
        time.sleep(SLICE)


COMMANDS = {"console": console, "screenshot": screenshot, "send-key": send_key, "viewer": viewer}
