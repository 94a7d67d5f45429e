"""What people type who come from virsh, kcli, govc or docker, and which of our commands does that.

It is asked only when a command or an option does not exist, so it costs nothing otherwise.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import click

PHRASES = {
    "add host": "host add",
    "attach": "console",
    "attach-disk": "disk attach",
    "attach-interface": "nic attach",
    "autostart": "vm set VM autostart=true",
    "blockresize": "disk resize",
    "bootstrap": "host add",
    "change-media": "disk media",
    "cmd": "guest exec",
    "commit": "template create",
    "define": "vm import",
    "detach-disk": "disk detach",
    "detach-interface": "nic detach",
    "displayurl": "viewer",
    "domblklist": "disk list",
    "domdisplay": "viewer",
    "domid": "vm show",
    "domifaddr": "vm ip",
    "domiflist": "nic list",
    "dominfo": "vm show",
    "domjobinfo": "run list",
    "domrename": "vm rename",
    "domstate": "vm show",
    "domstats": "vm metrics",
    "domuuid": "vm show",
    "download": "image pull",
    "dumpxml": "vm export",
    "event": "events",
    "exec": "guest exec",
    "expose": "ssh VM -L 8080:80",
    "guestinfo": "guest info",
    "halt": "shutdown",
    "images": "image list",
    "info": "host info",
    "inspect": "vm show",
    "kill": "stop",
    "login": "ssh",
    "logs": "console",
    "managedsave": "vm save",
    "mv": "vm rename",
    "net dhcp-leases": "network leases",
    "nodeinfo": "host info",
    "off": "stop",
    "on": "start",
    "pause": "suspend",
    "power": "start",
    "power off": "stop",
    "poweroff": "stop",
    "poweron": "start",
    "powerup": "start",
    "powerdown": "shutdown",
    "ps": "vm list",
    "pull": "image pull",
    "restart": "reboot",
    "run vm": "up",
    "scp": "cp",
    "setmem": "vm set VM memory=2GiB",
    "setvcpus": "vm set VM vcpus=4",
    "stats": "top",
    "status": "vm list",
    "switch": "host use",
    "tag": "vm update --add-tag",
    "undefine": "vm delete",
    "unpause": "resume",
    "update": "vm set",
    "version": "--version",
    "vncdisplay": "viewer",
    "vm change": "vm set",
    "vm destroy": "vm delete",
    "vm info": "vm show",
    "vm markastemplate": "template create",
    "vm power": "start",
    "vm power -off": "stop",
    "vm power -r": "reboot",
    "vm power -reset": "reset",
    "vm power -s": "shutdown",
    "vm power -suspend": "suspend",
    "vm tag": "vm update --add-tag",
    "vol-create-as": "volume create",
}
"""Lines of other tools, without the names of VMs, and ours. A line may be shorter than what was typed."""

NOUNS = {
    "client": "host",
    "datastore": "pool",
    "dom": "vm",
    "domain": "vm",
    "hypervisor": "host",
    "iface": "nic",
    "instance": "vm",
    "interface": "nic",
    "machine": "vm",
    "net": "network",
    "nodedev": "device",
    "nwfilter": "filter",
    "plan": "run",
    "server": "vm",
    "snap": "snapshot",
    "storage": "pool",
    "vmsnapshot": "snapshot",
    "vol": "volume",
}
"""Words of others for our groups."""

VERBS = {
    "add": ("create", "attach"),
    "change": ("set", "update"),
    "create": ("create", "add", "attach"),
    "create-as": ("create",),
    "destroy": ("stop", "delete", "remove"),
    "del": ("delete", "remove", "detach"),
    "delete": ("delete", "remove", "detach"),
    "describe": ("show",),
    "dumpxml": ("show", "export"),
    "edit": ("edit", "update", "set"),
    "get": ("list", "show"),
    "info": ("show", "info", "list"),
    "inspect": ("show", "info"),
    "list": ("list", "status"),
    "ls": ("list", "status"),
    "mv": ("rename",),
    "new": ("create", "add"),
    "ps": ("list", "status"),
    "remove": ("remove", "delete", "detach"),
    "restart": ("reboot", "resume"),
    "revert": ("revert",),
    "rm": ("delete", "remove", "detach"),
    "show": ("show", "list"),
    "status": ("show", "list"),
    "tree": ("list",),
    "undefine": ("delete",),
    "up": ("start",),
}
"""Words of others for what our commands do; of ours the first that the group has."""

OPTIONS = {
    "--all": "",
    "-a": "",
    "--cpus": "--vcpus",
    "--format": "-o",
    "--json": "-o json",
    "--net": "--nic network=NAME",
    "--network": "--nic network=NAME",
    "--no-trunc": "-o wide",
    "--quiet": "-o name",
    "--ram": "--memory",
    "--uri": "-c",
    "--wide": "-o wide",
    "--yaml": "-o yaml",
    "-f": "--force",
    "-l": "-o wide",
    "-m": "--memory",
    "-q": "-o name",
    "-u": "--user",
}
"""Options of others and ours. All VMs are listed anyway, so that has none."""

FORCING = ("--force", "-f", "--yes", "-y")
"""Options that make a command harder or keep it from asking."""

FOREIGN = [option for option in (*OPTIONS, *FORCING) if option.startswith("--")]
"""Options of others that may be misspelt."""

AT_ONCE = {
    "stop": "VMs are powered off at once and without a question; no option is needed",
    "reset": "VMs are reset at once and without a question; no option is needed",
    "shutdown": "`novacron stop VM` powers a VM off at once",
}
"""What is said about commands of ours that have no option to force them."""


BESIDE = {"destroy": "a VM is powered off by `{0} stop VM` and deleted by `{0} vm delete VM`"}
"""What is said about commands of ours that others use for something else, when their arguments are wrong."""


def meant_command(context: click.Context, known: Sequence[str], words: Sequence[str]) -> str | None:
    """Return the command that was probably meant, as an error names it; None if nothing is like it.

    Args:
        context: the context of the group that has no such command.
        known: the names of the group's commands.
        words: what was typed after the group.
    """
    root = context.find_root()
    group = context.command_path.split()[1:]
    typed = [*group, *words]
    for length in (3, 2, 1):
        if phrase := PHRASES.get(" ".join(typed[:length])):
            return _quoted(root, phrase)
    word = words[0]
    if word == "help":
        return _quoted(root, " ".join([*group, "--help"]))
    if group:
        own = next((each for each in VERBS.get(word, ()) if each in known), None)
        if own is None and group == ["vm"] and word in _commands(root, None):
            return _quoted(root, word)  # the command is not one about VMs alone
    else:
        own = None
        if found := _split(root, words):
            return _quoted(root, found)
        if word in _commands(root, "vm") and not _names_thing(root, words):
            return _quoted(root, f"vm {word}")
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.65)
    if own is not None:
        return repr(own)
    if near:
        return repr(near[0])
    near = [] if group or _names_thing(root, words) else difflib.get_close_matches(word, _commands(root, "vm"), n=1, cutoff=0.8)
    return _quoted(root, f"vm {near[0]}") if near else None


def _split(root: click.Context, words: Sequence[str]) -> str | None:
    """Return the command for `net-list`, `vm.info`, `list vm`, `vms`; None if the words are no noun and verb."""
    first, second = words[0], words[1] if len(words) > 1 else ""
    for sign in ("-", "."):
        noun, found, verb = first.partition(sign)
        said = f"{noun} {verb}"
        if found and (command := PHRASES.get(f"{said} {second}") or PHRASES.get(said) or _command(root, noun, verb)):
            return command
    if first in VERBS:
        of_vms = None if _names_thing(root, words) else _command(root, "vm", first)
        if command := _command(root, second, first) or of_vms:
            return command
    return _command(root, first, second) or _command(root, first, "list") if first in NOUNS or first.endswith("s") else None


def _names_thing(root: click.Context, words: Sequence[str]) -> bool:
    """Whether the second word is a kind of thing, such as `network`, and so neither a VM nor the name of one."""
    kind = NOUNS.get(words[1], words[1]) if len(words) > 1 else "vm"
    return kind != "vm" and kind in _commands(root, None)


def _command(root: click.Context, noun: str, verb: str) -> str | None:
    """Return "noun verb" in our words if there is such a command."""
    groups = _commands(root, None)
    singular = noun.removesuffix("s")
    group = next((each for each in (noun, singular, NOUNS.get(noun), NOUNS.get(singular)) if each in groups), None)
    own = _commands(root, NOUNS.get(str(group), group)) if group else []
    for each in (verb, *VERBS.get(verb, ())):
        if each in own:
            return f"{NOUNS.get(str(group), group)} {each}"
    return None


def _commands(root: click.Context, group: str | None) -> list[str]:
    """Return the names of the commands of a group, or of the program."""
    command: Any = root.command
    if group is not None:
        command = command.get_command(root, group)
    return command.list_commands(root) if isinstance(command, click.Group) else []


def _quoted(root: click.Context, command: str) -> str:
    return f"`{root.command_path} {command}`"


def meant_beside(context: click.Context) -> str | None:
    """Return what is done by another command of ours, if other tools use the name of this one for that."""
    program, *words = context.command_path.split()
    said = BESIDE.get(" ".join(words))
    return said.format(program) if said else None


def meant_option(context: click.Context | None, option: str) -> str | None:
    """Return what to give instead of an option that a command does not have; None if that is not known.

    Example:
        >>> command = click.Command("create", params=[click.Argument(["name"]), click.Option(["-o", "--output"])])
        >>> [meant_option(click.Context(command), option) for option in ("--name", "--json", "--wide", "--memory")]
        ['NAME is given without an option', 'give -o json', 'give -o wide', None]
    """
    if context is None:
        return None
    for parameter in context.command.params:
        if isinstance(parameter, click.Argument) and parameter.name == option.lstrip("-").replace("-", "_"):
            return f"{parameter.make_metavar(context).strip('[].')} is given without an option"
    own = {name for parameter in context.command.params for name in parameter.opts}
    own_names = [each.lstrip("-") for each in own]
    if option not in own and not difflib.get_close_matches(option.lstrip("-"), own_names, cutoff=0.65):
        option = next(iter(difflib.get_close_matches(option, FOREIGN, n=1, cutoff=0.8)), option)  # a misspelt option of others
    if option in FORCING and (said := AT_ONCE.get(context.command.name or "")):
        return said
    instead = OPTIONS.get(option)
    if instead == "" and context.command_path.endswith("vm list"):
        return "all VMs are listed anyway; --status running lists those that run"
    if instead == "--force" and instead not in own:
        instead = "--yes"
    if instead and instead.split()[0] in own:
        return f"give {instead}"
    name = option.lstrip("-")
    if difflib.get_close_matches(name, own_names, cutoff=0.65):
        return None  # a misspelt option
    pairs = any("=VALUE" in (each.metavar or "") for each in context.command.params if isinstance(each, click.Argument))
    return f"fields are given without dashes: {name.replace('-', '_')}=VALUE" if pairs else None


__all__ = ["meant_beside", "meant_command", "meant_option"]
