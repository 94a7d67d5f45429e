"""The base of all specs: pydantic's validation with NovaCron's errors, and the field types that specs share."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic._internal._model_construction import ModelMetaclass

from novacron.errors import MISSING, UNKNOWN, InvalidSpecError, InvalidValueError, SpecProblem, either
from novacron.meanings import introduction, meanings
from novacron.redaction import HIDDEN, is_secret_name, redacted
from novacron.specs.wording import allowed_words
from novacron.text import unprintable
from novacron.units import format_size, parse_duration, parse_size

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


class Unit(NamedTuple):
    """The unit of a field's number.

    Attributes:
        name: Name of the unit, such as "bytes".
        example: A value as text, such as "2GiB".
    """

    name: str
    example: str


BYTES = Unit("bytes", "2GiB")

Size = Annotated[int, BeforeValidator(parse_size), Field(lt=2**63), BYTES]
"""Bytes, or text such as "2GiB"; below 8 EiB, which is all that hypervisors can count."""


class FieldError(ValueError):
    """Raised by a validator of a whole spec: one of its fields has a value that does not fit.

    Args:
        field: the field's name, with dots for nested ones.
        allowed: what the field may be.
    """

    def __init__(self, field: str, allowed: str) -> None:
        super().__init__(allowed)
        self.field, self.allowed = field, allowed


class Between(NamedTuple):
    """Validates that a size is within limits, in bytes."""

    lowest: int
    highest: int

    def __call__(self, size: int) -> int:
        """Return the size. Raises InvalidValueError."""
        if not self.lowest <= size <= self.highest:
            raise InvalidValueError(f"not a size: {size}", hint=f'{self}; give a unit, as in "2GiB"', outcome="not_sent")
        return size

    def __str__(self) -> str:
        return f"{format_size(self.lowest)} to {format_size(self.highest)}"


MemorySize = Annotated[int, BeforeValidator(parse_size), AfterValidator(Between(16 * 2**20, 2**48)), BYTES]
"""Bytes of a VM's memory, or text such as "2GiB". A number without a unit is bytes, so values that no guest can use are refused."""

DiskSize = Annotated[int, BeforeValidator(parse_size), AfterValidator(Between(2**20, 2**60)), BYTES]
"""Bytes of a disk, or text such as "20GiB". A number without a unit is bytes, so values that no guest can use are refused."""

VolumeSize = Annotated[int, BeforeValidator(parse_size), AfterValidator(Between(512, 2**60)), BYTES]
"""Bytes of a volume, or text such as "20GiB"; a volume may be as small as one sector, to hold a note for instance."""

Rate = Annotated[int, BeforeValidator(parse_size), Unit("bytes per second", "100MiB/s")]
"""Bytes per second, or text such as "100MiB/s"."""

Seconds = Annotated[float, BeforeValidator(parse_duration), Unit("seconds", "5m")]
"""Seconds, a timedelta, or text such as "5m"."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}$")]
"""A resource's name: 1 to 128 letters, digits, `_ . + -`; begins with a letter, digit or `_`; never a path."""

Label = Annotated[str, StringConstraints(pattern=r"^[^\s/\x00-\x1f]([^/\x00-\x1f]{0,126}[^\s/\x00-\x1f])?$")]
"""The name of what is there already, as its hypervisor writes it: spaces and other letters within ("VM Network"), no path."""

Reference = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f]([^\x00-\x1f]{0,1022}[^\s\x00-\x1f])?$")]
"""Names what is there already: by its name, by an inventory path where a hypervisor has folders ("/DC0/network/prod"), or by an id."""

Tag = Annotated[str, StringConstraints(pattern=r"^[^\s,\x00-\x1f-]([^,\x00-\x1f]{0,253}[^\s,\x00-\x1f])?$")]
"""A tag: 1 to 255 letters and signs, spaces within, no comma; "env:prod", where a hypervisor's tags have categories."""


class _SpecType(ModelMetaclass):
    """Turns what pydantic raises for a whole spec, nested ones included, into one InvalidSpecError."""

    def __call__(cls, **fields: Any) -> Any:
        try:
            return super().__call__(**fields)
        except ValidationError as error:
            raise _invalid(cls, error) from None  # type: ignore[arg-type]
        except UnicodeEncodeError:
            raise _no_unicode(cls.__name__) from None


_DATA = frozenset({"commands", "metadata", "native", "network_config", "user_data", "vendor_data"})
"""Fields whose values are for a guest, a hypervisor or another tool; they may have any character but NUL."""
_LINES = frozenset({"description"})
"""Fields whose text may have several lines."""


class Spec(BaseModel, metaclass=_SpecType):
    """Validated input; frozen. Unknown fields, and control characters in names and other text, are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, ser_json_bytes="base64")

    @model_validator(mode="after")
    def _has_no_control_characters(self) -> Self:
        for name in type(self).model_fields:
            for text, key in _texts(getattr(self, name)):
                if complaint := unprintable(text, lines=name in _LINES, data=name in _DATA and not key):
                    raise FieldError(name, complaint)
        return self

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Return `value` as this spec, from a mapping or from a spec.

        Raises:
            InvalidSpecError: lists every bad field.
        """
        if isinstance(value, cls):
            return value
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise _invalid(cls, error) from None
        except UnicodeEncodeError:
            raise _no_unicode(cls.__name__) from None

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield the fields of `repr` and `str`. Those that may contain a secret are hidden."""
        for name, value in super().__repr_args__():
            secret = value and is_secret_name(name or "")
            yield name, HIDDEN if secret else redacted(value) if isinstance(value, dict) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the JSON Schema of the spec. The meanings of its fields are their descriptions."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        texts = meanings(cls)
        schema["description"] = introduction(cls)
        for name in texts.keys() & schema.get("properties", {}).keys():
            schema["properties"][name]["description"] = texts[name]
        return schema

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, without the fields that were left at their defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)


def _texts(value: Any, *, key: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield each text in plain values, and whether it is a key. Specs within a spec check their own."""
    if isinstance(value, str):
        yield value, key
    elif isinstance(value, dict):
        for name, inside in value.items():
            yield from _texts(name, key=True)
            yield from _texts(inside)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inside in value:
            yield from _texts(inside)


def _invalid(cls: type[Spec], error: ValidationError) -> InvalidSpecError:
    problems = []
    for item in error.errors():
        cause, parts = item.get("ctx", {}).get("error"), [str(part) for part in item["loc"]]
        given = {"missing": MISSING, "extra_forbidden": UNKNOWN}.get(item["type"]) or _short(item["input"])
        if item["type"] == "model_type":
            given = "a text" if isinstance(item["input"], str) else type(item["input"]).__name__
        if isinstance(cause, FieldError):
            parts.append(cause.field)
            given = _short(_value(item["input"], cause.field))
        elif item["type"] == "value_error" and isinstance(item["input"], dict):
            given = _compared(_spec_at(cls, item["loc"]) or cls, item["input"], str(cause)) or given
        problems.append(SpecProblem(".".join(parts) or cls.__name__, given, _allowed(cls, item)))
    similar = [name for item in error.errors() if item["type"] == "extra_forbidden" for name in _similar_fields(cls, item["loc"])]
    similar = similar or [word for problem in problems for word in problem.near()]
    hint = f"`novacron explain {cls.__name__}`, in Python help({cls.__name__}), shows its fields"
    return InvalidSpecError(
        f"invalid {cls.__name__}", problems=problems, hint=f"did you mean {either(similar)}?" if similar else hint
    )


def _compared(cls: type[Spec], given: dict[str, Any], rule: str) -> str:
    """Return the fields that a rule about several fields names, with what was given for them; "" if it names none."""
    named = [word for word in dict.fromkeys(re.findall(r"\w+", rule)) if word in cls.model_fields]
    values = [f"{name}={HIDDEN if is_secret_name(name) else _short(given[name])}" for name in named if name in given]
    return ", ".join(values) or ("none of them" if named else "")


def _no_unicode(name: str) -> InvalidSpecError:
    """Return the error for text that pydantic can't turn into a number: it has characters that are no valid Unicode."""
    return InvalidSpecError(f"invalid {name}", problems=[SpecProblem(name, "a text", "valid Unicode")], outcome="not_sent")


def _similar_fields(cls: type[Spec], location: tuple[Any, ...]) -> list[str]:
    """Return the field that an unknown one was probably meant to be, if there is one."""
    owner = _spec_at(cls, location[:-1]) or cls
    return difflib.get_close_matches(str(location[-1]), owner.model_fields, n=1, cutoff=0.7)


def _allowed(cls: type[Spec], item: Any) -> str:
    if item["type"] == "extra_forbidden":
        owner = _spec_at(cls, item["loc"][:-1]) or cls
        return "one of the fields " + ", ".join(sorted(owner.model_fields))
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, InvalidValueError):
        return str(cause.hint)
    if item["type"] == "model_type" and (spec := _spec_at(cls, item["loc"])) is not None:
        return "the fields " + ", ".join(sorted(spec.model_fields))
    return allowed_words(item["type"], item.get("ctx", {}), str(item["msg"]))


def _spec_at(cls: type[Spec], location: tuple[Any, ...]) -> Any:
    """Return the spec class of a place in a spec, such as `DiskSpec` for ("disks", 0)."""
    owner: Any = cls
    for part in location:
        if isinstance(part, str) and part in getattr(owner, "model_fields", {}):
            owner = spec_in(owner.model_fields[part].annotation) or owner
    return owner if owner is not cls else None


def _value(given: Any, field: str) -> Any:
    """Return what was given for a field that may be in a field of another; "nothing" when it was left out."""
    for part in field.split("."):
        if isinstance(given, (list, tuple)) and part.isdecimal():
            given = given[int(part)]
        else:
            given = given.get(part, MISSING) if isinstance(given, dict) else getattr(given, part, MISSING)
    return given


def spec_in(annotation: Any) -> Any:
    """Return the spec class within a field's annotation, such as `DiskSpec` in `tuple[DiskSpec, ...]`; None without one."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return annotation
    return next((found for arg in getattr(annotation, "__args__", ()) if (found := spec_in(arg))), None)


def _short(value: Any) -> str:
    """Return a value for a message. Of values that contain others only the number is shown, because some may be secrets."""
    if isinstance(value, (dict, list, tuple, set, frozenset)) and value:
        return f"{type(value).__name__} of {len(value)}"
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."


__all__ = [
    "BYTES",
    "Between",
    "DiskSize",
    "FieldError",
    "Label",
    "MemorySize",
    "Name",
    "Rate",
    "Seconds",
    "Size",
    "Spec",
    "Tag",
    "Unit",
    "VolumeSize",
    "spec_in",
]
