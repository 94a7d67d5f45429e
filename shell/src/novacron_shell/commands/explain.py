"""`novacron explain`: what the fields of a spec mean, and which drivers support them."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

import click

from novacron_shell.output import write


@click.command("explain")
@click.argument("name", required=False, metavar="[SPEC|FIELD|SPEC.FIELD]")
def explain(name: str | None) -> None:
    """Explain a spec or its fields: novacron explain VMSpec, novacron explain watchdog, novacron explain DiskSpec.cache.

    Without a name it lists the specs.
    """
    specs = _specs()
    if name is None:
        for spec, cls in specs.items():
            write(f"{spec:20} {_first(cls)}")
        return
    spec, dot, field = name.partition(".")
    if spec in specs and not dot:
        _explain_spec(spec, specs[spec])
        return
    wanted = field if dot else name
    found = [(each, cls) for each, cls in specs.items() if wanted in cls.model_fields and (not dot or each == spec)]
    if not found:
        known = [*specs, *sorted({each for cls in specs.values() for each in cls.model_fields})]
        near = difflib.get_close_matches(wanted, known, n=1)
        raise click.BadParameter(
            f"no spec or field {name!r}" + (f", did you mean {near[0]!r}?" if near else ""), param_hint="NAME"
        )
    for each, cls in found:
        _explain_field(each, cls, wanted)


def _specs() -> dict[str, Any]:
    from novacron import specs

    return {name: getattr(specs, name) for name in sorted(specs.__all__) if getattr(getattr(specs, name), "model_fields", None)}


def _first(cls: Any) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def _explain_spec(name: str, cls: Any) -> None:
    write(f"{name}: {(inspect.getdoc(cls) or '').partition('Example:')[0].strip()}\n")
    width = max(map(len, cls.model_fields))
    for field in cls.model_fields:
        write(f"  {field:{width}}  {_type(name, field)}{_default(cls, field)}")


def _explain_field(name: str, cls: Any, field: str) -> None:
    write(f"{name}.{field}: {_type(name, field)}{_default(cls, field)}")
    pattern = next((each.pattern for each in cls.model_fields[field].metadata if getattr(each, "pattern", None)), None)
    if pattern:
        write(f"  pattern: {pattern}")
    if sentences := _sentences(cls, field):
        write(f"  {sentences}")
    write(f"  drivers: {', '.join(_drivers(name, field)) or 'none'}")


def _type(name: str, field: str) -> str:
    from novacron.specs import keywords

    typed = getattr(keywords, name.removesuffix("Spec") + "Fields", None)
    found = typed.__annotations__.get(field) if typed else None
    return str(getattr(found, "__forward_arg__", found) or "any")


def _default(cls: Any, field: str) -> str:
    info = cls.model_fields[field]
    if info.is_required():
        return " (required)"
    default = info.get_default(call_default_factory=True)
    shown = default.as_dict() if hasattr(default, "as_dict") else default
    return f" (default: {sorted(shown) if isinstance(shown, frozenset) else shown})"


def _sentences(cls: Any, field: str) -> str:
    """Return the sentences of the spec's docstring that name the field."""
    text = " ".join((inspect.getdoc(cls) or "").partition("Example:")[0].split())
    return " ".join(f"{each.strip().rstrip('.')}." for each in text.split(". ") if f"`{field}`" in each or f" {field}:" in each)


def _drivers(name: str, field: str) -> list[str]:
    """Return the installed drivers that support a field."""
    from novacron.plugins.matrix import installed_providers

    found = []
    for provider in installed_providers():
        supported = (provider.fields() if provider.fields else {}).get(name, "").split()
        if any(each.partition(".")[0] == field for each in supported):
            found.append(provider.name)
    return found


COMMANDS = {"explain": explain}
