"""A lab file: its resources after parameters, profiles and counts are filled in."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from novacron.errors import UNKNOWN, InvalidSpecError, SpecProblem
from novacron.labs.resources import SECTIONS, LabContent, Resource
from novacron.redaction import described

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.labs.plan import LabPlan
    from novacron.site import Site

KEYS = ("name", "description", "host", "parameters", "profiles", *SECTIONS)
OWN = {"vm": ("count", "profile", "host", "running"), "volume": ("pool", "host"), "image": ("pool", "source", "host")}
"""Fields of a lab's resources that the spec of their kind does not have."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_PARAMETER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
MOST = 1000
"""Copies that `count` may ask for."""
LONGEST = 128 * 1024
"""Characters of a text after parameters are filled in. A few parameters can otherwise stand for gigabytes."""
DEEPEST = 20
"""Profiles that a profile may inherit from."""


class Lab(LabContent, frozen=True, kw_only=True):
    """A lab: `name`, `host` and `resources` of a lab file, compared with hosts by `plan`."""

    @classmethod
    def parse(cls, content: Mapping[str, Any], parameters: Mapping[str, Any] | None = None, profile: str | None = None) -> Self:
        """Return the lab that a file describes.

        Args:
            content: the content of the file as plain values.
            parameters: values for the file's parameters, instead of their defaults.
            profile: the profile of VMs that name none.

        Raises:
            InvalidSpecError: an unknown section or field, a parameter without a value, a profile that does not exist or that inherits
                from itself, an invalid value.

        Example:
            >>> lab = Lab.parse({"name": "x", "parameters": {"n": 2}, "vms": {"web": {"count": "${n}", "vcpus": "${n}"}}}, {"n": 1})
            >>> [(vm.name, vm.fields["vcpus"]) for vm in lab.resources]
            [('web-1', 1)]
        """
        if not isinstance(content, Mapping):
            raise _invalid([SpecProblem("content", type(content).__name__, f"sections: {', '.join(KEYS)}")])
        name = content.get("name")
        problems = [SpecProblem(key, UNKNOWN, f"one of {', '.join(KEYS)}") for key in content if key not in KEYS]
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            problems.append(SpecProblem("name", described(name), "1 to 63 letters, digits, and _ . - after the first character"))
        for key in ("parameters", "profiles", *SECTIONS):
            if content.get(key) is not None and not isinstance(content[key], Mapping):
                problems.append(SpecProblem(key, type(content[key]).__name__, "names with values"))
        if problems:
            raise _invalid(problems)
        values = _values(content.get("parameters") or {}, parameters or {})
        host = _filled(content.get("host"), values)
        profiles = content.get("profiles") or {}
        found: list[Resource] = []
        for section, kind in SECTIONS.items():
            for key, fields in (content.get(section) or {}).items():
                found += _resources(kind, str(key), fields or {}, values, profiles, profile, f"{section}.{key}")
        _each_once(found)
        return cls(name=str(name), host=host, resources=tuple(found))

    def plan(
        self, host: HostHandle | None = None, *, prune: bool = False, destroy: bool = False, site: Site | None = None
    ) -> LabPlan:
        """Return what has to be done so that the hosts have what the lab describes. Nothing is changed.

        Args:
            host: the host of resources that name none, if the lab names none.
            prune: also delete resources that were created for this lab and that it no longer has.
            destroy: delete all resources that were created for this lab.
            site: the site whose fleet and state database are used; the default site when None.

        Raises:
            HostNotFoundError, HostConnectionError: a host is unknown or can't be reached.
            InvalidSpecError: no host is named, or a spec is invalid.
        """
        from novacron.labs.plan import make_plan

        return make_plan(self, host, prune=prune, destroy=destroy, site=site)


def _resources(
    kind: str, key: str, fields: Any, values: Mapping[str, Any], profiles: Mapping[str, Any], profile: str | None, path: str
) -> list[Resource]:
    """Return the resources of one entry: several for a VM with a count."""
    if not isinstance(fields, Mapping):
        raise _invalid([SpecProblem(path, type(fields).__name__, "fields with values")])
    given = dict(fields)
    if kind == "vm":
        given = {**_profile(given.get("profile") or profile, profiles, f"{path}.profile", ()), **given}
    count = _filled(given.get("count"), values)
    if count is not None and (isinstance(count, bool) or not str(count).isdigit() or not 0 <= int(count) <= MOST):
        raise _invalid([SpecProblem(f"{path}.count", described(count), f"a whole number from 0 to {MOST}")])
    names = [key] if count is None else [f"{key}-{number}" for number in range(1, int(count) + 1)]
    return [_resource(kind, name, given, {**values, "index": index, "name": name}, path) for index, name in enumerate(names, 1)]


def _resource(kind: str, name: str, given: Mapping[str, Any], values: Mapping[str, Any], path: str) -> Resource:
    filled = _filled(dict(given), values, path)
    own = {key: filled.pop(key) for key in OWN.get(kind, ("host",)) if key in filled}
    for key in ("host", "pool", "source"):
        if own.get(key) is not None and not isinstance(own[key], str):
            raise _invalid([SpecProblem(f"{path}.{key}", type(own[key]).__name__, "text")])
    running = own.get("running")
    if running is not None and not isinstance(running, bool):
        raise _invalid([SpecProblem(f"{path}.running", described(running), "true or false")])
    filled = {"source": own.get("source") or name} if kind == "image" else _checked(kind, name, filled, path)
    return Resource(
        kind=kind, name=name, host=own.get("host"), fields=filled, pool=str(own.get("pool") or "default"), running=running
    )


def _checked(kind: str, name: str, fields: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the given fields of a spec, validated, as plain values. Raises InvalidSpecError with paths of the file."""
    from novacron import specs

    cls: Any = {"pool": specs.StoragePoolSpec, "volume": specs.VolumeSpec, "network": specs.NetworkSpec, "vm": specs.VMSpec}[kind]
    wrong = {"name": "left out: the key is the name", "start": "left out: write running: true"}
    if problems := [
        SpecProblem(f"{path}.{key}", described(fields[key]), allowed) for key, allowed in wrong.items() if key in fields
    ]:
        raise _invalid(problems)
    try:
        spec = cls.parse({**fields, "name": name})
    except InvalidSpecError as error:
        near = _meant(kind, cls, error.problems)
        raise _invalid(
            [
                SpecProblem(
                    path if each.path == cls.__name__ else f"{path}.{each.path}", each.given, near.get(each.path, each.allowed)
                )
                for each in error.problems
            ]
        ) from None
    plain: dict[str, Any] = spec.model_dump(mode="json", exclude_unset=True)
    return {key: value for key, value in plain.items() if key != "name"}


def _meant(kind: str, cls: Any, problems: Sequence[SpecProblem]) -> dict[str, str]:
    """Return the unknown fields of a resource that are like a known one, each with that name."""
    known = {*cls.model_fields, *OWN.get(kind, ("host",))} - {"name", "start"}
    unknown = [each.path for each in problems if each.given == UNKNOWN and "." not in each.path]
    near = {field: difflib.get_close_matches(field, known, n=1, cutoff=0.7) for field in unknown}
    return {field: f"probably {found[0]}" for field, found in near.items() if found}


def _profile(name: str | None, profiles: Mapping[str, Any], path: str, inside: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of a profile with those that it inherits."""
    if name is None:
        return {}
    if not isinstance(name, str):
        raise _invalid([SpecProblem(path, type(name).__name__, "the name of a profile")])
    if len(inside) > DEEPEST:
        raise _invalid([SpecProblem(path, f"{len(inside)} profiles", f"a profile that inherits from at most {DEEPEST} others")])
    if name in inside or not isinstance(profiles.get(name), Mapping):
        allowed = (
            f"a profile that does not inherit from itself: {' -> '.join((*inside, name))}"
            if name in inside
            else (f"one of {', '.join(map(str, profiles))}" if profiles else "no profile: the file has none")
        )
        raise _invalid([SpecProblem(path, name, allowed)])
    fields = dict(profiles[name])
    return {**_profile(fields.pop("profile", None), profiles, path, (*inside, name)), **fields}


def _values(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    unknown = [
        SpecProblem(f"parameters.{name}", UNKNOWN, f"one of {', '.join(map(str, defaults))}" if defaults else "no parameter")
        for name in given
        if name not in defaults
    ]
    missing = [
        SpecProblem(f"parameters.{name}", "missing", "a value: the file has no default")
        for name, value in defaults.items()
        if value is None and name not in given
    ]
    if unknown or missing:
        raise _invalid([*unknown, *missing])
    return {**defaults, **given}


def _filled(value: Any, values: Mapping[str, Any], path: str = "") -> Any:
    """Replace `${name}`. A text that is nothing but a parameter gets the parameter's type."""
    if isinstance(value, Mapping):
        return {key: _filled(each, values, f"{path}.{key}") for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, values, f"{path}.{number}") for number, each in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    place, length = path.strip(".") or "host", len(value)
    for name in _PARAMETER.findall(value):
        if name not in values:
            raise _invalid([SpecProblem(place, f"${{{name}}}", f"parameters of the file: {', '.join(map(str, values))}")])
        length += len(values[name]) if isinstance(values[name], str) else 0
        if length > LONGEST:
            raise _invalid([SpecProblem(place, "a longer text", f"at most {LONGEST} characters after parameters are filled in")])
    whole = _PARAMETER.fullmatch(value)
    return values[whole[1]] if whole else _PARAMETER.sub(lambda match: str(values[match[1]]), value)


def _each_once(resources: list[Resource]) -> None:
    seen: set[tuple[str, ...]] = set()
    for each in resources:
        key = (each.kind, each.host or "", each.pool, each.name)
        if key in seen:
            raise _invalid([SpecProblem(each.kind, each.name, "each name once")])
        seen.add(key)


def _invalid(problems: list[SpecProblem]) -> InvalidSpecError:
    return InvalidSpecError("invalid lab", problems=problems, outcome="not_sent", hint="`novacron schema lab` prints the schema")


__all__ = ["MOST", "OWN", "Lab"]
