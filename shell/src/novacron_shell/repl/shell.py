"""The prompt loop: ptpython with tables and cards for results, one-line errors, and `:` commands."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import in_terminal
from prompt_toolkit.document import Document
from prompt_toolkit.input.typeahead import clear_typeahead
from prompt_toolkit.validation import Validator
from ptpython.history_browser import PythonHistory
from ptpython.repl import PythonRepl
from ptpython.validator import PythonValidator
from rich.text import Text

from novacron.errors import NovaCronError
from novacron.text import printable
from novacron.threads import result_of
from novacron.units import format_duration
from novacron_shell.repl.completer import ShellCompleter
from novacron_shell.repl.coroutines import compiled, run_code
from novacron_shell.repl.environment import Environment
from novacron_shell.repl.errors import from_typed_line, mistyped, tell
from novacron_shell.repl.history_search import HistorySearch
from novacron_shell.repl.interpreter import Interpreter, is_special
from novacron_shell.repl.interrupts import DetachedError, Interrupts, interrupts_call
from novacron_shell.repl.jobs import Listed
from novacron_shell.repl.keys import add_keys, bindings
from novacron_shell.repl.themes import INPUT
from novacron_shell.repl.toolbar import Prompt, Toolbar
from novacron_shell.repl.watching import ProgressPolicy

if TYPE_CHECKING:
    from novacron_shell.repl.opening import Opening


class Shell(PythonRepl):
    """The interactive shell.

    Args:
        environment: the session.
        toolbar: the line below the input.
        history: path of the history file.
        progress: draws progress bars while a line runs.
        opening: opens the hosts when the prompt is on the screen.
    """

    def __init__(
        self,
        environment: Environment,
        toolbar: Toolbar,
        history: str,
        progress: ProgressPolicy,
        opening: Opening | None = None,
    ) -> None:
        self._shell, self._toolbar, self._opening = environment, toolbar, opening
        self._interrupts = Interrupts(environment.jobs, progress)
        self._waiting: deque[str] = deque()
        self._detached: set[int] = set()
        self._typing = False
        self._interpreter = Interpreter(environment, self._python)
        completer = ShellCompleter(environment, self._interpreter.commands)
        super().__init__(
            get_globals=lambda: environment.names,
            get_locals=lambda: environment.names,
            history_filename=history,
            vi_mode=environment.config.editing == "vi",
            extra_key_bindings=bindings(environment, lambda: self.search_history()),
            _completer=completer,
            _validator=_LineValidator(self.get_compiler_flags),
            _extra_toolbars=toolbar.drawn(),
        )
        environment.announce = self.announce
        environment.jobs.announce = self._ended
        progress.at_prompt = lambda: self._typing
        environment.evaluate = self._interpreter.evaluate
        environment.history = lambda: list(reversed(list(self.history.load_history_strings())))
        self._look()
        self.app.after_render += lambda _: self._say_above()
        if opening is not None:
            opening.failed, opening.extended = self._leave, lambda: add_keys(self.extra_key_bindings, environment)
            self.app.after_render += lambda _: opening.begin()

    def run(self) -> None:
        """Read and run lines until the user leaves. Ctrl-C between two prompts is a signal, and does not end the shell."""
        while True:
            try:
                return super().run()
            except KeyboardInterrupt:
                continue

    def read(self) -> str:
        """Read a line.

        The terminal stays in raw mode until the line is complete, also while ptpython ends one prompt and begins the next. Ctrl-C is
        therefore a key, in order with the other keys. As a signal it could arrive after keys that were typed later, and clear these.

        ptpython reads in a thread. The signal, which other processes can still send, would end the waiting for that thread, not the
        thread. So it clears the line, as the key does.
        """
        with self._reading(), self.app.input.raw_mode():
            while True:
                try:
                    return super().read()
                except _Aside as aside:
                    self._choose(aside.screen)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Say that the user is typing, and let SIGINT clear the line, within the block."""
        self._typing = True
        try:
            with interrupts_call(lambda: self._in_loop(self._clear)):
                yield
        finally:
            self._typing = False

    def enter_history(self) -> None:
        """Let the user choose lines from the history."""

        def browse() -> str | None:
            self._load_history()
            chosen: str | None = PythonHistory(self, self.default_buffer.document).app.run(in_thread=True)
            return chosen

        self._show_aside(browse)

    def search_history(self) -> None:
        """Let the user search the history for the letters that are typed."""
        typed = self.default_buffer.text

        def search() -> str | None:
            self._load_history()
            lines = reversed(self.history.get_strings())
            return HistorySearch(lines).run(self.app.input, self.app.output, typed)

        self._show_aside(search)

    def _load_history(self) -> None:
        """Wait until the whole history is there. It is loaded in the background while the first prompt is shown."""

        async def load() -> None:
            async for _ in self.history.load():
                pass

        asyncio.run(load())

    def _show_aside(self, screen: Callable[[], str | None]) -> None:
        """Show a screen that returns a line for the prompt.

        The prompt ends for as long as the screen is there, so that the screen gets the keys that were typed after the one that opened it.
        """
        self.app.erase_when_done = True
        self.show_sidebar = False  # a prompt can't begin with the focus on it
        self.app.layout.focus(self.default_buffer)
        self._exit(_Aside(screen))

    def _choose(self, screen: Callable[[], str | None]) -> None:
        self.app.erase_when_done = False
        chosen = screen()
        if chosen is not None:
            self.default_buffer.document = Document(chosen)  # the cursor is at the end

    @asynccontextmanager
    async def _aside(self) -> AsyncIterator[None]:
        """Take the prompt off the screen for a while. Ctrl-C stays a key, unlike with `in_terminal` alone."""
        async with in_terminal():
            with self.app.input.raw_mode():
                yield

    def _clear(self) -> None:
        self._exit(KeyboardInterrupt(), "class:aborting")

    def _leave(self) -> None:
        """End the prompt. May be called in any thread."""
        self._in_loop(lambda: self._exit(EOFError()))

    def _exit(self, why: BaseException, style: str = "") -> None:
        """End the prompt with an exception, unless it has ended."""
        if self.app.future is not None and not self.app.future.done():
            self.app.exit(exception=why, style=style)

    def _opened(self) -> None:
        """Wait for the names and hosts of the session. Leaves the shell if the named host can't be opened."""
        if self._opening is None:
            return
        try:
            result_of(self._opening.ready)
        except NovaCronError:
            raise SystemExit from None  # whoever runs the shell reports the error

    def _look(self) -> None:
        self.title = "NovaCron"
        self.enable_dictionary_completion = True
        self.enable_auto_suggest = True
        self.complete_while_typing = True
        self.confirm_exit = False
        self.show_signature = True
        self.highlight_matching_parenthesis = True
        self.show_status_bar = False
        self.app.refresh_interval = 1.0  # the toolbar shows what was read in the background
        self.all_prompt_styles["novacron"] = Prompt(self._shell)
        self.prompt_style = "novacron"
        theme = self._shell.config.theme
        if theme is not None and theme in INPUT:
            theme, self.min_brightness, self.max_brightness = INPUT[theme]
        if theme in self.code_styles:
            self.use_code_colorscheme(theme)

    def eval(self, line: str) -> object:
        """Run what was typed, keep it for `:save`, then read the inventory again in the background."""
        self._opened()
        began, failed = time.monotonic(), True
        try:
            with self._interrupts.offered():
                value = self._interpreter.evaluate(line)
            failed = self._interpreter.code != 0
            return value
        finally:
            self._toolbar.took = time.monotonic() - began
            self._shell.transcript.add(self._interpreter.plain(line), self.current_statement_index, failed=failed)
            self._shell.vms.refresh_soon()
            self._say_waiting()

    def _python(self, line: str) -> object:
        """Run Python and return its value. An expression's value becomes `_`; code with `await` runs on the session's event loop."""
        if "" not in sys.path:  # Jedi removes it
            sys.path.insert(0, "")
        try:
            code, mode = compiled(line, mode="eval", flags=self.get_compiler_flags()), "eval"
        except SyntaxError:
            code, mode = compiled(line, flags=self.get_compiler_flags()), "exec"
        value = run_code(code, self._shell.names, self._shell.coroutines)
        if mode == "eval":
            self._store_eval_result(value)
        return value

    def announce(self, text: str) -> None:
        """Print a message above the prompt; while a line runs, after it. May be called in any thread, also while the prompt closes."""
        self._waiting.append(text)
        self._in_loop(self._say_above)

    def _in_loop(self, work: Callable[[], object]) -> None:
        """Call `work` soon in the thread of the prompt; not at all if there is no prompt now."""
        loop = self.app.loop
        if loop is not None and self.app.is_running:
            with suppress(RuntimeError):  # the prompt has closed at this moment
                loop.call_soon_threadsafe(work)

    def _say_above(self) -> None:
        """Print what waits above the prompt, if there is one; otherwise it is printed with the next prompt."""
        if self._waiting and self.app.is_running:
            self._saying = asyncio.ensure_future(self._say_aside())

    async def _say_aside(self) -> None:
        async with self._aside():
            self._say_waiting()

    def _say_waiting(self) -> None:
        with suppress(IndexError):
            while True:
                self._say(self._waiting.popleft())

    def _say(self, text: str) -> None:
        self._shell.console.print(Text(printable(text)))

    def _ended(self, job: Listed) -> None:
        """Announce the end of a job that nobody waited for."""
        if self._typing or job.number in self._detached:
            self._detached.discard(job.number)
            mark = "✔" if job.error is None else "✘"
            why = f": {job.error}" if job.error is not None else f" in {format_duration(round(job.seconds, 1))}"
            self.announce(f"{mark} job {job.number}: {job.title} {job.status}{why}")

    def _show_result(self, result: object) -> None:
        try:
            self._shell.displays.show(result, self._shell.console)
        except NovaCronError as error:
            self._handle_exception(error)

    def _handle_keyboard_interrupt(self, e: KeyboardInterrupt) -> None:
        """Say what became of what was interrupted. Lines that were typed or pasted before Ctrl-C do not run."""
        clear_typeahead(self.app.input)
        for note in getattr(e, "__notes__", ()) or ("interrupted",):
            self._shell.console.print(Text(printable(note), style="yellow"))

    def _handle_exception(self, e: BaseException) -> None:
        if isinstance(e, DetachedError):
            self._detached |= {job.number for job in e.jobs}
            for job in e.jobs:
                self._say(f"job {job.number}, {job.title}, continues; `:jobs {job.number}` waits for it")
            return None
        self._shell.error = e
        sys.last_type, sys.last_value, sys.last_traceback = type(e), e, e.__traceback__
        if isinstance(e, NovaCronError):
            return tell(self._shell.console, e)
        if isinstance(e, (AttributeError, NameError, KeyError)) and from_typed_line(e):
            return mistyped(self._shell.console, e, self.get_globals())
        return super()._handle_exception(e)


class _Aside(Exception):
    """Ends the prompt for a screen from which the user chooses a line."""

    def __init__(self, screen: Callable[[], str | None]) -> None:
        super().__init__()
        self.screen = screen


class _LineValidator(Validator):
    """Accepts lines that are no Python, and Python without syntax errors."""

    def __init__(self, flags: Any) -> None:
        self._python = PythonValidator(flags)

    def validate(self, document: Document) -> None:
        """Raise ValidationError if Python does not understand the text."""
        if not is_special(document.text):
            self._python.validate(document)


__all__ = ["Shell"]
