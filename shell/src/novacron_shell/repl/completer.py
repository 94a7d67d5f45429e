"""Completion at the prompt: `:` commands, names of resources and arguments, completers of plugins, and what ptpython completes."""

from __future__ import annotations

from collections.abc import Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from ptpython.completer import PythonCompleter

from novacron.text import printable_line
from novacron_shell.repl.commands import CommandLine
from novacron_shell.repl.completion.names import MOST, Names
from novacron_shell.repl.completion.suggestions import belongs_to_path, suggest
from novacron_shell.repl.environment import Environment
from novacron_shell.repl.transcript import COMMAND, PROGRAM


class ShellCompleter(Completer):
    """The completer of the prompt.

    Args:
        shell: the session.
        commands: completes `:` commands.
    """

    def __init__(self, shell: Environment, commands: CommandLine) -> None:
        self._shell, self._commands = shell, commands
        self._python = PythonCompleter(lambda: shell.names, lambda: shell.names, lambda: False)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Yield completions of the text before the cursor. Names with control characters are left out."""
        return (each for each in self._completions(document, complete_event) if each.text == printable_line(each.text))

    def _completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if text.lstrip().startswith(COMMAND):
            for found, length, meta in list(self._commands.complete(text.lstrip()[1:]))[:MOST]:
                yield Completion(found, -length, display=printable_line(found), display_meta=printable_line(meta))
        elif text.lstrip().startswith(PROGRAM) or belongs_to_path(text):
            yield from self._python.get_completions(document, complete_event)
        else:
            yield from self._of_python(document, complete_event)

    def _of_python(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        text, after = document.text_before_cursor, document.text_after_cursor
        seen = set()
        for found in suggest(text, names_of(self._shell)):
            inserted = _without_rest(found.text, after)
            seen.add(inserted)
            about = printable_line(found.about)
            yield Completion(inserted, -found.replaced, display=printable_line(found.shown), display_meta=about)
        word = document.get_word_before_cursor()
        for completer in self._shell.completers:
            yield from (Completion(each, -len(word), display=printable_line(each)) for each in completer.ask(text))
        if not _in_string(text):
            yield from (each for each in self._python.get_completions(document, event) if each.text not in seen)


def names_of(shell: Environment) -> Names:
    """Return what is known now. Nothing is asked: the inventory and the catalogue were read in the background."""
    from novacron.workflow.kinds.registry import default_kinds

    on_host: dict[str, list[str]] = {}
    vms: dict[str, str] = {}
    for name, vm in list(shell.vms.items()):
        vms[name] = f"{vm.status} on {vm.host.name}"
        on_host.setdefault(vm.host.name, []).append(vm.name)
    flows = shell.names.get("flows")
    return Names(
        vms=vms,
        on_host=on_host,
        hosts={host.name: host.uri for host in shell.hosts.values()} | shell.catalogue.registered,
        pools=shell.catalogue.of("pools"),
        networks=shell.catalogue.of("networks"),
        images=shell.catalogue.of("images"),
        templates=shell.catalogue.of("templates"),
        filters=shell.catalogue.of("filters"),
        flows={name: flows[name].usage for name in dir(flows)} if flows is not None else {},
        steps={name.replace("-", "_"): "" for name in default_kinds().names()},
        python=shell.names,
    )


def _without_rest(text: str, after: str) -> str:
    """Return a completion without the end that already stands after the cursor, such as `"]`."""
    for length in range(len(text), 0, -1):
        if after.startswith(text[-length:]) and not text[-length:].isalnum() and length <= 4:
            return text[:-length]
    return text


def _in_string(text: str) -> bool:
    from novacron_shell.repl.completion.scanning import scan

    place = scan(text)
    return place.quote is not None or place.comment


__all__ = ["ShellCompleter", "names_of"]
