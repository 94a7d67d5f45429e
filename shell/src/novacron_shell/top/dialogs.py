"""Questions of `top`: yes or no, and a choice from a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label, OptionList, SelectionList
from textual.widgets.option_list import Option
from textual.widgets.selection_list import Selection

from novacron.text import printable_line

STYLE = """
Confirm, Choose { align: center middle; }
.dialog { width: auto; min-width: 40; max-width: 90%; height: auto; max-height: 80%; padding: 1 2; }
.dialog { border: thick $primary; background: $surface; }
.dialog Horizontal { height: auto; width: auto; }
.dialog OptionList, .dialog SelectionList { height: auto; max-height: 20; width: 50; }
"""


class Dialog(ModalScreen[Any]):
    """A question that is answered once: a key that was typed twice before the screen closed has no effect the second time."""

    CSS = STYLE

    def answer(self, value: Any) -> None:
        """Close the screen with an answer."""
        if self.is_active:
            self.dismiss(value)


class Confirm(Dialog):
    """Asks a question. Only `y` and the button "Yes" say yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "say(True)", "Yes"),
        Binding("n,escape,q", "say(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self.question = printable_line(question)
        self._no = Button("No (n)", id="no")

    def compose(self) -> ComposeResult:
        """Yield the widgets; "No" has the focus."""
        with Vertical(classes="dialog"):
            yield Label(self.question, markup=False)
            with Horizontal():
                yield self._no
                yield Button("Yes (y)", id="yes", variant="warning")

    def on_mount(self) -> None:
        """Let Enter say no."""
        self._no.focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        self.answer(event.button.id == "yes")

    def action_say(self, yes: bool) -> None:
        """Answer."""
        self.answer(yes)


class Choose(Dialog):
    """Offers choices, as pairs of text and value: one of them, or several if the present ones are given."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "cancel", "Cancel"),
        Binding("enter", "take", "Take", priority=True),
    ]

    def __init__(self, title: str, choices: Sequence[tuple[str, str]], *, several: Sequence[str] | None = None) -> None:
        super().__init__()
        self._title, self._choices, self._several = printable_line(title), choices, several
        self._one = OptionList(
            *(Option(printable_line(text), id=str(number)) for number, (text, _) in enumerate(choices)), markup=False
        )
        self._many = SelectionList[str](
            *(Selection(printable_line(text), value, value in (several or ())) for text, value in choices)
        )

    def compose(self) -> ComposeResult:
        """Yield the widgets."""
        with Vertical(classes="dialog"):
            yield Label(self._title, markup=False)
            if self._several is None:
                yield self._one
            else:
                yield Label("Space selects, Enter takes")
                yield self._many

    def action_take(self) -> None:
        """Take what is chosen."""
        if self._several is not None:
            chosen = self._many.selected
            self.answer([value for _, value in self._choices if value in chosen])
            return
        number = self._one.highlighted
        self.answer(None if number is None else self._choices[number][1])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the choice that was clicked."""
        if self._several is None:
            self.answer(self._choices[event.option_index][1])

    def action_cancel(self) -> None:
        """Take nothing."""
        self.answer(None)


__all__ = ["Choose", "Confirm"]
