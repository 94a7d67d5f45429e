"""What the parts of one shell session share: names, hosts, VMs, jobs, aliases and what was typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from novacron_shell.repl.catalogue import Catalogue
from novacron_shell.repl.completion.isolation import IsolatedCompleter
from novacron_shell.repl.config import ShellConfig
from novacron_shell.repl.coroutines import Coroutines
from novacron_shell.repl.display import Displays
from novacron_shell.repl.inventory import Inventory, OpenHosts
from novacron_shell.repl.jobs import JobBook
from novacron_shell.repl.transcript import Transcript
from novacron_shell.settings import Settings


@dataclass
class Environment:
    """One session.

    Attributes:
        names: the Python names that the user works with.
        console: where results are printed.
        hosts: the connected hosts.
        vms: the VMs of these hosts.
        jobs: long operations, running and ended.
        config: aliases and looks, from the configuration file.
        transcript: what was typed in this session.
        completers: the completers of plugins.
        commands: `:` commands of plugins.
        keys: keys of plugins, with what they do and what they are for.
        toolbar_items: texts of plugins for the toolbar.
        announce: prints a message above the prompt.
        displays: how values are shown.
        started_for: the options that chose the hosts of the session, such as ("-c", "sim://lab"); empty for the fleet.
        coroutines: runs coroutines of typed lines.
        error: the last error.
        evaluate: runs a typed line and returns its value.
        history: returns all lines of the history, oldest first.
    """

    names: dict[str, Any]
    console: Console
    hosts: OpenHosts
    vms: Inventory
    jobs: JobBook = field(default_factory=JobBook)
    config: ShellConfig = field(default_factory=ShellConfig)
    transcript: Transcript = field(default_factory=Transcript)
    completers: list[IsolatedCompleter] = field(default_factory=list)
    commands: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, tuple[Callable[[], object], str]] = field(default_factory=dict)
    toolbar_items: list[Callable[[], str]] = field(default_factory=list)
    announce: Callable[[str], object] = print
    displays: Displays = field(default_factory=Displays)
    started_for: tuple[str, ...] = ()
    coroutines: Coroutines = field(default_factory=Coroutines)
    error: BaseException | None = None
    evaluate: Callable[[str], object] = lambda line: None
    history: Callable[[], list[str]] = list

    def __post_init__(self) -> None:
        self.catalogue = Catalogue(self.hosts)

    def close(self) -> None:
        """Cancel all coroutines and close the connections."""
        self.coroutines.close()
        self.vms.close()
        self.hosts.close()


class ShellSettings(Settings):
    """The common options of a command in the shell. Commands use the connections of the shell and do not close them.

    Args:
        shell: the session.
        connect, host, output, timeout: the common options.
    """

    def __init__(
        self,
        shell: Environment,
        connect: str | None = None,
        host: str | None = None,
        output: str | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(connect, host, output, timeout)
        self.shell = shell
        self._kept = {id(handle) for handle in shell.hosts.values()}
        for handle in shell.hosts.values():
            self._open |= {handle.uri: handle, handle.name: handle}

    def derived(self, connect: str | None, host: str | None, output: str | None, timeout: float | None) -> Settings:
        """Return settings of the same session with other options."""
        return ShellSettings(self.shell, connect, host, output, timeout)

    def choose(self, default: str | None) -> None:
        """A session that was started for a host stays with it, whatever the environment and the files say, also if it is not connected."""
        if not self.shell.started_for:
            super().choose(default)
        elif not self.shell.hosts:
            option, place = self.shell.started_for
            self.connect, self.host_name = (place, None) if option == "-c" else (None, place)

    def fleet(self) -> list[str]:
        """Return the names of the connected hosts, and of the fleet's hosts unless the session was started for one host."""
        registered = [] if self.shell.started_for else super().fleet()
        return sorted({*self.shell.hosts, *registered})

    def known_vms(self) -> dict[str, list[str]]:
        """Return the names of VMs by host, from the inventory of the shell."""
        found: dict[str, list[str]] = {name: [] for name in self.shell.hosts}
        for vm in self.shell.vms.values():
            found.setdefault(vm.host.name, []).append(vm.name)
        return found

    def close(self) -> None:
        """Close connections that this command opened to hosts outside of the fleet. The fleet keeps its own connections."""
        while self._open:
            place, host = self._open.popitem()
            if "://" in place and id(host) not in self._kept:
                host.close()


__all__ = ["Environment", "ShellSettings"]
