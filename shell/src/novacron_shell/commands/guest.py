"""`novacron guest`: the guest inside a VM, through its agent."""

from __future__ import annotations

import sys
from typing import Any

import click

from novacron.errors import NotFoundError
from novacron_shell.bulk import Bulk, each_vm, each_vm_beside_timeout, each_vm_of_list
from novacron_shell.completion import vm_argument
from novacron_shell.groups import CommandGroup
from novacron_shell.options import DURATION, Settings, TextFile, common_options
from novacron_shell.output import Columns, tell, write, write_bytes


@click.group("guest", cls=CommandGroup)
def guest() -> None:
    """The guest operating system of a VM, through its agent."""


@guest.command("info")
@each_vm
def info(bulk: Bulk) -> None:
    """Show the host name, operating system and addresses of the guest of VM."""
    bulk.show(lambda vm: vm.guest.info())


@guest.command("exec", context_settings={"ignore_unknown_options": True})
@each_vm_beside_timeout
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--timeout", default="60s", show_default=True, help="Maximum run time.")
@click.option("--stdin", is_flag=True, help="Pass the standard input of this command to the program.")
def exec_(bulk: Bulk, argv: tuple[str, ...], timeout: str, stdin: bool) -> None:
    """Run a program in the guest, without a shell: novacron guest exec VM -- CMD ...

    The exit code of this command is the exit status of the program; of several VMs the largest one.
    Output of several VMs has the VM's name before each line."""
    data = sys.stdin.buffer.read() if stdin else b""
    answers = bulk.read(lambda vm: vm.guest.exec(*argv, stdin=data, timeout=timeout))
    for vm, result in answers:
        write_bytes(result.stdout if bulk.single else _labelled(vm.name, result.stdout))
        write_bytes(result.stderr if bulk.single else _labelled(vm.name, result.stderr), error=True)
        if result.truncated:
            tell(f"the output of {vm.name} was truncated by the guest agent")
    if status := max((result.exit_status for _, result in answers), default=0):
        raise click.exceptions.Exit(status)
    bulk.end()


def _labelled(name: str, output: bytes) -> bytes:
    """Return output whose lines begin with a name."""
    return b"".join(name.encode() + b": " + line + b"\n" for line in output.splitlines())


@guest.command("read")
@vm_argument
@click.argument("path")
@common_options
def read(settings: Settings, vm: str, path: str) -> None:
    """Print the content of the file PATH in the guest."""
    write_bytes(settings.vm(vm).guest.read(path))


@guest.command("write")
@each_vm
@click.argument("path")
@click.argument("file", type=click.File("rb"))
def write_file(bulk: Bulk, path: str, file: Any) -> None:
    """Write FILE (- is stdin) to PATH in the guest."""
    data = file.read()
    bulk.do(f"write {path}", lambda vm: vm.guest.write(path, data), _quiet)


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
@each_vm
@click.argument("user")
@click.argument("file", type=TextFile())
def keys(bulk: Bulk, user: str, file: Any) -> None:
    """Replace the authorized SSH keys of USER with the public keys in FILE."""
    lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]

    def said(_: Any, output: str) -> None:
        tell(f"{len(lines)} keys may log in as {user}")

    bulk.do(f"set the keys of {user}", lambda vm: vm.guest.set_ssh_keys(user, lines), said)


def _quiet(result: Any, output: str) -> None:
    """Print nothing."""


def _verb(verb: str, text: str) -> None:
    @guest.command(verb, help=text)
    @each_vm
    def do(bulk: Bulk) -> None:
        bulk.do(verb, lambda vm: getattr(vm.guest, verb)(), _quiet)


_verb("freeze", "Freeze the guest's file systems. Thaw them with `novacron guest thaw`.")
_verb("thaw", "Thaw the guest's file systems.")


@click.command("ip")
@each_vm_of_list
@click.option("-4", "version", flag_value=4, type=int, help="IPv4 addresses only.")
@click.option("-6", "version", flag_value=6, type=int, help="IPv6 addresses only.")
@click.option("--source", is_flag=True, help="Also show where each address was found, and the NIC's MAC address.")
@click.option("--wait", "patience", type=DURATION, metavar="DURATION", help="Wait until there is an address.")
def ip(bulk: Bulk, version: int | None, source: bool, patience: float | None) -> None:
    """Print the IP addresses of VM, one a line; of several VMs with their names. Ends with exit code 13 when there is none."""

    def found(vm: Any) -> list[Any]:
        if patience:
            vm.wait_for("ip", timeout=patience)
        addresses: list[Any] = vm.addresses(version)
        if not addresses:
            raise NotFoundError(f"{vm.name!r} has no known address", resource=vm.name, hint="give it time with --wait 5m")
        return addresses

    if bulk.single and not source and bulk.output == "table":
        for each in bulk.read(found)[0][1]:
            write(each.address)
    else:
        more: Columns = {"source": "source", "mac": "mac"} if source or bulk.output != "table" else {}
        bulk.show_lists(found, {"address": "address", **more})


COMMANDS = {"guest": guest}
VM_COMMANDS = {"ip": ip}
