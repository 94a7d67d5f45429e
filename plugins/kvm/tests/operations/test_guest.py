"""A guest is not trusted: an agent that lies can neither keep a call for ever nor fill this machine's memory."""

import base64
import json
import os
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import libvirt_qemu
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novacron import errors
from novacron.jobs import Job
from novacron_kvm.operations import guest


class Connection:
    """A connection to one VM that runs."""

    domain_ = SimpleNamespace(agentSetResponseTimeout=lambda *_: None, UUIDString=lambda: "uuid", name=lambda: "liar")

    def domain(self, vm, connection=None):
        return self.domain_

    @contextmanager
    def dedicated(self):
        yield None


@pytest.fixture
def agent(monkeypatch):
    """Return a function that gives the driver's guest area, whose agent answers what a function says; it may be asked 5,000 times."""

    def answering(answer):
        asked = []

        def command(domain, text, timeout, flags):
            request = json.loads(text)
            asked.append(request["execute"])
            assert len(asked) < 5000, "it is asked without end"
            return json.dumps({"return": answer(request["execute"], request.get("arguments", {}))})

        monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", command)
        monkeypatch.setattr(guest, "vm_record", lambda *_, **__: SimpleNamespace(status="running", name="liar"))
        return guest.KVMGuest(Connection())

    return answering


def file_answers(piece):
    return lambda command, arguments: 1 if command == "guest-file-open" else piece if command.startswith("guest-file-") else {}


@pytest.mark.parametrize(
    "piece",
    [
        {"count": 0, "eof": False},
        {"count": 0, "eof": False, "buf-b64": ""},
        {"count": 5, "eof": False, "buf-b64": ""},
        {"count": 1, "eof": False, "buf-b64": base64.b64encode(bytes(guest.CHUNK + 1)).decode()},
        {"count": -1, "eof": False, "buf-b64": ""},
        {"count": 1, "buf-b64": "eA=="},
        {"count": 1, "eof": False, "buf-b64": "not base64"},
        {"count": 1, "eof": False, "buf-b64": 7},
        [],
        None,
        "text",
    ],
)
def test_a_file_that_never_ends_or_is_none_is_not_read_for_ever(agent, piece):
    with pytest.raises(errors.GuestAgentError, match="protocol") as caught:
        agent(file_answers(piece)).guest_file_read("liar", "/etc/passwd")
    assert caught.value.hint


def test_an_endless_file_is_given_up_at_the_limit(agent, monkeypatch):
    monkeypatch.setattr(guest, "LARGEST", 20 * guest.CHUNK)
    piece = {"count": guest.CHUNK, "eof": False, "buf-b64": base64.b64encode(bytes(guest.CHUNK)).decode()}
    with pytest.raises(errors.GuestAgentError, match="larger than"):
        agent(file_answers(piece)).guest_file_read("liar", "/dev/zero")


@pytest.mark.parametrize("count", [0, -1, 2**40, "5", None, 1.5])
def test_a_write_that_makes_no_progress_ends(agent, count):
    with pytest.raises(errors.GuestAgentError, match="protocol"):
        agent(file_answers({"count": count})).guest_file_write("liar", "/x", b"hello")


@pytest.mark.parametrize(
    "status", [{}, {"exited": True, "out-data": "*"}, {"exited": True, "exitcode": None, "signal": "x"}, [], 3]
)
def test_a_program_whose_end_is_told_wrongly_is_an_error(agent, status):
    answers = {"guest-exec": {"pid": 1}, "guest-exec-status": status}
    with pytest.raises(errors.GuestAgentError, match="protocol"):
        agent(lambda command, _: answers[command]).guest_exec("liar", ["true"], b"", 5, Job("guest_exec", "liar"))


@pytest.mark.parametrize(
    "answers",
    [
        {"guest-get-host-name": {"host-name": ["a"]}},
        {"guest-get-osinfo": {"pretty-name": {"a": 1}}},
        {"guest-network-get-interfaces": [{"ip-addresses": [{}]}]},
        {"guest-network-get-interfaces": {"a": 1}},
        {"guest-network-get-interfaces": [7]},
        {"guest-info": []},
    ],
)
def test_what_a_guest_says_of_itself_is_checked(agent, answers):
    with pytest.raises(errors.GuestAgentError, match="protocol"):
        agent(lambda command, _: answers.get(command, {})).guest_info("liar")


def test_what_a_guest_says_of_itself_is_bounded(agent):
    addresses = [{"ip-address": f"10.0.{n // 256}.{n % 256}"} for n in range(5000)]
    answers = {
        "guest-get-host-name": {"host-name": "h" * 10**6},
        "guest-network-get-interfaces": [{"name": "eth0", "ip-addresses": addresses}],
        "guest-info": {"version": "v" * 10**6},
    }
    found = agent(lambda command, _: answers.get(command, {})).guest_info("liar")
    assert (len(found.hostname), len(found.addresses), len(found.agent_version)) == (
        guest.LONGEST,
        guest.MOST_ADDRESSES,
        guest.LONGEST,
    )


NAMES = (
    "pid",
    "exited",
    "exitcode",
    "signal",
    "out-data",
    "err-data",
    "count",
    "eof",
    "buf-b64",
    "version",
    "host-name",
    "name",
    "pretty-name",
    "kernel-release",
    "ip-addresses",
    "ip-address",
    "out-truncated",
)
"""The names of values in the agent's protocol."""
ANSWERS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["eA==", "=", "fe80:", "lo"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)
"""What an agent could answer: the names of the protocol with any values."""


@settings(
    max_examples=10_000 if os.environ.get("NOVACRON_SOAK") else 150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(answers=st.lists(ANSWERS | st.binary(max_size=40) | st.text(max_size=40), min_size=1, max_size=6), data=st.data())
def test_whatever_an_agent_answers_ends_in_success_or_one_of_our_errors(agent, answers, data, monkeypatch):
    """Answers that are JSON come as the agent's return value, others as they are."""
    guest_area, given = agent(lambda command, arguments: None), iter(answers * 40)

    def command(domain, text, timeout, flags):
        answer = next(given, {"exited": True, "eof": True})
        if isinstance(answer, (bytes, str)):
            return answer if isinstance(answer, str) else answer.decode("latin-1")
        return json.dumps({"return": answer})

    with monkeypatch.context() as patched:
        patched.setattr(libvirt_qemu, "qemuAgentCommand", command)
        patched.setattr(guest.time, "sleep", lambda seconds: None)
        job = Job("guest_exec", "liar")
        patched.setattr(job, "wait_cancelled", lambda seconds: False, raising=False)
        operations = {
            "info": lambda: guest_area.guest_info("liar"),
            "exec": lambda: guest_area.guest_exec("liar", ["true"], b"", 0.05, job),
            "read": lambda: guest_area.guest_file_read("liar", "/etc/hostname"),
            "write": lambda: guest_area.guest_file_write("liar", "/tmp/x", b"x" * 100),
        }
        with suppress(errors.NovaCronError):
            operations[data.draw(st.sampled_from([*operations]))]()
