"""The contract itself: locked, documented, typed, and what handles and docs derive from it."""

import inspect
import re
from pathlib import Path

import pytest

from novacron.handles.vm import VMHandle
from novacron.hookspecs.areas import AREAS
from novacron.hookspecs.lock import lines
from novacron.plugins.validation import operations

LOCK = Path(__file__).parents[2] / "hookspecs.lock"
FUNCTIONS = [f for area in AREAS for f in vars(area).values() if hasattr(f, "operation") and f.__module__ == area.__name__]


def test_a_change_of_the_contract_is_seen_in_the_lock():
    assert LOCK.read_text().splitlines() == list(lines()), (
        "run: python -m novacron.hookspecs.lock >core/hookspecs.lock; see API_VERSION"
    )


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_every_operation_is_documented_and_typed(function):
    assert (function.__doc__ or "").strip().partition("\n")[0].endswith((".", ":")), "the first line says what it does"
    signature = inspect.signature(function)
    assert signature.return_annotation not in (inspect.Signature.empty, "None"), "an operation returns something"
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        assert parameter.default is inspect.Parameter.empty, "defaults live in the specs"
    assert ("job" in signature.parameters) == function.operation.long


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_the_docstring_of_an_operation_names_its_arguments_result_and_statuses(function):
    text = inspect.getdoc(function) or ""
    arguments = re.search(r"^Args:\n((?: .*\n?)+)", text, re.MULTILINE)
    assert re.findall(r"^    (\w+): \S", arguments.group(1) if arguments else "", re.MULTILINE) == [
        *inspect.signature(function).parameters
    ]
    assert "\nReturns:\n" in text
    *others, last = function.operation.statuses or ("",)
    when = f"{', '.join(others)} or {last}" if others else last
    assert re.findall(r"^When: (.*)\.$", text, re.MULTILINE) == ([when] if when else [])
    assert ("VMNotFoundError:" in text) == ("vm" in inspect.signature(function).parameters)


def test_no_two_areas_have_an_operation_of_one_name():
    names = [f.__name__ for f in FUNCTIONS]
    assert len(names) == len(set(names)) == len(operations())


@pytest.mark.parametrize(
    "verb",
    [
        "start",
        "stop",
        "shutdown",
        "reboot",
        "reset",
        "suspend",
        "resume",
        "save",
        "restore",
        "delete",
        "clone",
        "rename",
        "update",
        "export",
    ],
)
def test_a_vms_handle_has_every_verb_of_its_life(verb):
    assert f"vm_{verb}" in operations()
    assert (getattr(VMHandle, verb).__doc__ or "").strip()


SOURCES = Path(__file__).parents[2] / "src" / "novacron"
CALLERS = ("handles", "appliances", "fleets", "images", "monitoring")
"""The packages whose objects call operations for users. Most operations have a method of a handle."""


def uncalled(names, text):
    """Return the operations that a text does not name as a string."""
    return [name for name in names if not re.search(rf"""["']{name}["']""", text)]


def test_every_operation_is_called_by_an_object_for_users():
    text = "\n".join(file.read_text() for folder in CALLERS for file in sorted((SOURCES / folder).rglob("*.py")))
    assert uncalled(operations(), text) == [], "give it a method of a handle in core/src/novacron/handles/"


def test_an_operation_without_a_method_is_found():
    assert uncalled(["vm_start", "vm_blink"], 'self._host.invoke("vm_start", vm=self.id)  # not vm_blink') == ["vm_blink"]
