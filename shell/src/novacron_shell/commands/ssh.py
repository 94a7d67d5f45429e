"""`novacron ssh`, `cp` and `ssh-config`: log in to VMs with OpenSSH, and copy files."""

from __future__ import annotations

import functools
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from novacron.errors import NotFoundError, NovaCronError
from novacron_shell.completion import complete_vms
from novacron_shell.first_boot import own_identity
from novacron_shell.options import DURATION, Settings, common_options
from novacron_shell.output import tell, write

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle
    from novacron.ssh.target import SSHTarget


class Connection(NamedTuple):
    """What the options of SSH say."""

    user: str | None
    address: str | None
    port: int
    identity: str | None
    jump: str | bool
    wait: float
    new_host_key: bool

    def target(self, vm: VMHandle, user: str | None = None) -> SSHTarget:
        """Return where to connect to, with the host keys that the guest agent reports."""
        if self.new_host_key:
            vm.ssh.known_hosts.forget(vm.id)
        identity = self.identity or own_identity()
        found = vm.ssh.target(
            user or self.user, address=self.address, port=self.port, jump=self.jump, identity=identity, wait=self.wait
        )
        vm.ssh.learn_host_keys()
        return found


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of SSH; it gets them as `connection`."""

    @click.option(
        "-l", "--user", help="The user to log in as. Default: the user of the VM's image, otherwise as ssh_config says."
    )
    @click.option("--address", help="Connect to this address instead of looking it up.")
    @click.option(
        "-p", "--port", type=click.IntRange(1, 65535), default=22, show_default=True, help="TCP port of SSH in the guest."
    )
    @click.option("-i", "--identity", type=click.Path(exists=True, dir_okay=False), help="A file with a private key.")
    @click.option("--jump", metavar="[USER@]HOST", help="Connect through this host. Default: a KVM host that is reached by SSH.")
    @click.option("--no-jump", is_flag=True, help="Connect directly.")
    @click.option("--wait", type=DURATION, default=0.0, metavar="DURATION", help="Wait this long for an address.")
    @click.option("--new-host-key", is_flag=True, help="Forget the known host keys of the VM, after it was installed again.")
    @functools.wraps(command)
    def wrapped(*args: Any, jump: str | None, no_jump: bool, **options: Any) -> Any:
        if jump and no_jump:
            raise click.UsageError("give either --jump or --no-jump")
        own = {name: options.pop(name) for name in ("user", "address", "port", "identity", "wait", "new_host_key")}
        return command(*args, connection=Connection(jump=jump or not no_jump, **own), **options)

    return wrapped


@click.command("ssh")
@click.argument("vm", metavar="[USER@]VM", shell_complete=complete_vms)
@click.argument("words", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.option("-L", "local", multiple=True, metavar="PORT:PORT", help="A port of this machine that leads to one of the guest.")
@click.option("-R", "remote", multiple=True, metavar="PORT:PORT", help="A port of the guest that leads to one of this machine.")
@click.option("-D", "dynamic", multiple=True, metavar="PORT", help="A SOCKS proxy on this port of this machine.")
@click.option("-N", "no_command", is_flag=True, help="Forward ports only.")
@click.option("-A", "agent", is_flag=True, help="Forward the SSH agent.")
@click.option("--print", "show", is_flag=True, help="Print the ssh command, and do not run it.")
@connection_options
@common_options
def ssh(
    settings: Settings, vm: str, words: tuple[str, ...], connection: Connection, no_command: bool, show: bool, **options: Any
) -> None:
    """Log in to VM by SSH, or run COMMAND in it.

    One argument after -- is a line for the guest's shell; several are a program and its arguments. The exit code is the command's; 255
    means that SSH failed. -L takes PORT, PORT:PORT, PORT:HOST:PORT or BIND:PORT:HOST:PORT.
    """
    from novacron.ssh.commands import ssh_argv

    user, at, name = vm.rpartition("@")
    if no_command and words:
        raise click.UsageError("give either -N or a command")
    target = connection.target(settings.vm(name), user if at else None)
    argv = ssh_argv(target, words, login=not no_command, **options)
    if show:
        import shlex

        write(shlex.join(argv))
        return
    settings.close()
    raise click.exceptions.Exit(run(argv))


class FileLocation(NamedTuple):
    """A file of this machine (`vm` is None) or of a VM."""

    vm: str | None
    path: str
    user: str | None = None


def location_of(text: str) -> FileLocation:
    """Return what an argument of `cp` names: `[USER@]VM:PATH`, or else a file of this machine.

    Example:
        >>> location_of("ann@kvm1/web1:/etc/motd"), location_of("./a:b").vm, location_of("motd").vm
        (FileLocation(vm='kvm1/web1', path='/etc/motd', user='ann'), None, None)
    """
    before, colon, path = text.partition(":")
    if not colon or not before or before.startswith((".", "/", "~")) or Path(text).exists():
        return FileLocation(None, text)
    user, at, vm = before.rpartition("@")
    return FileLocation(vm, path, user if at else None)


@click.command("cp")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("destination")
@click.option("-r", "--recursive", is_flag=True, help="Copy folders with their content.")
@click.option("--agent", is_flag=True, help="Copy through the guest agent, not by SSH.")
@connection_options
@common_options
def cp(
    settings: Settings, sources: tuple[str, ...], destination: str, connection: Connection, recursive: bool, agent: bool
) -> None:
    """Copy files to or from a VM: novacron cp FILE web1:/tmp/, novacron cp web1:/etc/motd .

    It uses SSH. If the VM has no known address or no SSH server answers, the guest agent copies single files, as its own user (root).
    """
    places, to = [location_of(source) for source in sources], location_of(destination)
    remote = {place.vm for place in (*places, to) if place.vm is not None}
    upload = to.vm is not None
    if len(remote) != 1 or any((place.vm is None) != upload for place in places):
        raise click.UsageError("copy files of this machine to one VM (VM:PATH), or files of one VM to this machine")
    if upload and (missing := [place.path for place in places if not Path(place.path).exists()]):
        raise click.UsageError(f"this machine has no file {', '.join(missing)}")
    vm = settings.vm(remote.pop())
    users = {place.user for place in (*places, to) if place.user}
    if len(users) > 1:
        raise click.UsageError("name one user")
    target = None if agent else _reachable(vm, connection, users.pop() if users else None)
    paths = [place.path for place in places]
    if target is None:
        _copy_by_agent(vm, paths, to.path, upload=upload, recursive=recursive)
        return
    from novacron.ssh.commands import scp_argv

    settings.close()
    raise click.exceptions.Exit(run(scp_argv(target, paths, to.path, upload=upload, recursive=recursive)))


def _reachable(vm: VMHandle, connection: Connection, user: str | None) -> SSHTarget | None:
    """Return where SSH connects to; None if only the guest agent can be used. A VM behind a jump host is not tried before."""
    import socket

    try:
        target = connection.target(vm, user)
        if target.jump is None:
            with socket.create_connection((target.address, target.port), timeout=5) as opened:
                if not opened.recv(4).startswith(b"SSH-"):
                    raise OSError("no SSH server")
    except (NotFoundError, OSError) as error:
        if not vm.host.supports("guest_file_write"):
            raise
        tell(f"{vm.name}: no SSH ({error}); the guest agent copies")
        return None
    return target


def _copy_by_agent(vm: VMHandle, paths: Sequence[str], destination: str, *, upload: bool, recursive: bool) -> None:
    if recursive:
        raise click.UsageError("the guest agent copies single files, no folders (-r)")
    for path in paths:
        if upload:
            into = len(paths) > 1 or destination.endswith("/")
            file = destination.rstrip("/") + "/" + Path(path).name if into else destination
            _absolute(file)
            vm.guest.write(file, Path(path).read_bytes())
        else:
            _absolute(path)
            data = vm.guest.read(path)
            local = Path(destination) / Path(path).name if Path(destination).is_dir() else Path(destination)
            part = local.with_name(f".{local.name}.part")
            part.write_bytes(data)
            part.replace(local)


def _absolute(path: str) -> None:
    if not path.startswith("/"):
        raise click.UsageError(f"the guest agent needs an absolute path in the guest, not {path!r}")


@click.command("ssh-config")
@click.argument("words", metavar="[VM]...", nargs=-1, shell_complete=complete_vms)
@connection_options
@common_options
def ssh_config(settings: Settings, words: tuple[str, ...], connection: Connection) -> None:
    """Print entries for ~/.ssh/config. Without VM: of all running VMs.

    novacron ssh-config >~/.ssh/novacron, and `Include novacron` at the top of ~/.ssh/config, make `ssh web1`, rsync and editors work.
    """
    from novacron.ssh.config import host_entry
    from novacron.threads import fan_out
    from novacron_shell.selection import select

    vms = select(settings, words) if words else _running(settings)
    names = [vm.name for vm in vms]
    answers = fan_out(vms, connection.target, seconds=60, limit=16, name="novacron-ssh-config")
    for vm, answer in zip(vms, answers, strict=True):
        try:
            if not answer.done():
                raise NotFoundError(f"{vm.name!r} did not answer within 60 s")
            entry = vm.name if names.count(vm.name) == 1 else f"{vm.name}.{vm.host.name}"
            write(host_entry(answer.result(), entry))
        except NovaCronError as error:
            if words and len(vms) == 1:
                raise
            tell(f"left out: {error}")


def _running(settings: Settings) -> list[VMHandle]:
    return [vm for page in settings.ask(lambda host: list(host.vms.list(status="running"))) for vm in page]


def run(argv: Sequence[str]) -> int:
    """Run a program with this terminal, and return its exit code. Ctrl-C is the program's."""
    from novacron.handles.ssh import no_program

    before = None
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not in the main thread
        before = None
    try:
        process = subprocess.Popen(argv, preexec_fn=_default_interrupt)
        code = process.wait()
    except FileNotFoundError:
        raise no_program(argv[0]) from None
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code


def _default_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


COMMANDS = {"ssh": ssh, "cp": cp, "ssh-config": ssh_config}
