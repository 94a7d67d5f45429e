"""Questions that VMs wait on: shown, and answered. The question itself is a faked boundary: govmomi's simulator asks none."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import novacron
from novacron import errors
from novacron.drivers.sim import world
from novacron.records.questions import Question
from novacron_lab.govc import Govc
from novacron_shell.cli import cli
from novacron_shell.options import Settings


def test_a_pending_question_is_shown_and_answered(vcenter, host):
    """In the VM's record and in the list; a wrong id or answer changes nothing; govc sees that it is answered."""
    govc, vm = Govc(vcenter), host.vms["DC0_H0_VM0"]
    path = vm.record.path
    assert host.vms.questions() == []
    vcenter.ask(
        govc("ls", "-i", path).partition(":")[2], "Was it moved or copied? ", "Cancel", "I moved it", "I copied it", identity="7"
    )
    (question,) = host.vms.questions()
    assert (question.name, question.id, question.text) == ("DC0_H0_VM0", "7", "Was it moved or copied?")
    assert question.choices == {"0": "Cancel", "1": "I moved it", "2": "I copied it"}
    assert vm.refresh().record.status_reason == "waits for an answer: Was it moved or copied?"
    assert "moved or copied" in govc("vm.question", "-vm", path)
    with pytest.raises(errors.InvalidStateError, match="'9'") as caught:
        vm.answer("9", "1")
    assert "7" in caught.value.hint
    with pytest.raises(errors.InvalidSpecError, match="I copied it"):
        vm.answer("7", "perhaps")
    assert len(host.vms.questions()) == 1
    assert vm.answer("7", "I moved it").record.status_reason == ""
    assert host.vms.questions() == []
    with pytest.raises(errors.InvalidStateError):
        vm.answer("7", "1")


def test_the_command_line_shows_and_answers_questions():
    """On a simulated host: the list has the choices, the answer's text is as good as its key."""
    uri = "sim://asking"
    with novacron.connect(uri) as simulated:
        first, second = (simulated.vms.create(name=name) for name in ("web1", "web2"))
        for vm in (first, second):
            world("asking").questions[vm.id] = Question(
                vm=vm.id, name=vm.name, host="asking", id="7", text="Moved or copied?", choices={"0": "Moved", "1": "Copied"}
            )
        listed = CliRunner().invoke(cli, ["vm", "question", "list", "-c", uri, "-o", "json"], obj=Settings())
        assert listed.output.count("Moved or copied?") == 2
        answered = CliRunner().invoke(cli, ["vm", "question", "answer", first.name, "7", "Copied", "-c", uri], obj=Settings())
        assert answered.exit_code == 0, answered.output
        assert [question.vm for question in simulated.vms.questions()] == [second.id]
        for vm, answer, kind in ((second, "Neither", errors.InvalidSpecError), (first, "Copied", errors.InvalidStateError)):
            refused = CliRunner().invoke(cli, ["vm", "question", "answer", vm.name, "7", answer, "-c", uri], obj=Settings())
            assert isinstance(refused.exception, kind)
