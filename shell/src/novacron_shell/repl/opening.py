"""Opens the hosts of a session while the prompt is on the screen already."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import TYPE_CHECKING

from novacron.errors import AuthenticationError, NovaCronError
from novacron.threads import in_thread

if TYPE_CHECKING:
    from novacron_shell.options import Settings
    from novacron_shell.repl.environment import Environment
    from novacron_shell.repl.watching import ProgressPolicy

GRACE = 1.0
"""Seconds that the first line waits for hosts that have not answered. The session continues without them until they do."""


class Opening:
    """Connects to the hosts, reads their VMs, and adds all names and plugins to a session.

    Args:
        shell: the session.
        settings: the host that was named, otherwise the fleet.
        progress: the policy that all hosts get.

    Attributes:
        ready: done when all names are there and the hosts had `GRACE` seconds to answer; the first line waits for it.
        failed: called in a thread when the named host can't be opened; `error` says why.
        extended: called in a thread when plugins have extended the session.
    """

    def __init__(self, shell: Environment, settings: Settings, progress: ProgressPolicy) -> None:
        self._shell, self._settings, self._progress = shell, settings, progress
        self._begun = self._registered = False
        self.ready: Future[None] = Future()
        self.error: NovaCronError | None = None
        self.failed: Callable[[], object] = lambda: None
        self.extended: Callable[[], object] = lambda: None

    def begin(self) -> None:
        """Open everything in the background; does nothing if that has begun already."""
        if not self._begun:
            self._begun = True
            in_thread(self._open, "novacron-open", self.ready)

    def finish(self) -> None:
        """Open everything now. A password that is missing is asked for at the terminal.

        Raises:
            NovaCronError: the named host can't be opened.
        """
        self._begun, self.ready, self.error = True, Future(), None
        self._open(prompts=True)
        self.ready.set_result(None)

    def repeatable(self) -> bool:
        """Whether the named host could be opened if the user was asked for a password."""
        error = self.error
        return isinstance(error, AuthenticationError) and bool(error.details.get("option")) and sys.stdin.isatty()

    def _open(self, *, prompts: bool = False) -> None:
        from novacron_shell.repl.inventory import add_specs, first_names
        from novacron_shell.repl.session import add_actions

        shell = self._shell
        self._register()
        try:
            self._connect(prompts=prompts)
        except NovaCronError as error:
            self.error = error
            self.failed()
            raise
        first_names(shell.hosts, shell.vms, shell.names)
        reading = in_thread(shell.vms.refresh, "novacron-inventory")
        reading.add_done_callback(lambda _: self._name_unreachable())
        add_specs(shell.names)
        add_actions(shell)
        self._extend()
        wait_for([reading], timeout=GRACE)
        shell.vms.keep_fresh()

    def _name_unreachable(self) -> None:
        for name, error in self._shell.vms.unreachable.items():
            self._shell.announce(f"{name}: {error}")

    def _register(self) -> None:
        """Let all hosts that are connected from now on have the progress policy."""
        from novacron.site import default_site
        from novacron_shell.repl.plugin import ShellPlugin

        if not self._registered:
            default_site().plugins.register(ShellPlugin(self._progress), "shell")
            self._registered = True

    def _connect(self, *, prompts: bool) -> None:
        """Connect to the host that was named. The hosts of a small fleet are connected when their VMs are read."""
        from novacron_shell.repl.session import EAGER

        shell, settings = self._shell, self._settings
        if settings.connect or settings.host_name:
            settings.prompts = prompts
            shell.hosts.add(settings.host())
            return
        from novacron import fleet

        names = [host.name for host in fleet().list()]
        if len(names) <= EAGER:
            shell.vms.expect(names)

    def _extend(self) -> None:
        from novacron.site import default_site
        from novacron_shell.repl.extension import extend

        for problem in extend(self._shell, default_site().plugins.hook.extend_shell):
            self._shell.announce(problem)
        self.extended()


__all__ = ["Opening"]
