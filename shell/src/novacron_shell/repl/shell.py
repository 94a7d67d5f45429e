"""The prompt loop: ptpython with tables and cards for results, one-line errors, and `:` commands."""

from __future__ import annotations

import sys
import time
from typing import Any

from prompt_toolkit.document import Document
from prompt_toolkit.validation import Validator
from ptpython.repl import PythonRepl
from ptpython.validator import PythonValidator

from novacron.errors import NovaCronError
from novacron_shell.repl.completer import ShellCompleter
from novacron_shell.repl.environment import Environment
from novacron_shell.repl.errors import from_typed_line, mistyped, tell
from novacron_shell.repl.interpreter import Interpreter, is_special
from novacron_shell.repl.keys import bindings
from novacron_shell.repl.toolbar import Prompt, Toolbar


class Shell(PythonRepl):
    """The interactive shell.

    Args:
        environment: the session.
        toolbar: the line below the input.
        history: path of the history file.
    """

    def __init__(self, environment: Environment, toolbar: Toolbar, history: str) -> None:
        self._shell, self._toolbar = environment, toolbar
        self._interpreter = Interpreter(environment, super().eval)
        completer = ShellCompleter(environment, self._interpreter.commands)
        super().__init__(
            get_globals=lambda: environment.names,
            get_locals=lambda: environment.names,
            history_filename=history,
            vi_mode=environment.config.editing == "vi",
            extra_key_bindings=bindings(),
            _completer=completer,
            _validator=_LineValidator(self.get_compiler_flags),
            _extra_toolbars=[toolbar.drawn()],
        )
        environment.evaluate = self._interpreter.evaluate
        environment.history = lambda: list(reversed(list(self.history.load_history_strings())))
        self._look()

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
        self.all_prompt_styles["novacron"] = Prompt()
        self.prompt_style = "novacron"
        if self._shell.config.theme in self.code_styles:
            self.use_code_colorscheme(self._shell.config.theme)

    def eval(self, line: str) -> object:
        """Run what was typed, keep it for `:save`, then read the inventory again in the background."""
        began, failed = time.monotonic(), True
        try:
            value = self._interpreter.evaluate(line)
            failed = self._interpreter.code != 0
            return value
        finally:
            self._toolbar.took = time.monotonic() - began
            self._shell.transcript.add(self._interpreter.plain(line), self.current_statement_index, failed=failed)
            self._shell.vms.refresh_soon()

    def _show_result(self, result: object) -> None:
        try:
            self._shell.displays.show(result, self._shell.console)
        except NovaCronError as error:
            self._handle_exception(error)

    def _handle_exception(self, e: BaseException) -> None:
        self._shell.error = e
        sys.last_type, sys.last_value, sys.last_traceback = type(e), e, e.__traceback__
        if isinstance(e, NovaCronError):
            return tell(self._shell.console, e)
        if isinstance(e, (AttributeError, NameError, KeyError)) and from_typed_line(e):
            return mistyped(self._shell.console, e, self.get_globals())
        return super()._handle_exception(e)


class _LineValidator(Validator):
    """Accepts lines that are no Python, and Python without syntax errors."""

    def __init__(self, flags: Any) -> None:
        self._python = PythonValidator(flags)

    def validate(self, document: Document) -> None:
        """Raise ValidationError if Python does not understand the text."""
        if not is_special(document.text):
            self._python.validate(document)


__all__ = ["Shell"]
