"""`novacron nic`: a VM's NICs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from novacron_shell.bulk import Bulk, each_vm, each_vm_of_list
from novacron_shell.confirm import yes_option
from novacron_shell.groups import CommandGroup
from novacron_shell.options import spec_options, spec_options_with
from novacron_shell.output import Columns, show_one, tell

if TYPE_CHECKING:
    from novacron.handles.nics import NICHandle
    from novacron.handles.vm import VMHandle


@click.group("nic", cls=CommandGroup)
def nic() -> None:
    """NICs of a VM."""


@nic.command("list")
@each_vm_of_list
def list_(bulk: Bulk) -> None:
    """List the NICs of VM."""
    columns: Columns = {
        "mac": "mac",
        "type": "type",
        "network": "network",
        "model": "model",
        "link up": "link_up",
        "filter": "filter",
        "addresses": "addresses",
    }
    from novacron.handles.addresses import whole_record

    def read(vm: Any) -> Sequence[Any]:
        nics: Sequence[Any] = whole_record(vm).nics or ()
        return nics

    bulk.show_lists(read, columns)


@nic.command("attach")
@each_vm
@spec_options_with("network")
def attach(bulk: Bulk, fields: dict[str, Any]) -> None:
    """Attach a NIC to VM: novacron nic attach web1 lan model=e1000e."""
    bulk.do("attach a NIC", lambda vm: vm.nics.attach(**fields), _said)


@nic.command("update")
@each_vm
@click.argument("mac")
@spec_options
def update(bulk: Bulk, mac: str, fields: dict[str, Any]) -> None:
    """Change fields of a NIC: novacron nic update web1 52:54:00:... network=lan filter=no-ping.

    MAC is the address of the NIC, or its number from 1. An empty value removes what is set: filter=
    """
    given: dict[str, Any] = {name: None if value == "" else value for name, value in fields.items()}
    bulk.do("update a NIC", lambda vm: _nic(vm, mac).update(**given), _said)


@nic.command("link")
@each_vm
@click.argument("mac")
@click.argument("state", type=click.Choice(["up", "down"]))
def link(bulk: Bulk, mac: str, state: str) -> None:
    """Set the link state of a NIC. MAC is its address, or its number from 1."""
    bulk.do(f"set the link {state}", lambda vm: _nic(vm, mac).link(up=state == "up"), _said)


@nic.command("detach")
@each_vm
@click.argument("mac")
@yes_option
def detach(bulk: Bulk, mac: str, yes: bool) -> None:
    """Detach a NIC from VM. MAC is its address, or its number from 1."""
    bulk.confirm(f"detach the NIC {mac} from {{vms}}", yes=yes)
    bulk.do("detach a NIC", lambda vm: _nic(vm, mac).detach(), lambda vm, output: tell(f"{mac} is detached"))


def _nic(vm: VMHandle, mac: str) -> NICHandle:
    """Return a NIC by its MAC address, or by its number from 1: the addresses of several VMs differ."""
    nics = list(vm.nics)
    if mac.isdecimal() and 0 < int(mac) <= len(nics):
        return nics[int(mac) - 1]
    return vm.nics[mac]


def _said(nic: Any, output: str) -> None:
    record = nic.record
    if output == "table":
        tell(f"{record.mac}: on {record.network or record.type}, link {'up' if record.link_up else 'down'}")
    else:
        show_one(record, output)


COMMANDS = {"nic": nic}
