"""Screens of `top` and displays of the shell, compared with stored pictures. They show fixed values.

After a change that is meant: `pytest shell/tests/test_screens.py --snapshot-update`, and look at the pictures in `__snapshots__`.
"""

import asyncio
import io
import re

import pytest
from rich.console import Console
from rich.table import Table
from syrupy.extensions.image import SVGImageSnapshotExtension

import novacron
from novacron.errors import VMNotFoundError
from novacron_shell.repl.display import Displays
from novacron_shell.repl.errors import tell
from novacron_shell.top.app import Top
from novacron_shell.top.detail import Detail
from novacron_shell.top.model import HostState, View, VMState

GIB, MIB = 2**30, 2**20


class Screens(SVGImageSnapshotExtension):
    """Pictures without the random names of their styles."""

    def serialize(self, data, **options):
        return super().serialize(re.sub(r"terminal-\d+-", "terminal-", data), **options)


@pytest.fixture
def picture(snapshot):
    return snapshot.use_extension(Screens)


class Fixed:
    """Reads nothing: two hosts, of which the second one is dead, and their VMs."""

    detail = "full"

    def on_change(self, changed):
        """Nothing changes."""

    start = stop = read_soon = lambda self: None

    def __init__(self, host=None):
        self.host = lambda name: host

    def hosts(self):
        return [
            HostState(
                name="kvm1",
                age_seconds=1.0,
                cpus=16,
                cpu_percent=37.5,
                memory_bytes=64 * GIB,
                memory_free_bytes=40 * GIB,
                vms=3,
                running=2,
                history=(10.0, 20.0, 40.0, 80.0, 37.5),
            ),
            HostState(name="kvm2", age_seconds=75.0, error="no route to host", vms=2, running=1),
        ]

    def vms(self):
        rates = {"disk_read_bytes": 3.0 * MIB, "disk_written_bytes": 0.0, "net_received_bytes": 1500.0, "net_sent_bytes": 20.0}
        return [
            VMState(
                host="kvm1",
                id="1",
                name="web1",
                status="running",
                tags=("web",),
                vcpus=4,
                memory_bytes=8 * GIB,
                cpus=1.5,
                history=(0.1, 0.5, 1.0, 1.5),
                **rates,
            ),
            VMState(host="kvm1", id="2", name="web2", status="suspended", tags=("web",), vcpus=2, memory_bytes=4 * GIB, cpus=0.0),
            VMState(host="kvm1", id="3", name="名前-build", status="stopped", vcpus=2, memory_bytes=2 * GIB),
            VMState(host="kvm2", id="4", name="db1", status="running", vcpus=8, memory_bytes=16 * GIB, cpus=2.0, stale=True),
            VMState(
                host="kvm2", id="5", name="db2-with-a-name-that-is-long", status="crashed", vcpus=1, memory_bytes=GIB, stale=True
            ),
        ]


def screen(act, view=None, size=(110, 16), theme="textual-dark", host=None):
    """The picture of `top` after `act`, which presses keys."""

    async def drawn():
        app = Top(Fixed(host), view or View(sort="name"))
        app.animation_level, app._filter.cursor_blink = "none", False
        async with app.run_test(size=size) as pilot:
            app.theme = theme
            await pilot.pause()
            await act(app, pilot)
            before = None
            while (svg := app.export_screenshot(title="novacron top")) != before:  # until nothing changes any more
                before = svg
                await pilot.pause(0.1)
            return svg

    return asyncio.run(drawn())


def pressing(*keys):
    async def act(app, pilot):
        await pilot.press(*keys)

    return act


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
def test_a_list_of_vms_with_a_dead_host(picture, theme):
    assert screen(pressing(), theme=theme) == picture


def test_sorted_in_reverse_and_grouped_by_host(picture):
    assert screen(pressing("r", "g")) == picture


def test_a_filter_while_it_is_typed(picture):
    assert screen(pressing("slash", *"status:running")) == picture


def test_columns_are_chosen(picture):
    assert screen(pressing("c"), size=(110, 24)) == picture


def test_an_action_asks_first(picture):
    assert screen(pressing("x"), View(filter="web1")) == picture


def test_an_action_on_a_dead_host_is_refused(picture):
    assert screen(pressing("home", "x"), View(sort="host", reverse=True)) == picture


def test_forty_columns(picture):
    assert screen(pressing(), size=(40, 12)) == picture


@pytest.fixture
def host():
    """A simulated host, whose values are the same each time."""
    with novacron.connect("sim://screens") as connected:
        vm = connected.vms.create(name="web1", vcpus=2, memory="2GiB", disks=[{"size": "20GiB"}], nics=[{"network": "default"}])
        connected.vms.create(name="db1", memory="4GiB", tags={"db", "prod"})
        for number in range(3):
            vm.snapshots.create(f"s{number}", description="before the update" if number == 1 else "")
        vm.snapshots["s1"].revert()
        vm.snapshots.create("branch")
        yield connected


def test_one_vm_in_detail(picture, host):
    """The disks, which have no times."""

    async def act(app, pilot):
        app.push_screen(Detail(host, VMState(host="screens", id=host.vms["web1"].id, name="web1", status="stopped")))
        while not (isinstance(app.screen, Detail) and isinstance(app.screen._texts["Disks"].content, Table)):
            await pilot.pause(0.02)
        await pilot.press("right")

    assert screen(act, host=host) == picture


TIMES = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.+]+")


def shown(*values, width=90, light=False):
    """The picture of what the shell prints for values; times are replaced."""
    from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME

    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for value in values:
        if isinstance(value, novacron.NovaCronError):
            tell(console, value)
        else:
            console.print(Displays().drawn(value))
    theme = DEFAULT_TERMINAL_THEME if light else SVG_EXPORT_THEME
    svg = console.export_svg(title="novacron shell", theme=theme, unique_id="terminal-shell")
    return TIMES.sub("2026-01-01T00:00:00.000000+00:00", svg)


@pytest.mark.parametrize("light", [False, True], ids=["dark", "light"])
def test_a_table_of_vms(picture, host, light):
    assert shown(host.vms, light=light) == picture


def test_snapshots_as_a_tree(picture, host):
    assert shown(host.vms["web1"].snapshots) == picture


def test_errors_with_hints(picture, host):
    errors = [VMNotFoundError("no VM named 'web' on screens", hint="did you mean web1?")]
    with pytest.raises(novacron.NovaCronError) as caught:
        host.vms.create(name="x", vcpus=0, memory="1KiB", disks=[{"size": "nothing"}])
    assert shown(*errors, caught.value) == picture


def test_a_table_in_forty_columns(picture, host):
    assert shown(host.vms, width=40) == picture
