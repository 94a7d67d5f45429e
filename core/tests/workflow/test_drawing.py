"""Flows drawn as a tree, as a flowchart and by Graphviz."""

import re
import subprocess

import pytest

from novacron.workflow import parallel, step, steps

pytestmark = pytest.mark.usefixtures("own_state")


@step
def say(context, text):
    """say something"""
    return text


def test_a_flow_is_drawn_as_a_tree_and_as_a_flowchart():
    flow = (steps.snapshot("a").undo(steps.delete_snapshot("a")) >> steps.migrate("b").timeout(60)).on_failure(
        steps.tag("bad")
    ) >> parallel(steps.tag("x") >> steps.suspend(), steps.update(description='say "hi"')).when(status="running")
    assert flow.tree().splitlines() == [
        "tried",
        "  as one",
        "    snapshot 'a'",
        "  undone by",
        "    delete the snapshot 'a'",
        "  within 60 s",
        "    migrate to b",
        "otherwise, once that is undone",
        "  tag +bad",
        "when status=running",
        "  at the same time",
        "    branch 1",
        "      tag +x",
        "      suspend",
        "    update description",
    ]
    lines = flow.mermaid().splitlines()
    nodes = dict(re.fullmatch(r"  (n\d+)\W+(.*?)\W+", line).groups() for line in lines[1:] if '"' in line)
    edges = [re.fullmatch(r"  (n\d+) (-->|-\.->)(?:\|(.*)\|)? (n\d+)", line).groups() for line in lines[1:] if '"' not in line]
    assert len(nodes) + len(edges) == len(lines) - 1
    told = {(nodes[a], kind, words, nodes[b]) for a, kind, words, b in edges}
    assert ("tried", "-.->", "otherwise", "tag +bad") in told
    assert ("as one", "-.->", "undone by", "delete the snapshot 'a") in told
    assert ("status=running", "-->", "yes", "all") in told
    assert ("tag +x", "-->", None, "suspend") in told
    assert {a for a, _, _, b in told if b == "joined"} == {"suspend", "update description"}
    assert {a for a, _, _, b in told if b == "status=running"} == {"migrate to b", "tag +bad"}


def test_graphviz_takes_the_graph_whatever_is_in_a_name():
    """The same boxes and arrows as the flowchart's; quotes, backslashes and line ends do no harm."""
    flow = (steps.run_in_guest('say "a" \\ b') >> steps.tag("x").when(status="running")).on_failure(steps.stop())
    drawn = flow.dot()
    assert drawn.count("->") == sum(line.count("-->") + line.count("-.->") for line in flow.mermaid().splitlines())
    done = subprocess.run(["dot", "-Tplain"], input=drawn, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), drawn
    boxes = [line for line in done.stdout.splitlines() if line.startswith("node ")]
    assert len(boxes) == len([line for line in drawn.splitlines() if "shape=" in line])
    assert done.stdout.count("dashed") == 1
