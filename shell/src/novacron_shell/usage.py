"""How the command line sets the fields of a spec: the command, the option, and an example."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, NamedTuple

import click

from novacron.specs.describing import FieldDescription, described_classes, described_fields
from novacron_shell.examples import EXAMPLES, MAC, VALUES


class Command(NamedTuple):
    """A command that takes the fields of a spec.

    Attributes:
        words: Words of the command, such as ("vm", "create").
        start: An example of the command with everything that it needs.
        general: How it sets a field without an option of its own; {} is FIELD=VALUE. Empty if it can't.
        minimal: The least that a spec of this kind needs, when it is given as KEY=VALUE,... to another command.
        own_options: Whether the options of the command set the fields.
    """

    words: tuple[str, ...]
    start: str
    general: str = "{}"
    minimal: str = ""
    own_options: bool = True


COMMANDS = {
    "VMSpec": Command(("vm", "create"), "vm create web1", "--set {}"),
    "VMUpdate": Command(("vm", "set"), "vm set web1"),
    "DiskSpec": Command(("disk", "attach"), "disk attach web1 size=20GiB", minimal="size=20GiB"),
    "NICSpec": Command(("nic", "attach"), "nic attach web1 network=default", minimal="network=default"),
    "NICUpdate": Command(("nic", "update"), "nic update web1 1"),
    "DiskLimits": Command(("disk", "limit"), "disk limit web1 vda"),
    "LimitsSpec": Command(("resources", "limit"), "resources limit web1"),
    "DeviceLimits": Command(("resources", "limit"), "resources limit web1", "devices./dev/sda.{}"),
    "NICLimits": Command(("resources", "limit"), "resources limit web1", f"nics.{MAC}.{{}}"),
    "NetworkSpec": Command(("network", "create"), "network create lan"),
    "StoragePoolSpec": Command(("pool", "create"), "pool create fast"),
    "VolumeSpec": Command(("volume", "create"), "volume create data1 capacity=20GiB"),
    "HostDeviceSpec": Command(("device", "attach"), "device attach web1"),
    "MigrationSpec": Command(("vm", "migrate"), "vm migrate web1 --to kvm2", ""),
    "SnapshotSpec": Command(("snapshot", "create"), "snapshot create web1 before-update", ""),
    "TemplateSpec": Command(("template", "create"), "template create web1 debian", ""),
    "TrafficFilterSpec": Command(("filter", "create"), "filter create web", ""),
    "FilterRule": Command(
        ("filter", "create"),
        "filter create web",
        "--rule action=allow,{}",
        "action=allow,protocol=tcp,ports=22",
        own_options=False,
    ),
    "CloudInitSpec": Command(("vm", "create"), "vm create web1 --image debian-13", "--set cloud_init.{}"),
    "ApplianceSpec": Command(("vm", "import-appliance"), "vm import-appliance web1.ova", ""),
    "VMQuery": Command(("vm", "list"), "vm list", ""),
    "GroupSettings": Command(("fleet", "set-group"), "fleet set-group prod", ""),
    "LimitSettings": Command(("node", "set"), "node set kvm1", ""),
    "RollingUpdateSpec": Command(("fleet", "rolling-update"), "fleet rolling-update prod", ""),
    "QuotaSettings": Command(("fleet", "set-quota"), "fleet set-quota tag:dev", ""),
}
"""The command that takes the fields of each spec. Those of other specs are set as a part of a field of `VMSpec`."""

COMMA_LISTS = ("tags", "cpu_features", "boot_order")
"""Lists that `novacron vm set` takes with commas."""


class Usage(NamedTuple):
    """How a field is set on the command line.

    Attributes:
        option: The option or argument with its command; empty if the command line can't set the field.
        example: A whole command.
    """

    option: str
    example: str


def usage(field: FieldDescription) -> Usage:
    """Return how a field is set on the command line.

    Example:
        >>> from novacron.specs import VMSpec
        >>> memory = next(each for each in described_fields(VMSpec) if each.name == "memory")
        >>> usage(memory)
        Usage(option='novacron vm create --memory', example='novacron vm create web1 --memory 2GiB')
    """
    command = COMMANDS.get(field.owner) or _within_vm(field.owner, field.name)
    if command is None:
        return Usage("", "")
    option, argument = _written(command, field)
    if not option:
        return Usage("", "")
    words = " ".join(("novacron", *command.words))
    argument = EXAMPLES.get(f"{field.owner}.{field.name}", argument)
    if not argument and field.name != "name":
        return Usage(f"{words} {option}", "")
    start = [word for word in command.start.split() if not _excluded(word, argument)]
    return Usage(f"{words} {option}", " ".join(("novacron", *start, argument)).strip())


def _written(command: Command, field: FieldDescription) -> tuple[str, str]:
    """Return the option or argument of a command that sets a field, and the same with a value."""
    parameter = _parameter(command, field.name)
    if isinstance(parameter, click.Argument):
        return parameter.human_readable_name.upper(), ""
    if parameter is not None:
        option = parameter.secondary_opts[0] if parameter.secondary_opts and field.default == "true" else parameter.opts[0]
        flag = getattr(parameter, "is_flag", False)
        return option, option if flag else f"{option} {shlex.quote(_option_value(field))}"
    setting = command.general.format(_setting(field, command))
    option, given = setting.split(" ", 1) if setting.startswith("--") else ("", setting)
    return command.general.format(f"{field.name}=VALUE"), " ".join(filter(None, (option, given and shlex.quote(given))))


def example_value(field: FieldDescription) -> str:
    """Return a value for a field: one of `VALUES`, the one that its meaning names, or the first one that is not the default."""
    if value := VALUES.get(f"{field.owner}.{field.name}") or VALUES.get(field.name):
        return value
    if stated := re.search(r'such as (\{.*?\}|"[^"]*")|: (\{"[^:]*": \{.*?\}\})', field.meaning):
        return (stated[1] or stated[2]).strip('"')
    if field.allowed == "true or false":
        return "false" if field.default == "true" else "true"
    if stated := re.search(r'(?:such as|example) "([^"]*)"', field.allowed):
        return stated[1]
    if number := re.match(r"a (?:whole )?number(?:; (?:at least )?(\d+))?", field.allowed):
        return str(max(int(number[1] or 1), 2))
    if re.fullmatch(r"[\w-]+(, [\w-]+)*", field.allowed) and field.allowed != "text":
        return next(each for each in field.allowed.split(", ") if each not in (field.default, "default", "none"))
    return "/srv/vms" if "absolute path" in field.allowed else field.name.rpartition("_")[2].upper()


def _setting(field: FieldDescription, command: Command) -> str:
    """Return FIELD=VALUE. What has several values is written with dots where the command takes that, otherwise as JSON."""
    value: Any = example_value(field)
    many = field.allowed.startswith("a list")
    if field.inside is not None:
        inner = described_fields(field.inside)
        parts = {each.name: example_value(each) for each in inner if each.required} or {inner[0].name: example_value(inner[0])}
        if command.words in (("vm", "create"), ("vm", "set")):
            place = f"{field.name}.0" if many else field.name
            return ",".join(f"{place}.{name}={given}" for name, given in parts.items())
        value = json.dumps([parts] if many else parts)
    elif many and not (field.owner == "VMUpdate" and field.name in COMMA_LISTS):
        value = json.dumps([value])
    return f"{field.name}={value}"


def _option_value(field: FieldDescription) -> str:
    """Return the value of an option; one that takes pairs gets the first pair."""
    if field.inside is not None:
        command = COMMANDS.get(field.inside.__name__)
        return command.minimal if command and command.minimal else "/srv/vms/vmlinuz"
    value = example_value(field)
    if value.startswith("{"):
        name, given = next(iter(json.loads(value).items()))
        return f"{name}={given}"
    return value


KINDS = ({"size", "path"}, {"network", "bridge", "device", "user"}, {"capacity", "backing"})
"""Fields of which an example has one only."""


def _excluded(word: str, argument: str) -> bool:
    """Whether a word of a command's start sets the same as an argument, or what can't be given with it."""
    given, own = argument.partition("=")[0], word.partition("=")[0]
    return "=" in word and (given == own or any({given, own} <= kind for kind in KINDS))


def _within_vm(owner: str, name: str) -> Command | None:
    """Return the command for a field of a spec that is a part of a field of `VMSpec`."""
    for field in described_fields(described_classes()["VMSpec"]):
        if field.inside is not None and field.inside.__name__ == owner:
            place = f"{field.name}.0" if field.allowed.startswith("a list") else field.name
            needed = [each for each in described_fields(field.inside) if each.required and each.name != name]
            more = "".join(f",{place}.{each.name}={example_value(each)}" for each in needed)
            return Command(("vm", "create"), "vm create web1", f"--set {place}.{{}}{more}", own_options=False)
    return None


def _parameter(command: Command, field: str) -> Any:
    """Return the option or argument of a command that sets a field; None if it has none of its own."""
    from novacron_shell.cli import cli

    if not command.own_options:
        return None
    found: Any = cli
    for word in command.words:
        found = found.get_command(click.Context(cli), word)
    names = {field, f"--{field.replace('_', '-')}"}
    return next((each for each in found.params if names & {each.name, *each.opts} and each.name != "file"), None)


__all__ = ["COMMANDS", "Command", "Usage", "example_value", "usage"]
