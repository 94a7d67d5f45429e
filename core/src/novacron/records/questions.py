"""Questions that a hypervisor asks about a VM. The VM waits until they are answered."""

from __future__ import annotations

import msgspec

from novacron.records.record import Record


class Question(Record, frozen=True):
    """A question that a VM waits for, such as whether it was moved or copied.

    Attributes:
        vm: Id of the VM.
        name: Name of the VM.
        host: Name of the host.
        id: Identifies the question.
        text: The question.
        choices: The possible answers, each with its text.
        default: Answer that the hypervisor proposes; None if it proposes none.
    """

    vm: str
    name: str
    host: str
    id: str
    text: str
    choices: dict[str, str] = msgspec.field(default_factory=dict)
    default: str | None = None


__all__ = ["Question"]
