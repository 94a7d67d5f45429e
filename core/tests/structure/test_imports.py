"""No circle of files in core, but handles that name each other's types, and flows. Lazy and type-only imports count."""

import graphlib

import grimp
import pytest

HANDLES = "novacron.handles."
WORKFLOW = "novacron.workflow"
"""A flow is composed of nodes, and nodes are planned, drawn and read from files as flows: these modules still name each other."""


@pytest.fixture(scope="module")
def graph():
    graph = grimp.build_graph("novacron", exclude_type_checking_imports=False)
    # callers of a workflow that name no site take the default site; see the contract in pyproject.toml
    graph.remove_import(importer="novacron.workflow.defaults", imported="novacron.site")
    return graph


def circle(graph, left_out=()):
    """Return the modules of one circle, empty if there is none."""
    modules = {m: graph.find_modules_directly_imported_by(m) for m in graph.modules if not m.startswith(tuple(left_out))}
    try:
        tuple(graphlib.TopologicalSorter(modules).static_order())
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_core_has_no_circle_of_files(graph):
    assert circle(graph, left_out=[HANDLES, WORKFLOW]) == []


def test_a_circle_is_found(graph):
    assert any(module.startswith(HANDLES) for module in circle(graph, left_out=[WORKFLOW])), "handles name each other's types"
