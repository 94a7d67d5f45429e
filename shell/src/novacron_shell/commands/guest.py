"""`novacron guest`: the guest inside a VM, through its agent."""

from __future__ import annotations

import sys
from typing import Any

import click

from novacron.errors import NotFoundError
from novacron_shell.completion import vm_argument
from novacron_shell.options import DURATION, Settings, TextFile, common_options, common_options_beside_timeout, list_options
from novacron_shell.output import show_many, show_one, tell, write, write_bytes


@click.group("guest")
def guest() -> None:
    """The guest operating system of a VM, through its agent."""


@guest.command("info")
@vm_argument
@common_options
def info(settings: Settings, vm: str) -> None:
    """Show the host name, operating system and addresses of the guest of VM."""
    show_one(settings.vm(vm).guest.info(), settings.output)


@guest.command("exec", context_settings={"ignore_unknown_options": True})
@vm_argument
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--timeout", default="60s", show_default=True, help="Maximum run time.")
@click.option("--stdin", is_flag=True, help="Pass the standard input of this command to the program.")
@common_options_beside_timeout
def exec_(settings: Settings, vm: str, argv: tuple[str, ...], timeout: str, stdin: bool) -> None:
    """Run a program in the guest, without a shell: novacron guest exec VM -- CMD ...

    The exit code of this command is the exit status of the program."""
    result = settings.vm(vm).guest.exec(*argv, stdin=sys.stdin.buffer.read() if stdin else b"", timeout=timeout)
    write_bytes(result.stdout)
    write_bytes(result.stderr, error=True)
    if result.truncated:
        tell("the output was truncated by the guest agent")
    raise click.exceptions.Exit(result.exit_status)


@guest.command("read")
@vm_argument
@click.argument("path")
@common_options
def read(settings: Settings, vm: str, path: str) -> None:
    """Print the content of the file PATH in the guest."""
    write_bytes(settings.vm(vm).guest.read(path))


@guest.command("write")
@vm_argument
@click.argument("path")
@click.argument("file", type=click.File("rb"))
@common_options
def write_file(settings: Settings, vm: str, path: str, file: Any) -> None:
    """Write FILE (- is stdin) to PATH in the guest."""
    settings.vm(vm).guest.write(path, file.read())


@guest.command("password")
@vm_argument
@click.argument("user")
@common_options
def password(settings: Settings, vm: str, user: str) -> None:
    """Set the password of USER in the guest. The password is prompted for, or read from a pipe."""
    given = (
        click.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
        if sys.stdin.isatty()
        else sys.stdin.readline()
    )
    settings.vm(vm).guest.set_password(user, given.rstrip("\n"))
    tell(f"{user} has the new password")


@guest.command("keys")
@vm_argument
@click.argument("user")
@click.argument("file", type=TextFile())
@common_options
def keys(settings: Settings, vm: str, user: str, file: Any) -> None:
    """Replace the authorized SSH keys of USER with the public keys in FILE."""
    lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    settings.vm(vm).guest.set_ssh_keys(user, lines)
    tell(f"{len(lines)} keys may log in as {user}")


def _verb(verb: str, text: str) -> None:
    @guest.command(verb, help=text)
    @vm_argument
    @common_options
    def do(settings: Settings, vm: str) -> None:
        getattr(settings.vm(vm).guest, verb)()


_verb("freeze", "Freeze the guest's file systems. Thaw them with `novacron guest thaw`.")
_verb("thaw", "Thaw the guest's file systems.")


@click.command("ip")
@vm_argument
@click.option("-4", "version", flag_value=4, type=int, help="IPv4 addresses only.")
@click.option("-6", "version", flag_value=6, type=int, help="IPv6 addresses only.")
@click.option("--source", is_flag=True, help="Also show where each address was found, and the NIC's MAC address.")
@click.option("--wait", "patience", type=DURATION, metavar="DURATION", help="Wait until there is an address.")
@list_options
def ip(settings: Settings, vm: str, version: int | None, source: bool, patience: float | None) -> None:
    """Print the IP addresses of VM, one a line. Ends with exit code 13 when there is none."""
    handle = settings.vm(vm)
    if patience:
        handle.wait_for("ip", timeout=patience)
    found = handle.addresses(version)
    if source or settings.output != "table":
        show_many(found, {"address": "address", "source": "source", "mac": "mac"}, settings.output)
    else:
        for each in found:
            write(each.address)
    if not found:
        raise NotFoundError(f"{handle.name!r} has no known address", resource=handle.name, hint="give it time with --wait 5m")


COMMANDS = {"guest": guest}
VM_COMMANDS = {"ip": ip}
