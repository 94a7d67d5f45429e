"""Makes the pictures of the README from a real session on simulated hosts: `python -m novacron_shell.repl.pictures docs/pictures`."""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text

import novacron
from novacron.drivers import sim
from novacron.handles.host import HostHandle
from novacron_shell.repl.coroutines import Coroutines, compiled, run_code
from novacron_shell.repl.display import Displays
from novacron_shell.repl.errors import tell
from novacron_shell.repl.inventory import Inventory, OpenHosts, namespace
from novacron_shell.repl.pipes import ACTIONS

SHELL = (
    'vms.where(tag="web")',
    'vms.where(tag="web") | snapshot("before-update")',
    'vms["web1"].snapshots',
    "kvm1.info()",
    'kvm1.vms["db3"]',
)
"""The lines of the picture of the shell. The last one is a mistake."""
WIDTH = 100


def hosts() -> list[HostHandle]:
    """Return two simulated hosts with five VMs."""
    made = [novacron.connect(f"sim://{name}") for name in ("kvm1", "kvm2")]
    for number, (name, tags) in enumerate(
        {"web1": {"web"}, "web2": {"web"}, "web3": {"web"}, "db1": {"db"}, "db2": {"db"}}.items()
    ):
        size = f"{2 + number % 2 * 2}GiB"
        made[number % 2].vms.create(name=name, vcpus=2, memory=size, tags=tags, disks=[{"size": "20GiB"}], start=name != "web1")
    return made


def shell(connected: list[HostHandle]) -> str:
    """Return the picture of a session of the shell, as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    opened, displays, coroutines = OpenHosts(), Displays(), Coroutines()
    for host in connected:
        opened.add(host)
    vms = Inventory(opened)
    vms.refresh()
    names = namespace(opened, vms) | {action.name: action for action in ACTIONS}
    for line in SHELL:
        code = Syntax(line, "python", background_color="default").highlight(line)
        code.rstrip()
        console.print(Text.assemble("fleet ", ("●", "green"), (" novacron> ", "bold"), code))
        try:
            console.print(displays.drawn(run_code(compiled(line, mode="eval"), names, coroutines)))
        except novacron.NovaCronError as error:
            tell(console, error)
    return console.export_svg(title="novacron shell")


def top(connected: list[HostHandle]) -> str:
    """Return the picture of `novacron top`, as SVG."""
    from novacron_shell.top.app import Top
    from novacron_shell.top.model import View
    from novacron_shell.top.reading import Reader

    def measured(reader: Reader) -> bool:
        running = [vm for vm in reader.vms() if vm.status == "running"]
        return (
            len(running) == 4
            and all(vm.cpus is not None and vm.disk_read_bytes is not None for vm in running)
            and all(host.cpu_percent is not None and host.memory_free_bytes is not None for host in reader.hosts())
        )

    async def drawn() -> str:
        reader = Reader(connected, novacron.fleet().ask, interval=0.2)
        app = Top(reader, View(group="host"))
        reader.on_change(app.changed)
        async with app.run_test(size=(WIDTH + 40, 16)) as pilot:
            while not measured(reader):
                await pilot.pause(0.1)
            app.redraw()
            while "Quit" not in (picture := app.export_screenshot(title="novacron top")):  # the keys are drawn later
                await pilot.pause(0.1)
            return picture

    return asyncio.run(drawn())


def main(folder: Path) -> None:
    """Write both pictures to a folder."""
    connected = hosts()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in (("top", top), ("shell", shell)):
            (folder / f"{name}.svg").write_text(picture(connected), encoding="utf-8")
    finally:
        for host in connected:
            host.close()
            sim.forget(host.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

__all__ = ["hosts", "main", "shell", "top"]
