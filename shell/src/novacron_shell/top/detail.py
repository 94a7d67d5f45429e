"""All of one VM: its fields, disks, NICs, snapshots and events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static, TabbedContent, TabPane

from novacron.errors import NovaCronError
from novacron.text import printable_line
from novacron_shell.repl.display import Displays, error_line
from novacron_shell.top.model import VMState

PARTS: dict[str, Callable[[Any], Any]] = {
    "VM": lambda vm: vm.refresh(),
    "Disks": lambda vm: vm.disks,
    "NICs": lambda vm: vm.nics,
    "Snapshots": lambda vm: vm.snapshots,
    "Metrics": lambda vm: vm.metrics(),
    "Guest": lambda vm: vm.guest,
}
"""Name of a tab to what it shows."""
EVENTS = 200
"""Events that are shown."""


class Detail(Screen[None]):
    """One VM. Everything is read in threads.

    Args:
        host: the VM's host.
        vm: the VM.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "app.pop_screen", "Back"),
        Binding("f5,r", "read", "Read again"),
        Binding("left,h", "turn(-1)", "Previous", show=False),
        Binding("right,l", "turn(1)", "Next", show=False),
    ]

    def __init__(self, host: Any, vm: VMState) -> None:
        super().__init__()
        self._host, self._vm = host, vm
        self._displays = Displays()
        self._events: list[Any] = []
        self._subscription: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._texts = {
            name: Static("reading ..." if name in PARTS else "no event yet", id=f"{name.lower()}-text")
            for name in (*PARTS, "Events")
        }

    def compose(self) -> ComposeResult:
        """Yield the widgets."""
        yield Static(Text(printable_line(f"{self._vm.name} on {self._vm.host}"), style="bold reverse"))
        with TabbedContent():
            for name, text in self._texts.items():
                with TabPane(name, id=name.lower()), VerticalScroll():
                    yield text
        yield Footer()

    def on_mount(self) -> None:
        """Read everything, and watch."""
        self._loop = asyncio.get_running_loop()
        self.action_read()
        self.run_worker(self._watch, thread=True, name="novacron-top-events")

    def on_unmount(self) -> None:
        """Stop watching."""
        self._loop = None
        if self._subscription is not None:
            self._subscription.close()

    def action_read(self) -> None:
        """Read all tabs again."""
        for name, read in PARTS.items():
            self.run_worker(lambda name=name, read=read: self._read(name, read), thread=True, name=f"novacron-top-{name}")

    def action_turn(self, by: int) -> None:
        """Show the next tab."""
        tabs = self.query_one(TabbedContent)
        names = [name.lower() for name in self._texts]
        tabs.active = names[(names.index(tabs.active) + by) % len(names)]

    def _read(self, name: str, read: Callable[[Any], Any]) -> None:
        drawn: RenderableType | None
        try:
            drawn = self._displays.draw(read(self._host.vms[self._vm.id]))
        except NovaCronError as error:
            drawn = error_line(error)
        self.app.call_from_thread(self._show, name, drawn or Text("nothing"))

    def _show(self, name: str, drawn: RenderableType) -> None:
        if self.is_running:
            self._texts[name].update(drawn)

    def _watch(self) -> None:
        if self._host.supports("event_subscribe"):
            try:
                self._subscription = self._host.subscribe(self._happened)
            except NovaCronError as error:
                self.app.call_from_thread(self._show, "Events", error_line(error))

    def _happened(self, event: Any) -> None:
        """Note an event; called in any thread."""
        if self._loop is not None and (event.id == self._vm.id or event.resource == self._vm.name):
            self._loop.call_soon_threadsafe(self._note, event)

    def _note(self, event: Any) -> None:
        self._events = [event, *self._events[: EVENTS - 1]]
        self._show("Events", self._displays.draw(list(self._events)) or Text(""))


__all__ = ["Detail"]
