"""Operations on many VMs at the prompt: `vms.where(tag="web") | shutdown`, `vms | each(lambda vm: vm.snapshots.create("base"))`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, TypeAlias, overload

from novacron.display import html_table
from novacron.errors import InvalidSpecError, NovaCronError, SpecProblem
from novacron.handles.vm import VMHandle
from novacron.handles.vms import Each
from novacron.text import printable_line
from novacron.threads import fan_out, in_thread, result_of

AT_ONCE = 16
"""VMs that are worked on at the same time."""
GRACE = 30.0
"""Seconds that operations have to end after Ctrl-C; jobs roll back in this time."""

VMs: TypeAlias = VMHandle | Iterable[VMHandle] | Mapping[str, VMHandle]
"""What an action accepts: a VM, a list, a page of a listing, a selection, or VMs by name."""


class Selection(Sequence[VMHandle]):
    """Some VMs, in order: iterate over them, call a method of all with `each`, or pipe them into an action.

    Attributes:
        unreachable: the error of each host that did not answer, by the host's name. Its VMs are not in the selection.

    Example:
        >>> import novacron
        >>> selection = Selection(list(novacron.connect("sim://selected?vms=2").vms))
        >>> selection, [vm.status for vm in selection | stop]
        (<2 VMs>, ['stopped', 'stopped'])
    """

    _repr_html_ = html_table  # for notebooks

    def __init__(self, vms: Sequence[VMHandle], unreachable: Mapping[str, str] | None = None) -> None:
        self._vms = tuple(vms)
        self.unreachable: Mapping[str, str] = unreachable or {}

    def __repr__(self) -> str:
        silent = f", no answer from {', '.join(self.unreachable)}" if self.unreachable else ""
        return printable_line(f"<{len(self)} VM{'' if len(self) == 1 else 's'}{silent}>")

    def __len__(self) -> int:
        return len(self._vms)

    @overload
    def __getitem__(self, index: int) -> VMHandle: ...
    @overload
    def __getitem__(self, index: slice) -> Selection: ...
    def __getitem__(self, index: int | slice) -> VMHandle | Selection:
        return Selection(self._vms[index], self.unreachable) if isinstance(index, slice) else self._vms[index]

    @property
    def each(self) -> Each:
        """Calls a method of all VMs, in parallel: `selection.each.shutdown()`."""
        return Each(list(self._vms), AT_ONCE)


@dataclass(frozen=True)
class Outcome:
    """The result of an action on one VM.

    Attributes:
        vm: the VM.
        result: what the operation returned; None if it failed or was not started.
        error: why it failed; None if it succeeded.
        started: False if Ctrl-C came before its turn.
    """

    vm: VMHandle
    result: Any = None
    error: NovaCronError | None = None
    started: bool = True

    @property
    def ok(self) -> bool:
        """Whether the operation succeeded."""
        return self.started and self.error is None


class Outcomes(Selection):
    """What an action did. As a selection it has the VMs for which it succeeded, so a further action runs on these.

    Attributes:
        all: one `Outcome` for each VM, in order, with those of earlier actions that failed.
        failed: the outcomes with an error.

    Raises:
        NovaCronError: from `check()`: the first error, if there is one.
    """

    def __init__(self, action: str, outcomes: Sequence[Outcome], unreachable: Mapping[str, str] | None = None) -> None:
        super().__init__([outcome.vm for outcome in outcomes if outcome.ok], unreachable)
        self.action, self.all = action, tuple(outcomes)
        self.failed = tuple(outcome for outcome in outcomes if outcome.error is not None)

    def __repr__(self) -> str:
        return printable_line(f"<{self.action}: {self.summary}>")

    @property
    def summary(self) -> str:
        """How many VMs are done, failed, and were not started."""
        waiting = sum(not outcome.started for outcome in self.all)
        parts = [f"{len(self)} of {len(self.all)} done"]
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        return ", ".join(parts + ([f"{waiting} not started"] if waiting else []))

    def check(self) -> Outcomes:
        """Return these outcomes if no VM failed, for scripts.

        Raises:
            NovaCronError: the error of the first VM that failed.
        """
        if self.failed and self.failed[0].error is not None:
            raise self.failed[0].error
        return self


@dataclass(frozen=True)
class Action:
    """Something to do to each VM that is piped into it, at most 16 at a time.

    A call binds arguments: `vms | shutdown(timeout="1m")`. A call with VMs runs at once: `shutdown(vms["web1"])`.

    Args:
        name: what it does, for messages.
        work: does it to one VM; the arguments of a call follow the VM.

    Example:
        >>> import novacron
        >>> host = novacron.connect("sim://piped-into?vms=2")
        >>> host.vms | stop | each(lambda vm: vm.snapshots.create("base").name)
        <lambda: 2 of 2 done>
        >>> [outcome.result for outcome in (host.vms | each(lambda vm: len(vm.snapshots))).all]
        [1, 1]
        >>> (host.vms | start(oops=1)).failed
        Traceback (most recent call last):
        TypeError: VMHandle.start() got an unexpected keyword argument 'oops'
    """

    name: str
    work: Callable[..., Any]

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Return the action with these arguments; or run it, if the first argument is a VM or a selection of VMs."""
        if arguments and isinstance(arguments[0], (VMHandle, Selection)):
            return Action(self.name, lambda vm: self.work(vm, *arguments[1:], **options)).__ror__(arguments[0])
        return Action(self.name, lambda vm: self.work(vm, *arguments, **options))

    def __repr__(self) -> str:
        return printable_line(f"<action {self.name}: pipe VMs into it>")

    def __ror__(self, vms: VMs) -> Outcomes:
        """Run the action on VMs and return the outcomes.

        Raises:
            InvalidSpecError: what is piped are no VMs.
            KeyboardInterrupt: Ctrl-C. VMs whose turn had not come are left alone; a note says what was done.
        """
        chosen = _vms(vms)
        earlier = [outcome for outcome in vms.all if not outcome.ok] if isinstance(vms, Outcomes) else []
        unreachable = vms.unreachable if isinstance(vms, Selection) else None
        return Outcomes(self.name, [*earlier, *_run(self.name, self.work, chosen)], unreachable)


def _vms(piped: Any) -> list[VMHandle]:
    listed = [piped] if isinstance(piped, VMHandle) else list(piped.values() if isinstance(piped, Mapping) else piped)
    for vm in listed:
        if not isinstance(vm, VMHandle):
            problem = SpecProblem("vms", repr(vm), 'VMs, such as vms["web1"] or vms.where(tag="web")')
            raise InvalidSpecError("only VMs can be piped into an action", problems=[problem], outcome="not_sent")
    return listed


def _run(name: str, work: Callable[[VMHandle], Any], vms: Sequence[VMHandle]) -> list[Outcome]:
    """Do it to each VM. Ctrl-C waits for those under way, whose jobs the shell cancels, and starts no further one."""
    stopped = threading.Event()

    def one(vm: VMHandle) -> Outcome:
        if stopped.is_set():
            return Outcome(vm, started=False)
        try:
            return Outcome(vm, work(vm))
        except NovaCronError as error:
            return Outcome(vm, error=error)

    context = copy_context()
    answers: Future[list[Future[Outcome]]] = Future()  # made before the thread: Ctrl-C may come while it starts

    def spread() -> None:
        try:
            answers.set_result(context.run(fan_out, vms, one, seconds=None, limit=AT_ONCE, name="novacron-each"))
        except BaseException as error:
            answers.set_exception(error)
            raise

    try:
        in_thread(spread, f"novacron-{name}")
        return [answer.result() for answer in result_of(answers)]
    except KeyboardInterrupt as interrupt:
        stopped.set()
        try:
            ended = Outcomes(name, [answer.result() for answer in result_of(answers, GRACE)])
            interrupt.add_note(f"{name}: {ended.summary}")
        except (TimeoutError, KeyboardInterrupt):
            interrupt.add_note(f"{name}: some operations still run; `:jobs` lists them")
        raise


def each(function: Callable[[VMHandle], Any]) -> Action:
    """Return an action that calls a function with each VM: `vms | each(lambda vm: vm.update(vcpus=2))`."""
    return Action(getattr(function, "__name__", "each").strip("<>"), function)


delete = Action("delete", VMHandle.delete)
migrate = Action("migrate", VMHandle.migrate)
reboot = Action("reboot", VMHandle.reboot)
refresh = Action("refresh", VMHandle.refresh)
reset = Action("reset", VMHandle.reset)
restore = Action("restore", VMHandle.restore)
resume = Action("resume", VMHandle.resume)
save = Action("save", VMHandle.save)
shutdown = Action("shutdown", VMHandle.shutdown)
snapshot = Action("snapshot", lambda vm, name, **options: vm.snapshots.create(name, **options))
start = Action("start", VMHandle.start)
stop = Action("stop", VMHandle.stop)
suspend = Action("suspend", VMHandle.suspend)
update = Action("update", VMHandle.update)

ACTIONS = (
    delete,
    migrate,
    reboot,
    refresh,
    reset,
    restore,
    resume,
    save,
    shutdown,
    snapshot,
    start,
    stop,
    suspend,
    update,
)
"""The actions that are names of the shell."""

__all__ = [
    "ACTIONS",
    "Action",
    "Outcome",
    "Outcomes",
    "Selection",
    "delete",
    "each",
    "migrate",
    "reboot",
    "refresh",
    "reset",
    "restore",
    "resume",
    "save",
    "shutdown",
    "snapshot",
    "start",
    "stop",
    "suspend",
    "update",
]
