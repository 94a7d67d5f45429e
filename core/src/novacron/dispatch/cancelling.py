"""A cancelled operation of a host that does not answer: its caller gets an answer within seconds all the same.

An operation that was cancelled rolls back, which may take a while. It is waited for as long as its hosts answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from novacron.errors import OperationCancelledError
from novacron.jobs import Job
from novacron.plugins.driver import Destination, Driver
from novacron.threads import fan_out

PAUSE = 0.5
"""Seconds that a cancelled operation has to end before its hosts are asked, and between two questions."""
ANSWER_SECONDS = 3.0
"""Seconds that a host has to answer. Its driver may give it longer if its link is slow."""
LONGEST_ANSWER = 60.0
"""Seconds that a driver has to tell whether its host answers."""
MISSES = 2
"""How many questions in a row a host leaves unanswered before a change is no longer waited for. One is enough before any change."""


def hosts_of(host: str, driver: Driver, arguments: Mapping[str, Any]) -> dict[str, Driver]:
    """Return the drivers of all hosts that an operation uses, by name."""
    return {host: driver} | {each.name: each.driver for each in arguments.values() if isinstance(each, Destination)}


def follow_cancelled(job: Job[Any], hosts: Mapping[str, Driver]) -> None:
    """Wait until a cancelled job has ended, or until one of its hosts has not answered for about seven seconds.

    A host with a slow link gets more time from its driver.

    In the second case the job ends with an OperationCancelledError. Its thread continues until the host answers, and rolls back then.
    """
    misses = dict.fromkeys(hosts, 0)
    while not _ended(job):
        names = list(hosts)
        asked = fan_out(names, lambda name: hosts[name].answers(ANSWER_SECONDS), seconds=LONGEST_ANSWER, limit=2, name="answers")
        for name, answer in zip(names, asked, strict=True):
            answered = answer.done() and answer.exception() is None and answer.result()
            misses[name] = 0 if answered else misses[name] + 1
        silent = [name for name in names if misses[name] >= (1 if job.only_reads else MISSES)]
        if silent:
            job.abandon(_no_answer(job, silent))
            return


def _ended(job: Job[Any]) -> bool:
    """Wait a moment for a job's end."""
    try:
        job.exception(PAUSE)
    except TimeoutError:
        return job.done()
    return True


def _no_answer(job: Job[Any], silent: list[str]) -> OperationCancelledError:
    """Return the error of a job that was cancelled and can't end."""
    phase = f" while it was {job.progress.message!r}" if job.progress.message else ""
    who = " and ".join(silent)
    error = OperationCancelledError(
        f"{job.operation} was cancelled{phase}, and {who} did not answer",
        operation=job.operation,
        resource=job.resource,
        host=who,
    )
    if job.only_reads:
        error.hint = f"nothing was changed; `novacron doctor {silent[0]}` looks for the reason"
        return error
    error.outcome = "unknown"
    error.hint = f"it is rolled back if this process still runs when {who} answers again; check the state before you repeat it"
    return error


__all__ = ["follow_cancelled", "hosts_of"]
