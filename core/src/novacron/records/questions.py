"""Questions that a hypervisor asks about a VM. The VM waits until they are answered."""

from __future__ import annotations

import msgspec

from novacron.records.record import Record


class Question(Record, frozen=True):
    """A question that a VM waits for, such as whether it was moved or copied.

    `choices` maps each possible answer to its text; `default` is the answer that the hypervisor proposes.
    """

    vm: str
    name: str
    host: str
    id: str
    text: str
    choices: dict[str, str] = msgspec.field(default_factory=dict)
    default: str | None = None


__all__ = ["Question"]
