"""Keys of the keyboard: what reaches the VM is what govc sends for the same text."""

from __future__ import annotations

import pytest

from novacron import errors
from novacron.keys import combinations_of


def pressed(govc, name):
    (found,) = govc.json("vm.info", "-e", name)["virtualMachines"]
    return next(each["value"] for each in found["config"]["extraConfig"] if each["key"] == "simulator.keys").split()


def test_a_text_is_typed_as_govc_types_it(create, govc):
    """Every character of a US keyboard."""
    text = "".join(map(chr, range(0x20, 0x7F)))
    ours, theirs = create("typed", start=True), create("typed-by-govc", start=True)
    ours.send_keys(*combinations_of(text))
    govc("vm.keystrokes", "-vm", theirs.name, "-s", text)
    assert pressed(govc, "typed") == pressed(govc, "typed-by-govc")


def test_modifiers_are_held(create, govc):
    create("held", start=True).send_keys("ctrl-alt-delete", "f2", "enter")
    assert [[*sorted(key[:-2]), key[-2:]] for key in pressed(govc, "held")] == [["a", "c", "4c"], ["3b"], ["28"]]


def test_a_stopped_vm_and_an_unknown_key_are_refused(create):
    vm = create("mute", start=True)
    with pytest.raises(errors.InvalidSpecError, match="no such key"):
        vm.send_keys("hyper-x")
    vm.stop()
    with pytest.raises(errors.InvalidStateError):
        vm.send_keys("enter")
