"""Random compositions over a simulated host: what a run does equals a simple model of it, and undo restores the state."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import novacron
from novacron.workflow import parallel, steps
from novacron.workflow.run.engine import ProcessEngine

NUMBER = itertools.count()


class Failed(Exception):
    """The model of a failure."""


class Tag:
    def __init__(self, name):
        self.name = name

    def flow(self):
        return steps.tag(self.name)

    def run(self, state):
        return state | {self.name}


class Untag(Tag):
    def flow(self):
        return steps.tag(remove=[self.name])

    def run(self, state):
        return state - {self.name}


class Fail:
    def flow(self):
        return steps.revert("no such snapshot")

    def run(self, state):
        raise Failed


class Sequence:
    def __init__(self, parts):
        self.parts = parts

    def flow(self):
        made = self.parts[0].flow()
        for part in self.parts[1:]:
            made = made >> part.flow()
        return made

    def run(self, state):
        for part in self.parts:
            state = part.run(state)
        return state


class When:
    def __init__(self, body, tag):
        self.body, self.tag = body, tag

    def flow(self):
        return self.body.flow().when(tag=self.tag)

    def run(self, state):
        return self.body.run(state) if self.tag in state else state


class Retry:
    def __init__(self, body):
        self.body = body

    def flow(self):
        return self.body.flow().retry(2, 0)

    def run(self, state):
        return self.body.run(state)  # the same attempt fails again


class Otherwise:
    def __init__(self, body, other):
        self.body, self.other = body, other

    def flow(self):
        return self.body.flow().on_failure(self.other.flow())

    def run(self, state):
        try:
            return self.body.run(state)
        except Failed:
            return self.other.run(state)


class Timeout(Retry):
    def flow(self):
        return self.body.flow().timeout(60)


class Alone(Retry):
    def flow(self):
        return parallel(self.body.flow())


leaves = st.one_of(st.sampled_from("abc").map(Tag), st.sampled_from("abcx").map(Untag), st.just(Fail()))
parts = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(Sequence),
        st.builds(When, inner, st.sampled_from("abx")),
        inner.map(Retry),
        st.builds(Otherwise, inner, inner),
        inner.map(Timeout),
        inner.map(Alone),
    ),
    max_leaves=8,
)


@pytest.mark.no_cover  # it reaches no line that the tests of flows do not reach
@pytest.mark.parametrize("_", [0])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(part=parts)
def test_a_random_flow_does_what_the_model_does(_, part):
    name = f"random-{next(NUMBER)}"
    with novacron.connect(f"sim://{name}") as host:
        vm = host.vms.create(name="web1", memory="64MiB", tags=["x"])
        before = frozenset({"x"})
        try:
            expected, status = frozenset(part.run(before)), "done"
        except Failed:
            expected, status = before, "undone"
        flow = part.flow()
        assert type(flow).from_dict(flow.as_dict()) == flow
        assert len(flow.tree().splitlines()) >= 1
        run = flow.run(vm, engine=ProcessEngine())
        assert (run.status, vm.refresh().tags) == (status, expected), str(run)
