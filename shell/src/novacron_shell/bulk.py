"""Does something to one VM or to many: in parallel, with one summary of what failed."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import click
import msgspec

from novacron.jobs import Job
from novacron.threads import as_done, result_of
from novacron_shell.completion import complete_vms
from novacron_shell.options import common_options, common_options_beside_timeout, list_options
from novacron_shell.output import Columns, show_many, show_one, tell, write
from novacron_shell.progress import follow
from novacron_shell.selection import is_selector, select
from novacron_shell.settings import PARTLY, Settings

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle

HELP = "VMs are names, UUIDs, HOST/NAME, patterns ('web-*'), tag:TAG, host:HOST, status:STATUS, @GROUP, or - to read names from stdin."
Work = Callable[["VMHandle"], Any]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one VM."""

    name: str
    host: str
    outcome: str
    status: str | None = None
    error: str | None = None
    hint: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return msgspec.structs.asdict(self)


def many_vms(
    command: Callable[..., Any], options: Callable[[Callable[..., Any]], Callable[..., Any]] = common_options
) -> Callable[..., Any]:
    """Give a command the common options and `VM...`, `--parallel` and `--dry-run`; it gets them as `bulk`."""

    @click.argument("words", metavar="VM...", nargs=-1, required=True, shell_complete=complete_vms)
    @click.option("--parallel", type=click.IntRange(min=1), default=8, show_default=True, help="Number of VMs at the same time.")
    @click.option("--dry-run", is_flag=True, help="List the VMs that would be changed, and change nothing.")
    @options
    @functools.wraps(command)
    def wrapped(settings: Settings, words: tuple[str, ...], parallel: int, dry_run: bool, **kwargs: Any) -> Any:
        return command(bulk=Bulk(settings, words, parallel=parallel, dry_run=dry_run), **kwargs)

    return wrapped


def many_vms_beside_timeout(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that has a `--timeout` of its own; the hosts' is `--host-timeout`."""
    return many_vms(command, common_options_beside_timeout)


def each_vm(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the common options and the argument VM, which may choose several VMs; it gets them as `bulk`."""
    return _each_vm(command, common_options)


def each_vm_beside_timeout(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that has a `--timeout` of its own; the hosts' is `--host-timeout`."""
    return _each_vm(command, common_options_beside_timeout)


def each_vm_of_list(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that prints a list, with `--columns` and `--sort`."""
    return _each_vm(command, list_options)


def each_vm_beside_parallel(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that has a `--parallel` of its own: `--vms-at-once` is the number of VMs at the same time."""
    return _each_vm(command, common_options, "--vms-at-once", 2)


def _each_vm(
    command: Callable[..., Any],
    options: Callable[[Callable[..., Any]], Callable[..., Any]],
    parallel_option: str = "--parallel",
    default: int = 8,
) -> Callable[..., Any]:
    @click.argument("selector", metavar="VM", shell_complete=complete_vms)
    @click.option(
        parallel_option,
        "at_once",
        type=click.IntRange(min=1),
        default=default,
        show_default=True,
        help="Number of VMs at the same time.",
    )
    @click.option("--dry-run", is_flag=True, help="List the VMs that VM chooses, and do nothing.")
    @options
    @functools.wraps(command)
    def wrapped(settings: Settings, selector: str, at_once: int, dry_run: bool, **kwargs: Any) -> Any:
        return command(bulk=Bulk(settings, [selector], parallel=at_once, dry_run=dry_run), **kwargs)

    return wrapped


class Bulk:
    """The VMs that the arguments of a command choose, and how to work on them."""

    def __init__(self, settings: Settings, words: Sequence[str], *, parallel: int, dry_run: bool) -> None:
        self.settings, self.parallel, self.dry_run = settings, parallel, dry_run
        self.vms = select(settings, words)
        self.single = len(words) == 1 and not is_selector(words[0])
        self.failed = False
        self._stopped = threading.Event()
        self._jobs: list[Job[Any]] = []

    def names(self, most: int = 5) -> str:
        """Return the names for a question, such as "web1, web2 and 3 more"."""
        names = [f"{vm.name} on {vm.host.name}" if self.single else vm.name for vm in self.vms]
        more = f" and {len(names) - most} more" if len(names) > most else ""
        return ", ".join(names[:most]) + more

    @property
    def output(self) -> str:
        """The output format."""
        return self.settings.output

    def confirm(self, action: str, *, yes: bool) -> None:
        """Ask before something is destroyed, with the names of the VMs; not for a dry run. See `novacron_shell.confirm`."""
        from novacron_shell.confirm import confirm

        if not self.dry_run:
            confirm(action.replace("{vms}", self.names()), yes=yes)

    def read(self, work: Work) -> list[tuple[VMHandle, Any]]:
        """Return what each VM answers, in their order. VMs that fail are named on standard error.

        Raises:
            NovaCronError: The single VM failed.
            click.exceptions.Exit: All of several failed.
        """
        if self.dry_run:
            show_many([vm.record for vm in self.vms], {"name": "name", "status": "status", "host": "host"}, self.output)
            raise click.exceptions.Exit(0)
        if self.single:
            return [(self.vms[0], work(self.vms[0]))]
        found, errors = [], []
        with ThreadPoolExecutor(self.parallel, thread_name_prefix="novacron-bulk") as pool:
            for vm, (value, error) in zip(self.vms, pool.map(lambda vm: _tried(vm, work), self.vms), strict=True):
                if error is None:
                    found.append((vm, value))
                else:
                    errors.append(error)
                    tell(f"error: {vm.name} on {vm.host.name}: {error}")
        if errors:
            self.failed = True
        if errors and not found:
            raise click.exceptions.Exit(_code(errors))
        return found

    def show(self, work: Work) -> None:
        """Print the record that each VM answers."""
        answers = self.read(work)
        if self.single:
            show_one(answers[0][1], self.output)
        elif self.output in ("table", "wide"):
            for vm, record in answers:
                write(f"{vm.name} on {vm.host.name}:")
                show_one(record, self.output)
        else:
            show_many([record for _, record in answers], {}, self.output)
        self.end()

    def show_lists(self, work: Work, columns: Columns) -> None:
        """Print the records of a list that each VM answers; of several VMs with a column for the VM's name."""
        answers = self.read(work)
        records = [record for _, some in answers for record in some]
        names = {id(record): vm.name for vm, some in answers for record in some}
        more: Columns = {} if self.single else {"vm": lambda record: names[id(record)]}
        show_many(records, {**more, **columns}, self.output)
        self.end()

    def end(self) -> None:
        """End with the exit code for "partly done" if a VM could not be read."""
        if self.failed:
            raise click.exceptions.Exit(PARTLY)

    def do(self, verb: str, work: Work, show: Callable[[Any, str], object]) -> None:
        """Do it to each VM.

        Args:
            verb: What is done, such as "start".
            work: Does it to one VM; returns its result, or a job that has it.
            show: Prints the result of a single VM in an output format.

        Raises:
            NovaCronError: The single VM, or all of several VMs with the same kind of error, failed.
            click.exceptions.Exit: Some failed; the code is `PARTLY`.
        """
        output = self.settings.output
        if self.dry_run:
            tell(f"would {verb}:")
            show_many([vm.record for vm in self.vms], {"name": "name", "status": "status", "host": "host"}, output)
        elif self.single:
            vm = self.vms[0]
            result = work(vm)
            show(follow(result, f"{verb} {vm.name}") if isinstance(result, Job) else result, output)
        else:
            self._do_many(verb, work)

    def _do_many(self, verb: str, work: Work) -> None:
        outcomes: dict[int, tuple[Outcome, Exception | None]] = {}
        with ThreadPoolExecutor(self.parallel, thread_name_prefix="novacron-bulk") as pool:
            futures = {pool.submit(self._one, vm, work): number for number, vm in enumerate(self.vms)}
            try:
                for future in as_done(futures):
                    outcomes[futures[future]] = future.result()
                    self._progress(verb, future.result()[0])
            except KeyboardInterrupt:
                self._cancel()
                for future, number in futures.items():
                    outcomes[number] = result_of(future)
        self._summary(verb, [outcomes[number] for number in sorted(outcomes)])
        if self._stopped.is_set():
            raise click.exceptions.Exit(130)

    def _one(self, vm: VMHandle, work: Work) -> tuple[Outcome, Exception | None]:
        from novacron.errors import NovaCronError

        name, host = vm.name, vm.host.name
        if self._stopped.is_set():
            return Outcome(name=name, host=host, outcome="not started"), None
        try:
            result = work(vm)
            if isinstance(result, Job):
                self._jobs.append(result)
                result = result.result()
        except NovaCronError as error:
            found = Outcome(
                name=name, host=host, outcome=error.outcome, error=f"{type(error).__name__}: {error}", hint=error.hint
            )
            return found, error
        status, hint = getattr(result, "status", None), getattr(result, "hint", None)
        return Outcome(name=name, host=host, outcome="done", status=status, hint=hint), None

    def _progress(self, verb: str, outcome: Outcome) -> None:
        if outcome.error is None and self.settings.output in ("table", "wide"):
            tell(f"{outcome.name} is {outcome.status}" if outcome.status else f"{verb} {outcome.name}: done")
            if outcome.hint:
                tell(f"hint: {outcome.hint}")

    def _cancel(self) -> None:
        tell("stopping: VMs under way are cancelled or end first, no further one is started")
        self._stopped.set()
        for job in list(self._jobs):
            job.cancel()

    def _summary(self, verb: str, outcomes: Sequence[tuple[Outcome, Exception | None]]) -> None:
        failed = [(outcome, error) for outcome, error in outcomes if error is not None]
        left = [outcome for outcome, error in outcomes if outcome.outcome == "not started"]
        done = len(outcomes) - len(failed) - len(left)
        if self.settings.output not in ("table", "wide"):
            show_many([outcome for outcome, _ in outcomes], _COLUMNS, self.settings.output)
        else:
            if failed:
                by_error = sorted((outcome for outcome, _ in failed), key=lambda o: ((o.error or "").replace(o.name, ""), o.name))
                show_many(by_error, _COLUMNS, self.settings.output)
                for hint in dict.fromkeys(outcome.hint for outcome in by_error if outcome.hint):
                    tell(f"hint: {hint}")
            parts = [f"{done} of {len(outcomes)} done"] + ([f"{len(failed)} failed"] if failed else [])
            tell(f"{verb}: " + ", ".join(parts + ([f"{len(left)} not started"] if left else [])))
        if failed:
            raise click.exceptions.Exit(PARTLY if done else _code([error for _, error in failed]))


def _tried(vm: VMHandle, work: Work) -> tuple[Any, Exception | None]:
    """Return the answer of a VM, or its error."""
    from novacron.errors import NovaCronError

    try:
        return work(vm), None
    except NovaCronError as error:
        return None, error


def _code(errors: Sequence[Exception]) -> int:
    """Return the exit code of errors that are all of one family, otherwise 1."""
    codes = {getattr(error, "exit_code", 1) for error in errors}
    return codes.pop() if len(codes) == 1 else 1


_COLUMNS = {"vm": "name", "host": "host", "outcome": "outcome", "error": "error"}

__all__ = [
    "HELP",
    "Bulk",
    "each_vm",
    "each_vm_beside_parallel",
    "each_vm_beside_timeout",
    "each_vm_of_list",
    "many_vms",
    "many_vms_beside_timeout",
]
