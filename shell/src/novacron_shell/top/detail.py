"""All of one VM: its fields, disks, NICs, snapshots, display and events."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static, TabbedContent, TabPane
from textual_image.widget import Image

from novacron.errors import NovaCronError
from novacron.handles.files import new_file
from novacron.records.guest import Screenshot
from novacron.text import printable_line
from novacron.threads import in_thread
from novacron_shell.repl.display import Displays, error_line
from novacron_shell.repl.drawings import decoded
from novacron_shell.top.model import VMState
from novacron_shell.top.posting import Post

PARTS: dict[str, Callable[[Any], Any]] = {
    "VM": lambda vm: vm.refresh(),
    "Disks": lambda vm: vm.disks,
    "NICs": lambda vm: vm.nics,
    "Snapshots": lambda vm: vm.snapshots,
    "Metrics": lambda vm: vm.metrics(),
    "Guest": lambda vm: vm.guest,
    "Screen": lambda vm: vm.screenshot(),
}
"""Name of a tab to what it shows."""
WHEN_SHOWN = {"Screen"}
"""Tabs that are read only while they are shown, because a screenshot is work for the hypervisor."""
EVENTS = 200
"""Events that are shown."""


class Detail(Screen[None]):
    """One VM. Everything is read in threads.

    Args:
        host: the VM's host.
        vm: the VM.
        console: opens the console of the VM in the terminal.
    """

    DEFAULT_CSS = "Detail AutoImage, Detail SixelImage, Detail Image { width: auto; height: auto; max-width: 100%; }"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "Back"),
        Binding("f5,r", "read", "Read again"),
        Binding("t", "console", "Console"),
        Binding("w", "save", "Save screenshot"),
        Binding("left,h", "turn(-1)", "Previous", show=False),
        Binding("right,l", "turn(1)", "Next", show=False),
    ]

    def __init__(self, host: Any, vm: VMState, console: Callable[[VMState], object] = lambda _: None) -> None:
        super().__init__()
        self._open_console = console
        self._host, self._vm = host, vm
        self._displays = Displays()
        self._events: list[Any] = []
        self._reading: set[str] = set()
        self._screenshot: Screenshot | None = None
        self._picture = Image()
        self._post = Post()
        self._tabs = TabbedContent()
        self._texts = {
            name: Static("reading ..." if name in PARTS else "no event yet", id=f"{name.lower()}-text")
            for name in (*PARTS, "Events")
        }

    def compose(self) -> ComposeResult:
        """Yield the widgets."""
        yield Static(Text(printable_line(f"{self._vm.name} on {self._vm.host}"), style="bold reverse"))
        with self._tabs:
            for name, text in self._texts.items():
                with TabPane(name, id=name.lower()), VerticalScroll():
                    yield text
                    if name == "Screen":
                        yield self._picture
        yield Footer()

    def on_mount(self) -> None:
        """Read everything, and watch."""
        self._post.open()
        self.action_read()
        in_thread(self._watch, "novacron-top-events")

    def on_unmount(self) -> None:
        """Stop watching."""
        self._post.close()

    def action_back(self) -> None:
        """Close the screen. A second key that was typed before it closed has no effect."""
        if self.is_active:
            self.dismiss()

    def action_read(self) -> None:
        """Read all tabs again. A tab whose last reading has not ended yet is not read twice at the same time."""
        for name in PARTS:
            if name not in WHEN_SHOWN or self._tabs.active == name.lower():
                self._read_soon(name)

    def on_tabbed_content_tab_activated(self, event: TabbedContent.TabActivated) -> None:
        """Read a tab that is read only while it is shown."""
        for name in WHEN_SHOWN:
            if event.pane.id == name.lower():
                self._read_soon(name)

    def action_console(self) -> None:
        """Leave the screen for the console of the VM."""
        if self.is_active:
            self._open_console(self._vm)

    def action_save(self) -> None:
        """Save the screenshot in a new file of the current folder."""
        if self._screenshot is None:
            return
        ending = {"image/png": "png", "image/jpeg": "jpg"}.get(self._screenshot.mime_type, "ppm")
        name = re.sub(r"[^\w.-]", "_", self._vm.name)
        file = Path(f"{name}-{datetime.now():%Y%m%d-%H%M%S}.{ending}")
        try:
            with new_file(file) as target:
                target.write(self._screenshot.data)
        except (NovaCronError, OSError) as error:
            self.notify(printable_line(str(error)), severity="error", markup=False)
        else:
            self.notify(f"saved {file}", markup=False)

    def action_turn(self, by: int) -> None:
        """Show the next tab."""
        names = [name.lower() for name in self._texts]
        if self._tabs.active in names:
            self._tabs.active = names[(names.index(self._tabs.active) + by) % len(names)]

    def _read_soon(self, name: str) -> None:
        if name not in self._reading:
            self._reading.add(name)
            in_thread(lambda: self._read(name, PARTS[name]), f"novacron-top-{name}")

    def _read(self, name: str, read: Callable[[Any], Any]) -> None:
        """Read and draw a tab, in a thread."""
        drawn: RenderableType | None
        try:
            value = read(self._host.vms[self._vm.id])
            if isinstance(value, Screenshot):
                self._post(self._show_picture, value, decoded(value.data))
                drawn = Text(f"{value.mime_type}, {len(value.data)} bytes; w saves it")
            else:
                drawn = self._displays.draw(value)
        except NovaCronError as error:
            drawn = error_line(error)
        except Exception as error:  # noqa: BLE001 - a defect of a driver costs one tab only
            drawn = Text(printable_line(f"{type(error).__name__}: {error}"), style="red")
        finally:
            self._reading.discard(name)
        self._post(self._show, name, drawn or Text("nothing"))

    def _show(self, name: str, drawn: RenderableType) -> None:
        if self.is_running:
            self._texts[name].update(drawn)

    def _show_picture(self, screenshot: Screenshot, picture: Any) -> None:
        self._screenshot = screenshot
        if self.is_running:
            self._picture.image = picture

    def _watch(self) -> None:
        """Subscribe, in a thread; if the screen was closed meanwhile, the subscription is closed at once."""
        if self._host.supports("event_subscribe"):
            try:
                self._post.until_closed(self._host.subscribe(self._happened))
            except NovaCronError as error:
                self._post(self._show, "Events", error_line(error))

    def _happened(self, event: Any) -> None:
        """Note an event; called in any thread."""
        if event.id == self._vm.id or event.resource == self._vm.name:
            self._post(self._note, event)

    def _note(self, event: Any) -> None:
        self._events = [event, *self._events[: EVENTS - 1]]
        self._show("Events", self._displays.draw(list(self._events)) or Text(""))


__all__ = ["Detail"]
