"""Steps that are made of functions: arguments, results, undo, names; and steps of plugins."""

import json
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import pytest

from novacron import errors
from novacron.plugins import hookimpl
from novacron.site import default_site
from novacron.workflow import StepKind, Workflow, function, step, steps

pytestmark = pytest.mark.usefixtures("own_state")


@step
def say(context, text):
    """say something"""
    return text


@function
def louder(text):
    return text.upper()


def test_functions_are_steps_and_results_are_handed_on(vm):
    seen = []

    @step
    def listen(context):
        seen.append(context.previous)

    flow = say(text="hello").then(louder) >> listen()
    run = flow.run(vm)
    assert run.status == "done", str(run)
    assert seen == ["HELLO"]
    assert Workflow.from_dict(say(text="x").then(louder).as_dict()).run(vm).result() == "X"


def test_a_function_step_is_undone_by_its_own_function(vm, mark):
    run = (mark(name="m") >> steps.revert("none")).run(vm)
    assert run.status == "undone"
    assert "m" not in (vm.record.metadata or {})
    assert mark(name="m").plan(vm).steps[0].undo == "take the mark away"


def test_local_functions_of_one_place_are_different_steps_and_not_stored(vm):
    def made(n):
        @step
        def local(context):
            return n

        return local()

    one, two = made(1), made(2)
    assert (one.run(vm).result(), two.run(vm).result()) == (1, 2)
    with pytest.raises(errors.WorkflowError, match="can't be stored"):
        one.as_dict()


def test_a_name_is_taken_once_but_its_own_code_may_replace_it():
    def a(context): ...
    def b(context): ...

    first, second = step(name="taken")(a), step(name="taken")(a)
    assert first.kind is not second.kind
    with pytest.raises(errors.WorkflowError, match="a step 'taken' already"):
        step(name="taken")(b)
    with pytest.raises(errors.WorkflowError, match="a step 'migrate' already"):
        step(name="migrate")(a)


def test_wrong_arguments_of_a_function_step_are_refused_at_once():
    with pytest.raises(errors.WorkflowError, match="missing a required argument: 'text'"):
        say()


def test_a_function_that_raises_fails_its_step_with_the_cause(vm):
    @step
    def broken(context):
        return 1 / 0

    run = (steps.tag("t") >> broken()).run(vm)
    assert run.status == "undone"
    assert isinstance(run.exception().__cause__.__cause__, ZeroDivisionError)


def test_a_result_that_can_not_be_stored_is_refused_and_the_step_undone(vm):
    undone = []

    @step
    def odd(context):
        return object()

    odd.undo(lambda context, result: undone.append(result))
    run = odd().run(vm)
    assert run.status == "undone"
    assert "can't be stored" in str(run.exception())
    assert undone == [None]


def test_plugins_add_steps_by_their_names(vm):
    class Greet(StepKind):
        name = "greet_from_plugin"

        def run(self, context):
            return f"hello {context.read().name}"

    class Plugin:
        @hookimpl
        def register_steps(self):
            return [Greet()]

    plugins = default_site().plugins
    plugins.register(Plugin(), "greeter")
    try:
        assert "greet_from_plugin" in dir(steps)
        assert steps.greet_from_plugin().run(vm).result() == "hello web1"
    finally:
        plugins.disable("greeter")
    with pytest.raises(AttributeError, match="no step 'greet_from_plugin'"):
        steps.greet_from_plugin  # noqa: B018


class Length(float):
    """A number of a kind of its own, as libraries for figures have them."""


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    "value", [object(), datetime(2026, 11, 27), {1: "a"}, float("nan"), b"x", {"a", "b"}, [Path("/")], Length(2)]
)
def test_an_argument_that_would_be_another_one_after_a_restart_is_refused(value):
    """A resumed run reads its arguments from the database: it must not meet text where there was a time."""
    with pytest.raises(errors.InvalidSpecError, match=r"text: got .*, allowed: what can be stored"):
        say(text=value)


def test_arguments_that_can_be_stored_are_those_of_a_resumed_run():
    flow = say(text={"a": ["b", 1, 2.5, True, None, {"c": ("d",)}, Colour.RED, 2**70]})
    again = Workflow.from_dict(json.loads(json.dumps(flow.as_dict())))
    assert again.node.arguments == {"text": {"a": ["b", 1, 2.5, True, None, {"c": ["d"]}, "red", 2**70]}}
