"""Every error that NovaCron raises, in one tree.

NovaCronError
├── HostConnectionError          the host can't be reached, or the connection was lost
├── AuthenticationError          the host rejected the credentials
├── AccessDeniedError            the host or a policy denied the operation
├── NotFoundError                VMNotFoundError, HostNotFoundError, NodeNotFoundError, NetworkNotFoundError, StoragePoolNotFoundError,
│                                VolumeNotFoundError, SnapshotNotFoundError, TemplateNotFoundError, DeviceNotFoundError,
│                                TrafficFilterNotFoundError, SecretNotFoundError, ImageNotFoundError
├── AlreadyExistsError           the name, UUID, address or path is in use
├── InvalidStateError            not allowed in the current state of the resource
│   └── BusyError                another operation holds the resource
├── InvalidSpecError             the input is invalid; `.problems` lists every invalid field
│   └── InvalidValueError        a size or duration can't be parsed; also a ValueError
├── ResourceAllocationError      memory, CPU, storage or a device is not available
│   └── DiskLockedError          another VM uses the disk
├── MigrationError               MigrationCheckError (`.failures` lists every failed pre-check)
├── SnapshotError
├── StorageError
│   └── ImageError               an image can't be downloaded, or does not match its checksum or format
├── GuestAgentError              GuestAgentUnavailableError
├── OperationTimeoutError        the deadline passed
├── OperationCancelledError      the caller cancelled
├── UnsupportedOperationError    the driver, or this version of the hypervisor, does not support it
├── WorkflowError
├── PluginError
└── DriverError                  an error that the driver could not map; the original is `__cause__`
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, Self

Outcome = Literal["failed", "not_sent", "unknown"]
"""`failed`: nothing changed. `not_sent`: not sent, a retry is safe. `unknown`: it may have taken effect; check the state."""


class NovaCronError(Exception):
    """The base of all errors. Its text is complete enough to be shown alone in a terminal, and control characters in it are escaped.

    Args:
        message: What went wrong: lower case, no full stop, names the resource.
        operation: Name of the operation's hook, `vm_start`; set by the dispatcher.
        host: Name of the host; set by the dispatcher.
        resource: Name of the resource, such as a VM.
        hint: What the user can do next.
        outcome: Whether the operation took effect; see `Outcome`.

    Example:
        >>> error = VMNotFoundError("no VM named 'web9'", host="kvm1", hint="see `novacron vm list`")
        >>> print(error, error.outcome)
        no VM named 'web9' on kvm1 failed
    """

    exit_code = 1
    default_hint: str | None = None

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        host: str | None = None,
        resource: str | None = None,
        hint: str | None = None,
        outcome: Outcome = "failed",
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.host = host
        self.resource = resource
        self.hint = hint or self.default_hint
        self.outcome = outcome
        self.details = details or {}

    def __str__(self) -> str:
        from novacron.text import printable

        where = f" on {self.host}" if self.host and self.host not in self.message else ""
        return printable(f"{self.message}{where}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.__dict__.copy()))

    def as_dict(self) -> dict[str, Any]:
        """Return the error as plain values, as in `-o json` and the audit log."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "operation": self.operation,
            "host": self.host,
            "resource": self.resource,
            "hint": self.hint,
            "outcome": self.outcome,
        }


def either(words: Sequence[str]) -> str:
    """Join words as alternatives, for a hint.

    Example:
        >>> either(["stopped"]), either(["stopped", "crashed", "saved"])
        ('stopped', 'stopped, crashed or saved')
    """
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _rebuild(cls: type[NovaCronError], state: dict[str, Any]) -> NovaCronError:
    error = cls.__new__(cls)
    Exception.__init__(error, state.get("message", ""))
    error.__dict__.update(state)
    return error


class HostConnectionError(NovaCronError):
    """The host can't be reached, or the connection to it was lost."""

    exit_code = 10
    default_hint = "check that the host is up and the URI is right; `novacron host ping` tries it"


class AuthenticationError(NovaCronError):
    """The host rejected the credentials."""

    exit_code = 11
    default_hint = "check the user, the key or password, and the certificates"


class AccessDeniedError(NovaCronError):
    """The host or a policy denied the operation."""

    exit_code = 12
    default_hint = "ask for the permission, or connect as a user who has it"


class NotFoundError(NovaCronError):
    """The named resource does not exist."""

    exit_code = 13
    default_hint = "check the spelling, and that it exists on this host"


class HostNotFoundError(NotFoundError):
    """The fleet has no host of that name."""

    default_hint = "`novacron host list` shows the fleet; `novacron host add NAME URI` adds one"


class NodeNotFoundError(NotFoundError):
    """The fleet has no node of that name or UUID."""

    default_hint = "`novacron node list` shows the nodes; `novacron node refresh` reads them from the hosts"


class VMNotFoundError(NotFoundError):
    """The host has no VM of that name or UUID."""

    default_hint = "`novacron vm list` lists the VMs; it may have moved to another host"


class NetworkNotFoundError(NotFoundError):
    """The host has no network of that name."""

    default_hint = "`novacron network list` shows the networks of the host"


class StoragePoolNotFoundError(NotFoundError):
    """The host has no storage pool of that name."""

    default_hint = "`novacron pool list` shows the storage pools of the host"


class VolumeNotFoundError(NotFoundError):
    """The storage pool has no volume of that name."""

    default_hint = "`novacron volume list` shows the volumes of a storage pool"


class ImageNotFoundError(NotFoundError):
    """A file that the VM needs (image, kernel, ISO, backing file) does not exist."""


class SnapshotNotFoundError(NotFoundError):
    """The VM has no snapshot of that name."""

    default_hint = "`novacron snapshot list` shows the snapshots of the VM"


class TemplateNotFoundError(NotFoundError):
    """The host has no template of that name."""

    default_hint = "`novacron template list` shows the templates of the host"


class DeviceNotFoundError(NotFoundError):
    """The VM has no such disk or NIC."""


class TrafficFilterNotFoundError(NotFoundError):
    """The host has no traffic filter of that name."""

    default_hint = "`novacron filter list` shows the traffic filters of the host"


class SecretNotFoundError(NotFoundError):
    """A secret that the VM needs does not exist or has no value."""


class AlreadyExistsError(NovaCronError):
    """The name, UUID, address or path is already in use."""

    exit_code = 14
    default_hint = "choose another name, or check the existing one"


class InvalidStateError(NovaCronError):
    """The operation is not allowed in the current state of the resource."""

    exit_code = 15
    default_hint = "check the state of what the message names"

    @classmethod
    def of_status(cls, action: str, vm: str, status: str, allowed: Sequence[str]) -> Self:
        """Return the error of a VM whose status does not allow an action (for drivers).

        Example:
            >>> error = InvalidStateError.of_status("start", "web1", "running", ("stopped", "crashed", "saved"))
            >>> error.message, error.hint
            ("can't start 'web1': it is running", 'possible when stopped, crashed or saved')
        """
        hint = f"possible when {either(allowed)}"
        if action == "start" and status == "suspended":
            hint += "; a suspended VM continues with `novacron resume`"
        return cls(f"can't {action} {vm!r}: it is {status}", resource=vm, hint=hint)


class BusyError(InvalidStateError):
    """Another operation holds the resource. Trying again later can help."""

    default_hint = "try again when it has ended"


class InvalidSpecError(NovaCronError):
    """The input is invalid. `problems` lists all invalid fields at once.

    Example:
        >>> error = InvalidSpecError("invalid VM spec", problems=[SpecProblem("disks.0.size", "-1", "a size above 0")])
        >>> print(error)
        invalid VM spec: disks.0.size: got '-1', allowed: a size above 0
    """

    exit_code = 16
    default_hint = "correct what the message names, then try again"
    problems_hint = "give what the message names an allowed value; it says what is allowed"

    def __init__(self, message: str, *, problems: list[SpecProblem] | None = None, **context: Any) -> None:
        if problems and not context.get("hint"):
            near = [word for problem in problems for word in problem.near()]
            context["hint"] = f"did you mean {either(list(dict.fromkeys(near)))}?" if near else self.problems_hint
        super().__init__(message, **context)
        self.problems = list(problems or [])

    def __str__(self) -> str:
        return super().__str__() + "".join(f"{'; ' if i else ': '}{p}" for i, p in enumerate(self.problems))

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | {"problems": [vars(p) for p in self.problems]}


class InvalidValueError(InvalidSpecError, ValueError):
    """A size, a rate or a duration can't be read.

    Example:
        >>> from novacron.units import parse_size
        >>> parse_size("plenty")
        Traceback (most recent call last):
        novacron.errors.InvalidValueError: not a size: 'plenty'
    """

    default_hint = 'sizes are written like "2GiB", durations like "90s" or "1h30m"'


MISSING = "missing"
"""What a `SpecProblem` has as `given` for a field that was left out."""
UNKNOWN = "unknown"
"""What a `SpecProblem` has as `given` for a field that does not exist. Its value is not shown: it may be a secret under a misspelt name."""

UNSUPPORTED = "unsupported"
"""What a `SpecProblem` has as `given` for a field that the driver does not support; `allowed` then says why."""

NAMES_SECRET = frozenset({"encryption"})
"""Fields that name a secret, besides those whose own name says so. The secret itself may have been given by mistake."""


class SpecProblem:
    """One invalid field: its path, the given value (without secrets), and the allowed values."""

    def __init__(self, path: str, given: object, allowed: str) -> None:
        from novacron.redaction import is_secret_name, redacted
        from novacron.text import printable_line

        parts = str(path).split(".")
        name = next((part for part in parts if is_secret_name(part)), "password" if parts[-1] in NAMES_SECRET else "")
        self.path, self.given, self.allowed = (
            printable_line(str(path)),
            str(redacted({name: given})[name]),
            printable_line(allowed),
        )

    def near(self) -> list[str]:
        """Return the allowed values that the given one probably was meant to be; none where what is allowed is no list of words.

        Example:
            >>> SpecProblem("condition", "runing", "one of running, stopped, agent").near(), SpecProblem("memory", "2", "a size").near()
            (['running'], [])
            >>> SpecProblem("sort", "-mem", "one of name, memory, id").near(), SpecProblem("firmware", "ueif", "bios or uefi").near()
            (['-memory'], ['uefi'])
        """
        import difflib

        if self.given in (MISSING, UNSUPPORTED, "None") or "=" in self.given:
            return []
        listed = re.sub(r"^one of:? (?:the fields )?", "", self.allowed)
        words = re.split(r", | or ", listed)
        choices = [word for word in words if re.fullmatch(r"[\w.+/-]+", word)]
        if len(words) < 2 or (listed == self.allowed and len(choices) < len(words)):
            return []
        given = self.path.rpartition(".")[2] if self.given == UNKNOWN else self.given
        word = given.lower().removeprefix("-")
        begun = [choice for choice in choices if len(word) > 1 and choice.startswith(word)]
        near = begun[:3] or difflib.get_close_matches(word, choices, n=1, cutoff=0.7)
        return [f"-{choice}" if given.startswith("-") else choice for choice in near]

    def __str__(self) -> str:
        if self.given == UNSUPPORTED:
            return f"{self.path}: {self.allowed}"
        given = self.given if self.given in (MISSING, UNKNOWN) else f"got {self.given!r}"
        return f"{self.path}: {given}, allowed: {self.allowed}"

    __repr__ = __str__


class ResourceAllocationError(NovaCronError):
    """Memory, CPU, storage space or a device is not available."""

    exit_code = 17
    default_hint = "`novacron host info` shows the resources of the host and their use"


class DiskLockedError(ResourceAllocationError):
    """Another VM, on this or another host, uses the disk."""


class MigrationError(NovaCronError):
    """A migration failed. `outcome` and `details` say where the VM is."""

    exit_code = 18
    default_hint = "`novacron vm list` on both hosts shows where the VM is; `novacron migrate --check` lists failed pre-checks"


class MigrationCheckError(MigrationError):
    """A migration was not started because pre-checks failed. `failures` lists all of them."""

    def __init__(self, message: str, *, failures: list[str] | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.failures = list(failures or [])

    def __str__(self) -> str:
        from novacron.text import printable

        return super().__str__() + printable("".join(f"{'; ' if i else ': '}{f}" for i, f in enumerate(self.failures)))

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | {"failures": self.failures}


class SnapshotError(NovaCronError):
    """A snapshot could not be created, reverted or deleted."""

    exit_code = 19
    default_hint = "`novacron snapshot list` lists the snapshots"


class StorageError(NovaCronError):
    """A storage pool, volume or disk operation failed."""

    exit_code = 20
    default_hint = "`novacron pool list` shows pools and their space"


class ImageError(StorageError):
    """An operating system image can't be downloaded, or does not match its checksum, signature or format."""

    default_hint = "`novacron image list --available` shows the catalogue"


class GuestAgentError(NovaCronError):
    """The guest agent rejected the request or failed."""

    exit_code = 21
    default_hint = "see the agent's log in the guest"


class GuestAgentUnavailableError(GuestAgentError):
    """The VM has no guest agent, or it does not answer."""

    default_hint = "install and start qemu-guest-agent (or VMware Tools) in the guest; it answers only in a running one"


class OperationTimeoutError(NovaCronError):
    """The deadline passed before the operation ended."""

    exit_code = 22
    default_hint = "check the state before you repeat it, or use a longer timeout"


class OperationCancelledError(NovaCronError):
    """The caller cancelled the operation."""

    exit_code = 23
    default_hint = "start it again if you still want it"


class UnsupportedOperationError(NovaCronError):
    """The driver, or this version of the hypervisor, does not support the operation."""

    exit_code = 24
    default_hint = "`novacron host capabilities` shows what the host can do"


class WorkflowError(NovaCronError):
    """A workflow could not be composed, planned or run."""

    exit_code = 25
    default_hint = "`novacron flow plan` shows each step"


class PluginError(NovaCronError):
    """A plugin is broken, incompatible or missing."""

    exit_code = 26
    default_hint = "`novacron plugin list` shows the installed plugins and their errors"


class DriverError(NovaCronError):
    """An error of the hypervisor that the driver could not map. The original is `__cause__`."""

    exit_code = 27
    default_hint = (
        "the message is the hypervisor's; its log on the host has more details. If the request is valid, report this to NovaCron"
    )


_classes = [name for name, value in list(globals().items()) if isinstance(value, type) and issubclass(value, Exception)]
__all__ = [*sorted(_classes), "MISSING", "Outcome", "SpecProblem", "either"]
