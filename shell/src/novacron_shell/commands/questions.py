"""Commands for the questions that VMs wait on."""

from __future__ import annotations

from typing import Any

import click

from novacron_shell.groups import CommandGroup
from novacron_shell.options import Settings, common_options, list_options
from novacron_shell.output import show_many, show_status


@click.group("question", cls=CommandGroup)
def question() -> None:
    """Questions that VMs wait on: list and answer them."""


@question.command("list")
@list_options
def list_(settings: Settings) -> None:
    """List the questions that VMs wait on, of one host or of the whole fleet."""
    answers = settings.ask(lambda host: host.vms.questions() if host.supports("question_list") else [])
    columns: dict[str, Any] = {
        "vm": "name",
        "id": "id",
        "question": "text",
        "answers": lambda q: ", ".join(f"{k}={v}" for k, v in q.choices.items()),
    }
    show_many([question for answer in answers for question in answer], columns, settings.output)


@question.command("answer")
@click.argument("vm")
@click.argument("question")
@click.argument("answer")
@common_options
def answer_(settings: Settings, vm: str, question: str, answer: str) -> None:
    """Answer the QUESTION (its id) that VM waits on with ANSWER: the key or the text of a choice."""
    show_status(settings.vm(vm).answer(question, answer), settings.output)


VM_COMMANDS = {"question": question}
