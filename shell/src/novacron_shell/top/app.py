"""The screen of `novacron top`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import replace
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, HelpPanel, Input, Static

from novacron.text import printable_line
from novacron.threads import in_thread
from novacron.units import format_duration, format_size
from novacron_shell.repl.sparklines import sparkline
from novacron_shell.top.actions import ACTIONS, Action, do, named
from novacron_shell.top.detail import Detail
from novacron_shell.top.dialogs import Choose, Confirm
from novacron_shell.top.model import COLUMNS, HostState, View, VMState, lines
from novacron_shell.top.posting import Post
from novacron_shell.top.reading import Reader
from novacron_shell.top.table import VMTable

REDRAW = 0.2
"""Seconds between two redraws at least: answers of many hosts that come together are one redraw."""
OF_THE_LIST = {"filter", "sort", "reverse", "group", "columns", "read", "clear", "console", "act", "mark", "mark_all"}
"""Actions on the list of VMs."""
HOST_COLUMNS = ("HOST", "CPU%", "LAST", "MEMORY", "VMS")
NARROW = 60
"""Columns of a terminal with room for the curves and the memory of the hosts."""
DRAWN_AGAIN = 30
"""Pause after a redraw because of new values, as a multiple of how long it took."""


class Top(App[None]):
    """Hosts and VMs, live.

    Args:
        reader: reads them.
        view: what is shown at first.
        console: opens the console of a VM in the terminal; None if there is none.
    """

    TITLE = "novacron top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #hosts { height: auto; max-height: 9; border-bottom: solid $primary; }
    #vms { height: 1fr; }
    #filter { display: none; height: 3; }
    #filter.open { display: block; }
    #message { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "quit", "Quit"),
        Binding("slash", "filter", "Filter"),
        Binding("o", "sort", "Sort"),
        Binding("r", "reverse", "Reverse"),
        Binding("g", "group", "Group"),
        Binding("c", "columns", "Columns"),
        Binding("f5", "read", "Read now", show=False),
        Binding("question_mark,f1", "help", "Keys", show=False),
        Binding("escape", "clear", "Clear", show=False),
        Binding("space", "mark", "Mark"),
        Binding("a", "mark_all", "Mark all", show=False),
        Binding("t", "console", "Console"),
        *(Binding(action.key, f"act('{name}')", action.title) for name, action in ACTIONS.items()),
    ]

    def __init__(self, reader: Reader, view: View | None = None, console: Callable[[VMState], object] | None = None) -> None:
        super().__init__()
        self.reader, self.view = reader, view or View()
        self._console = console
        self._dirty, self._next = True, 0.0
        self._post = Post()
        self._working: dict[Future[None], str] = {}
        self._hosts = Static(id="host-lines")
        self._filter = Input(placeholder="web-*  tag:web  host:kvm1  status:running", id="filter")
        self._table = VMTable()
        self._message = Static(id="message", markup=False)

    def compose(self) -> ComposeResult:
        """Yield the widgets."""
        with VerticalScroll(id="hosts", can_focus=False):
            yield self._hosts
        yield self._filter
        yield self._table
        yield self._message
        yield Footer()

    def on_mount(self) -> None:
        """Begin to read and to draw."""
        self._post.open()
        self._table.focus()
        self.reader.start()
        self.set_interval(REDRAW, self._redraw_if_changed)
        self.set_interval(1.0, self._draw_hosts)  # ages grow although nothing answers
        self.redraw()

    def on_unmount(self) -> None:
        """Stop reading."""
        self._post.close()
        self.reader.stop()

    def changed(self) -> None:
        """Note that something was read. May be called in any thread."""
        self._dirty = True

    def redraw(self) -> None:
        """Draw what was read last."""
        self._dirty = False
        began = time.monotonic()
        vms = self.reader.vms()
        self._table.marked &= {vm.key for vm in vms}
        self._table.show(lines(vms, self.view), self.view)
        self._draw_hosts()
        self._next = time.monotonic() + DRAWN_AGAIN * (time.monotonic() - began)

    @property
    def _visible(self) -> bool:
        """Whether the table is on the screen: not covered, and not closed yet."""
        return self.is_running and len(self._screen_stack) == 1

    def _redraw_if_changed(self) -> None:
        if self._dirty and self._visible and time.monotonic() >= self._next:
            self.redraw()

    def _draw_hosts(self) -> None:
        if self._visible:
            self._hosts.update(host_table(self.reader.hosts(), self.size.width))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key works now: those of the list neither work nor are shown while a VM or a question covers it."""
        return action not in OF_THE_LIST or self._visible

    def say(self, text: str, *, error: bool = False) -> None:
        """Show a message in the line above the keys."""
        style = "bold red" if error else "green"
        self._message.update(Text(printable_line(text), style=style))

    def change(self, view: View) -> None:
        """Show the VMs in another way."""
        if (view.group in ("tag", "folder") or "tag:" in view.filter) and self.reader.detail != "full":
            self.reader.detail = "full"
            self.reader.read_soon()
        self.view = view
        self.redraw()

    def action_filter(self) -> None:
        """Open the line for the filter."""
        self._filter.add_class("open")
        self._filter.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while one types."""
        if event.input.id == "filter":
            self.change(replace(self.view, filter=event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return to the table."""
        if event.input.id == "filter":
            event.input.set_class(bool(event.value), "open")
            self._table.focus()

    def action_clear(self) -> None:
        """Remove the filter and all marks."""
        if self._table.marked:
            self._table.unmark()
            self.say("")
        self._filter.value = ""
        self._filter.remove_class("open")
        self._table.focus()

    def action_sort(self) -> None:
        """Sort by the next column."""
        names = list(self.view.columns)
        at = names.index(self.view.sort) if self.view.sort in names else -1
        self.change(replace(self.view, sort=names[(at + 1) % len(names)], reverse=False))

    def action_reverse(self) -> None:
        """Reverse the order."""
        self.change(replace(self.view, reverse=not self.view.reverse))

    def action_group(self) -> None:
        """Group in the next way."""
        self.change(self.view.next_group())
        self.say(f"grouped by {self.view.group}" if self.view.group else "not grouped")

    def action_columns(self) -> None:
        """Choose the columns."""
        self.push_screen(
            Choose("Columns", [(column.title, name) for name, column in COLUMNS.items()], several=self.view.columns),
            lambda chosen: self.change(replace(self.view, columns=tuple(chosen))) if chosen else None,
        )

    def action_help(self) -> None:
        """Show all keys beside the table, or hide them."""
        if self.screen.query(HelpPanel):
            self.action_hide_help_panel()
        else:
            self.action_show_help_panel()

    def action_read(self) -> None:
        """Read all hosts now."""
        self.reader.read_soon()

    def on_vmtable_sort_asked(self, event: VMTable.SortAsked) -> None:
        """Sort by the column whose heading was clicked."""
        self.change(self.view.sorted_by(event.column))

    def on_vmtable_chosen(self, event: VMTable.Chosen) -> None:
        """Show all of one VM."""
        host = self.reader.host(event.vm.host)
        if not self._visible:
            return
        if host is None:
            self.say(f"{event.vm.host} has not answered yet", error=True)
        else:
            self.push_screen(Detail(host, event.vm, self.open_console))

    def action_console(self) -> None:
        """Open the console of the VM under the cursor."""
        vm = self._table.selected
        if vm is not None and self._visible:
            self.open_console(vm)

    def open_console(self, vm: VMState) -> None:
        """Leave the screen for the console of a VM, and come back."""
        if self._console is not None:
            with self.suspend():
                self._console(vm)
            self.refresh()

    def action_mark(self) -> None:
        """Mark the VM under the cursor, or those of the group; unmark what is marked."""
        self._table.mark()
        self._say_marked()

    def action_mark_all(self) -> None:
        """Mark all VMs that are listed, or none if all are marked."""
        self._table.mark_all()
        self._say_marked()

    def _say_marked(self) -> None:
        count = len(self._table.marked)
        self.say(f"{count} VM{'s' if count != 1 else ''} marked; an action is for all of them, Escape unmarks" if count else "")

    def _chosen(self) -> list[VMState]:
        """Return the VMs of an action: the marked ones, otherwise the one under the cursor."""
        marked = [vm for vm in self.reader.vms() if vm.key in self._table.marked]
        here = self._table.selected
        return sorted(marked, key=lambda vm: vm.name) or ([here] if here is not None else [])

    def action_act(self, name: str) -> None:
        """Ask, then do something to the marked VMs, or to the one under the cursor."""
        chosen, action = self._chosen(), ACTIONS[name]
        if not chosen or not self._visible:
            return
        vms, stale = [vm for vm in chosen if not vm.stale], [vm for vm in chosen if vm.stale]
        silent = f"{', '.join(sorted({vm.host for vm in stale}))} does not answer; {named(stale)} can't be changed now"
        if not vms:
            self.say(silent, error=True)
        elif action.argument == "host":
            here = {vm.host for vm in vms}
            there = [host.name for host in self.reader.hosts() if host.error is None and {host.name} != here]
            if not there:
                self.say("there is no other host to migrate to", error=True)
                return
            self.push_screen(
                Choose(f"Migrate {named(vms)} from {', '.join(sorted(here))} to", [(host, host) for host in there]),
                lambda to: self._do([vm for vm in vms if vm.host != to], action, to) if to else None,
            )
        else:
            question = f"{action.title} {named(vms, hosts=True)}?" + (f" ({silent})" if stale else "")
            self.push_screen(Confirm(question), lambda yes: self._do(vms, action) if yes else None)

    def _do(self, vms: Sequence[VMState], action: Action, argument: Any = None) -> None:
        title = f"{action.title.lower()} {named(vms)}"
        self.say(f"{title} ...")
        self._table.unmark()
        done: Future[None] = Future()
        self._working[done] = title
        done.add_done_callback(lambda ended: self._working.pop(ended, None))
        in_thread(lambda: self._work(vms, action, argument), f"novacron-top-{action.title}", done)

    def _work(self, vms: Sequence[VMState], action: Action, argument: Any) -> None:
        """Do it, in a thread."""
        title = f"{action.title.lower()} {named(vms)}"
        other = self.reader.host(argument) if action.argument == "host" else None

        def work(vm: VMState) -> None:
            host = self.reader.host(vm.host)
            action.work(host.vms[vm.id] if host is not None else None, other)

        failed = do(vms, work)
        if len(failed) > 1:
            failed[1:] = [f"and {len(failed) - 1} more"]
        if failed:
            self._post(self.say, f"{title}: {', '.join(failed)}", error=True)
        else:
            self._post(self.say, f"{title}: done")
        self.reader.read_soon()

    def wait_for_actions(self, tell: Callable[[str], object]) -> None:
        """Wait until the actions that were started have ended: the process may end afterwards.

        Args:
            tell: called with a message if an action is still running.
        """
        working = dict(self._working)
        if working:
            tell(f"still running: {', '.join(working.values())}. Ctrl-C leaves without waiting")
            wait_for(working)


def host_table(hosts: list[HostState], width: int = NARROW) -> Table:
    """Return the hosts as rich draws them. One that does not answer is grey, with the age of its values.

    Args:
        hosts: the hosts.
        width: columns of the terminal; with few of them the curves and the memory are left out.
    """
    table = Table(box=None, header_style="bold", pad_edge=False, expand=False)
    longest = max((cell_len(printable_line(host.name)) for host in hosts), default=0)
    headings = HOST_COLUMNS if width >= NARROW else ("HOST", "CPU%", "VMS")
    for heading in headings:
        least = min(longest, width // 3) if heading == "HOST" else len(heading)
        table.add_column(heading, no_wrap=True, min_width=least, justify="left" if heading in ("HOST", "LAST") else "right")
    table.add_column("")
    for host in hosts:
        style = "dim" if host.error else ""
        used = "-" if host.memory_bytes is None else format_size(host.memory_bytes)
        if host.memory_bytes is not None and host.memory_free_bytes is not None:
            used = f"{format_size(host.memory_bytes - host.memory_free_bytes)} of {used}"
        cpu = "-" if host.cpu_percent is None or host.error else f"{host.cpu_percent:.0f}"
        note = Text("")
        if host.error:
            age = (
                "never answered"
                if host.age_seconds is None
                else f"no answer, seen {format_duration(round(host.age_seconds))} ago"
            )
            note = Text(f"{age}: {printable_line(host.error)}", style="red")
        elif host.age_seconds is None:
            note = Text("connecting ...", style="dim")
        curve = Text(sparkline(host.history, 20, full=100), style="cyan")
        values = (printable_line(host.name), cpu, curve, used, f"{host.running} of {host.vms}")
        cells: dict[str, str | Text] = dict(zip(HOST_COLUMNS, values, strict=True))
        table.add_row(*(cells[heading] for heading in headings), note, style=style)
    return table


__all__ = ["Top", "host_table"]
