"""The arguments of `ssh` and `scp`. They are lists, so no shell on this machine reads them; `--` stands before names."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.ssh.config import jump_config
from novacron.ssh.target import JumpHost, SSHTarget, checked_host, checked_port

CONNECT_TIMEOUT = 15
"""Seconds that a connection may take before `ssh` gives up."""
ALIVE_INTERVAL, ALIVE_COUNT = 15, 4
"""A connection on which nothing came for so many seconds, so many times in a row, is lost."""
TUNNEL_OPTIONS = ("BatchMode=yes", "ExitOnForwardFailure=yes", f"ConnectTimeout={CONNECT_TIMEOUT}")


def ssh_argv(
    target: SSHTarget,
    command: Sequence[str] = (),
    *,
    local: Sequence[str] = (),
    remote: Sequence[str] = (),
    dynamic: Sequence[str] = (),
    login: bool = True,
    agent: bool = False,
    batch: bool = False,
) -> list[str]:
    """Return the arguments of `ssh`.

    Args:
        target: The VM.
        command: What to run. A single argument is a line for the shell of the guest; several are a program and its arguments, which the
            guest gets exactly as they are. Nothing starts a login shell.
        local: Ports of this machine that lead to the guest: `8080:80`, `PORT:HOST:PORT`, `BIND:PORT:HOST:PORT`.
        remote: Ports of the guest that lead to this machine, in the same form.
        dynamic: Ports of this machine for a SOCKS proxy: `PORT` or `BIND:PORT`.
        login: False opens the forwarded ports only (`-N`).
        agent: Forward the SSH agent.
        batch: Never ask for a password or passphrase.

    Raises:
        InvalidSpecError: A forwarded port is invalid.

    Example:
        >>> from pathlib import Path
        >>> vm = SSHTarget(name="web1", id="6b1f", address="192.0.2.5", known_hosts=Path("/state/known_hosts"), user="ann")
        >>> ssh_argv(vm, ["touch", "a b"], local=["8080:80"])[-6:]
        ['-L', '8080:localhost:80', '--', '192.0.2.5', 'touch', "'a b'"]
    """
    argv = ["ssh", *_options(target), "-p", str(target.port)]
    argv += ["-l", target.user] if target.user else []
    argv += ["-N"] if not login else []
    argv += ["-A"] if agent else []
    argv += ["-o", "BatchMode=yes"] if batch else []
    forwards = [*(("-L", forward(text)) for text in local), *(("-R", forward(text)) for text in remote)]
    forwards += [("-D", _bound(text)) for text in dynamic]
    if forwards:
        argv += ["-o", "ExitOnForwardFailure=yes"]
    for option, value in forwards:
        argv += [option, value]
    words = list(command) if len(command) == 1 else [shlex.quote(word) for word in command]
    return [*argv, "--", target.address, *words]


def scp_argv(target: SSHTarget, sources: Sequence[str], destination: str, *, upload: bool, recursive: bool = False) -> list[str]:
    """Return the arguments of `scp`.

    Args:
        target: The VM.
        sources: The files to copy; paths of this machine if `upload`, otherwise of the guest.
        destination: Where to; a path of the guest if `upload`, otherwise of this machine.
        upload: Copy to the guest, or from it.
        recursive: Copy folders with their content.

    Example:
        >>> from pathlib import Path
        >>> vm = SSHTarget(name="web1", id="6b1f", address="2001:db8::5", known_hosts=Path("/state/known_hosts"), user="ann")
        >>> scp_argv(vm, ["-odd", "a:b"], "/tmp", upload=True)[-4:]
        ['--', './-odd', './a:b', 'ann@[2001:db8::5]:/tmp']
    """
    argv = ["scp", *_options(target), "-P", str(target.port), *(["-r"] if recursive else [])]
    if upload:
        return [*argv, "--", *map(_local, sources), _remote(target, destination)]
    return [*argv, "--", *(_remote(target, source) for source in sources), _local(destination)]


def login_argv(host: JumpHost, command: Sequence[str], *, seconds: int = CONNECT_TIMEOUT) -> list[str]:
    """Return the arguments of an `ssh` that runs a command on a host, and never asks for a password.

    Args:
        host: The host to log in to.
        command: A program and its arguments.
        seconds: How long the connection may take.

    Example:
        >>> login_argv(JumpHost(address="kvm1", user="root"), ["date", "+%s"])[-5:]
        ['root', '--', 'kvm1', 'date', '+%s']
    """
    argv = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={seconds}"]
    # a host that loses its power sends nothing; without these `ssh` would wait for it forever
    argv += ["-o", f"ServerAliveInterval={ALIVE_INTERVAL}", "-o", f"ServerAliveCountMax={ALIVE_COUNT}"]
    argv += ["-o", f"UserKnownHostsFile={host.known_hosts}"] if host.known_hosts else []
    argv += ["-i", host.keyfile] if host.keyfile else []
    argv += ["-p", str(host.port)] if host.port else []
    argv += ["-l", host.user] if host.user else []
    return [*argv, "--", host.address, *map(shlex.quote, command)]


def tunnel_argv(host: JumpHost, port: int, address: str, far_port: int, *, folder: Path) -> list[str]:
    """Return the arguments of an `ssh` that forwards a port of this machine's loopback, and never asks for a password.

    Args:
        host: The host to log in to.
        port: The port of this machine.
        address: What the far port belongs to, as the host sees it.
        far_port: The port to reach.
        folder: Where a configuration file may be written, for a host with a key of its own.

    Example:
        >>> tunnel_argv(JumpHost(address="kvm1", user="root"), 40123, "127.0.0.1", 5900, folder=Path("/state"))[-4:]
        ['-L', '127.0.0.1:40123:127.0.0.1:5900', '--', 'ssh://root@kvm1']
    """
    *options, _, name = jump_config(host, folder)
    options += [word for option in TUNNEL_OPTIONS for word in ("-o", option)]
    forwarded = forward(f"127.0.0.1:{port}:{_bracketed(address)}:{far_port}")
    return ["ssh", "-N", *options, "-L", forwarded, "--", name if options[0] == "-F" else f"ssh://{host}"]


def forward(text: str) -> str:
    """Return a forwarded port as `[BIND:]PORT:HOST:PORT`.

    Raises:
        InvalidSpecError: It is invalid.

    Example:
        >>> forward("80"), forward("8080:80"), forward("0.0.0.0:8080:db:5432"), forward("8080:[::1]:80")
        ('80:localhost:80', '8080:localhost:80', '0.0.0.0:8080:db:5432', '8080:[::1]:80')
    """
    parts = _parts(text)
    match parts:
        case [port]:
            bind, local, host, far = None, port, "localhost", port
        case [local, far]:
            bind, host = None, "localhost"
        case [local, host, far]:
            bind = None
        case [bind, local, host, far]:
            pass
        case _:
            raise _invalid_forward(text)
    start = "" if bind is None else f"{_address(bind, anything=True)}:"
    return f"{start}{checked_port(local)}:{_address(host)}:{checked_port(far)}"


def _bound(text: str) -> str:
    parts = _parts(text)
    if len(parts) not in (1, 2):
        raise _invalid_forward(text)
    return ":".join([*(_address(bind, anything=True) for bind in parts[:-1]), str(checked_port(parts[-1]))])


def _parts(text: str) -> list[str]:
    """Split at colons outside of brackets."""
    found, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == ":" and not depth:
            found.append("")
        else:
            found[-1] += character
    return found


def _address(text: str, *, anything: bool = False) -> str:
    if anything and text == "*":
        return text
    if text.startswith("[") and text.endswith("]"):
        return f"[{checked_host(text[1:-1])}]"
    return checked_host(text)


def _invalid_forward(text: str) -> InvalidSpecError:
    problem = SpecProblem("forward", text, "PORT, PORT:PORT, PORT:HOST:PORT or BIND:PORT:HOST:PORT")
    return InvalidSpecError("invalid port to forward", problems=[problem], outcome="not_sent")


def _options(target: SSHTarget) -> list[str]:
    """Return the options that `ssh` and `scp` share. Host keys are looked up by the VM's UUID."""
    argv: list[str] = []
    if target.jump is not None:
        argv += jump_config(target.jump, target.known_hosts.parent)
    if target.identity:
        argv += ["-i", target.identity]
    options = {
        "HostKeyAlias": target.alias,
        "UserKnownHostsFile": _quoted(str(target.known_hosts)),
        "StrictHostKeyChecking": "accept-new",
        "CheckHostIP": "no",
        "ConnectTimeout": str(CONNECT_TIMEOUT),
    }
    return argv + [word for key, value in options.items() for word in ("-o", f"{key}={value}")]


def _quoted(path: str) -> str:
    """Return a path for an option of ssh: tokens (%) are escaped, and quotes keep blanks."""
    return '"' + path.replace("%", "%%") + '"'


def _remote(target: SSHTarget, path: str) -> str:
    return (f"{target.user}@" if target.user else "") + f"{_bracketed(target.address)}:{path}"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _local(path: str) -> str:
    """Return a path of this machine that `scp` reads neither as an option nor as a remote file."""
    return path if path.startswith(("/", "./", "../")) else f"./{path}"


__all__ = ["CONNECT_TIMEOUT", "forward", "login_argv", "scp_argv", "ssh_argv", "tunnel_argv"]
