"""What is said of bad input, by class: thousands of generated values for every field of every spec.

Each refusal names the field, what was given, and what is allowed in words of NovaCron: never those of the validation library.
"""

import importlib
import pkgutil
import re
from collections import Counter

import pytest

from novacron import errors, specs
from novacron.specs.spec import Spec
from novacron.specs.wording import PATTERNS
from novacron.testing.values import VALUES

BAD = (
    None,
    -1,
    0,
    "",
    "x" * 300,
    "a\nb",
    "nul\0byte",
    "../../x",
    1.5,
    [],
    {},
    {"zz": 1},
    ["", ""],
    True,
    10**30,
    "10 parsecs",
    "\u202e/ü",
    b"\xff",
    object(),
)
"""Values of each kind, wrong for most fields."""

CLASSES = {
    "missing": r"this field is required",
    "text": r"(text|text in UTF-8|text in base64|text without .*|text whose first line .*)",
    "boolean": r"true or false",
    "number": r"(a|a whole) number",
    "limit": r"(at least|at most|more than|less than) [\d.]+( (characters?|entr(y|ies)))?",
    "list": r"a list|names with values, such as \{name: value\}",
    "one of the fields": r"one of the fields [a-z_0-9, ]+",
    "fields of a spec": r"the fields [a-z_0-9, ]+",
    "combination": r"(exactly )?one of \w+(, \w+)+",
    "enumeration": r"[\w.-]+(, [\w.-]+)* or [\w.-]+",
    "size or duration": r"(a size|a duration|a rate) such as .*|[\d.]+ \w+ to [\d.]+ \w+; give a unit.*",
    "example": r".*( such as |, as in ).*",
    "names": r".*(letters|characters).*|an absolute path.*|a host name or an IP address",
    "other field": r".*\b(needs|has no|for VNC|without|with|only|takes|and)\b.*",
}
"""The classes of what is allowed. The first one that fits counts."""

LIBRARY = re.compile(
    r"(?i)input should|valid (string|integer|boolean|tuple|dictionary|list|number)|should match|instance of|unable to|Value error"
)
OUR_FAULT = re.compile(r"(?i)report|defect|bug")


def spec_classes():
    for module in pkgutil.iter_modules(specs.__path__):
        importlib.import_module(f"novacron.specs.{module.name}")
    found, waiting = {}, [Spec]
    while waiting:
        waiting += (children := waiting.pop().__subclasses__())
        found |= {each.__name__: each for each in children if each.__module__.startswith("novacron.")}
    return found


SPECS = spec_classes()


def refusals(cls):
    """Return each error that a bad value for a field of a spec causes, with the field."""
    found = []
    for field in [*cls.model_fields, "no_such_field"]:
        usual = VALUES.get(cls.__name__, {}).get(field)
        for value in BAD:
            try:
                cls.parse({**(usual.extra if usual else {}), field: value})
            except errors.InvalidSpecError as error:
                found.append((field, error))
    return found


def class_of(allowed):
    return next((name for name, pattern in CLASSES.items() if re.fullmatch(pattern, allowed, re.DOTALL)), None)


@pytest.mark.parametrize("name", sorted(SPECS))
def test_what_is_allowed_is_said_in_a_known_class(name):
    found = refusals(SPECS[name])
    for field, error in found:
        assert error.problems, error
        assert error.hint == f"`novacron explain {name}`, in Python help({name}), shows its fields"
        assert not OUR_FAULT.search(error.hint)
        for problem in error.problems:
            assert not LIBRARY.search(problem.allowed), f"{name}.{field}: {problem}"
            assert class_of(problem.allowed), f"{name}.{field}: {problem}"
            assert problem.path.partition(".")[0] in {*SPECS[name].model_fields, "no_such_field", name}, problem
        assert "got 'nothing'" not in str(error)
    assert len(found) >= len(BAD), "hardly anything of it was refused"


def test_a_misspelt_field_is_answered_by_the_field_that_was_meant():
    for fields, meant in (({"vcpu": 4}, "vcpus"), ({"memroy": "1GiB"}, "memory"), ({"disks": [{"szie": "1GiB"}]}, "size")):
        with pytest.raises(errors.InvalidSpecError) as refused:
            SPECS["VMSpec"].parse({"name": "web1", **fields})
        assert refused.value.hint == f"did you mean {meant}?"


@pytest.mark.parametrize(
    ("given", "allowed", "meant"),
    [
        ("runing", "one of running, suspended, stopped", ["running"]),
        ("-mem", "one of name, memory_bytes, id, with - before it for descending", ["-memory_bytes"]),
        ("ueif", "bios, uefi or uefi-secure", ["uefi"]),
        ("un", "one of unknown, undone, done", ["unknown", "undone"]),
        ("zebra", "one of running, suspended, stopped", []),
        ("node=", "exactly one of node, host", []),
        ("None", "node or here", []),
        ("2", "a size such as 2GiB", []),
        ("a textt", "a text, a number or a list of words", []),
    ],
)
def test_a_misspelt_value_of_a_closed_set_is_answered_by_the_value_that_was_meant(given, allowed, meant):
    problem = errors.SpecProblem("value", given, allowed)
    assert problem.near() == meant
    hint = errors.InvalidSpecError("invalid", problems=[problem]).hint
    assert hint == (f"did you mean {errors.either(meant)}?" if meant else errors.InvalidSpecError.problems_hint)


def test_the_classes_are_all_there_over_thousands_of_refusals():
    counted = Counter(
        class_of(problem.allowed) for cls in SPECS.values() for _, error in refusals(cls) for problem in error.problems
    )
    assert sum(counted.values()) > 4000
    assert {*CLASSES} <= {*counted}, "a class that nothing is in"


def patterns(schema, found):
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            found.add(schema["pattern"])
        schema = schema.values()
    if not isinstance(schema, (str, bytes, type)) and hasattr(schema, "__iter__"):
        for each in schema:
            patterns(each, found)
    return found


def test_each_pattern_of_a_field_has_its_words():
    used = set().union(*(patterns(cls.__pydantic_core_schema__, set()) for cls in SPECS.values()))
    assert used, "no field has a pattern"
    assert used - {*PATTERNS} == set(), "describe them in novacron/specs/wording.py"
    assert {*PATTERNS} - used == set(), "no field has these patterns any more"
