"""JSON Schema of lab files, for editors."""

from __future__ import annotations

from typing import Any

from novacron.labs.lab import MOST, OWN
from novacron.labs.resources import SECTIONS

URL = "https://json-schema.org/draft/2020-12/schema"


def lab_schema() -> dict[str, Any]:
    """Return the JSON Schema of a lab file.

    Numbers and booleans may also be texts: sizes have units ("2GiB"), and `${name}` stands for a parameter.

    Example:
        >>> sorted(lab_schema()["properties"])[:4]
        ['description', 'host', 'images', 'name']
    """
    from novacron import specs

    classes = {"pool": specs.StoragePoolSpec, "volume": specs.VolumeSpec, "network": specs.NetworkSpec, "vm": specs.VMSpec}
    definitions: dict[str, Any] = {}
    own: dict[str, Any] = {
        "count": {
            "type": ["integer", "string"],
            "minimum": 0,
            "maximum": MOST,
            "description": "Number of copies; their names are NAME-1, NAME-2 and so on.",
        },
        "profile": {"type": "string", "description": "A profile whose fields are used unless given here."},
        "host": {"type": "string", "description": "The name of the host in the fleet."},
        "running": {"type": ["boolean", "string"], "description": "Whether the VM shall run. Left out: it stays as it is."},
        "pool": {"type": "string", "description": "The name of the storage pool."},
        "source": {"type": "string", "description": "A name of the catalogue of images, a URL or a file."},
    }
    sections: dict[str, Any] = {}
    for section, kind in SECTIONS.items():
        schema: dict[str, Any] = _of(classes[kind], definitions) if kind in classes else {"type": "object", "properties": {}}
        for name in ("name", "start"):
            schema["properties"].pop(name, None)
        schema["properties"] |= {name: own[name] for name in OWN.get(kind, ("host",))}
        schema.pop("required", None)
        definitions[kind] = schema | {"additionalProperties": False}
        entry = {"anyOf": [{"$ref": f"#/$defs/{kind}"}, {"type": "null"}]}
        sections[section] = {"type": "object", "additionalProperties": entry}
    profile = {"type": "object", "additionalProperties": {"$ref": "#/$defs/vm"}, "description": "Fields that several VMs share."}
    return {
        "$schema": URL,
        "title": "NovaCron lab",
        "type": "object",
        "required": ["name"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$"},
            "description": {"type": "string"},
            "host": own["host"],
            "parameters": {"type": "object", "description": "Values for ${name}; null has no default."},
            "profiles": profile,
            **sections,
        },
        "$defs": definitions,
    }


def _of(cls: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = _with_texts(cls.model_json_schema(ref_template="#/$defs/{model}"))
    definitions.update(schema.pop("$defs", {}))
    return schema


def _with_texts(schema: Any) -> Any:
    """Allow a text wherever a number, a boolean or one of a set of texts is allowed."""
    if isinstance(schema, list):
        return [_with_texts(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _with_texts(value) for key, value in schema.items() if key != "default"}
    if "enum" in found or "const" in found or found.get("type") in ("integer", "number", "boolean"):
        kept = {key: found.pop(key) for key in ("title", "description") if key in found}
        text = {"type": "string"} if "enum" not in found and "const" not in found else {"type": "string", "pattern": r"^\$\{"}
        return kept | {"anyOf": [found, text]}
    return found


__all__ = ["lab_schema"]
