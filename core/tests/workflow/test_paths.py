"""Paths within a flow: what is written is read back, and which path is inside of which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novacron.workflow.paths import ROOT, Part, Path


@given(st.lists(st.tuples(st.text(min_size=1), st.integers(0, 12)), max_size=4))
def test_parts_are_read_back_whatever_their_names(parts):
    path = ROOT
    for name, attempt in parts:
        path = path / name
        if attempt:
            path = path.attempt(attempt)
    assert path.parts == tuple(Part(name, attempt) for name, attempt in parts)


def test_a_path_is_stored_as_its_text():
    path = ROOT / "0" / "a/b~c%d"
    assert path == "/0/a%2Fb%7Ec%25d"
    assert path.attempt(3) == "/0/a%2Fb%7Ec%25d~3"
    assert type(path) is type(path.attempt(3)) is type(path.attempt(3).without_attempts()) is Path
    assert (ROOT, ROOT.parts) == ("", ())


def test_an_attempt_at_the_root_has_no_name():
    assert ROOT.attempt(2).parts == (Part("", 2),)
    assert (ROOT.attempt(2) / "0").parts == (Part("", 2), Part("0", 0))


@pytest.mark.parametrize(
    ("path", "other", "within"),
    [
        ("/0/1", "/0", True),
        ("/0~2/1", "/0", True),
        ("/0", "/0", True),
        ("/0", "", True),
        ("", "", True),
        ("/01", "/0", False),
        ("/0", "/0/1", False),
        ("", "/0", False),
        ("/1/0", "/0", False),
    ],
)
def test_which_path_is_within_which(path, other, within):
    assert Path(path).is_within(Path(other)) is within


def test_undo_counts_only_below_the_node():
    assert Path("/0/undo/1").undoes_within(Path("/0"))
    assert Path("/0/undo").undoes_within(Path("/0"))
    assert Path("/0/1/undo~2/3").undoes_within(Path("/0"))
    assert not Path("/0/undo/1").undoes_within(Path("/0/undo"))
    assert not Path("/0/undone").undoes_within(Path("/0"))
    assert not Path("/0").undoes_within(ROOT)


@pytest.mark.parametrize(("path", "plain"), [("/0~2/body~13/1", "/0/body/1"), ("~4", ""), ("/0", "/0"), ("", "")])
def test_attempts_are_left_out(path, plain):
    assert Path(path).without_attempts() == plain
