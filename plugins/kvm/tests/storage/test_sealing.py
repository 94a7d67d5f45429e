"""Sealing calls virt-sysprep as it should; the program itself is a stand-in here."""

import stat

import pytest

from novacron import errors
from novacron.jobs import Job
from novacron_kvm.storage import sealing


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Return a function that puts a stand-in on the PATH."""

    def put(script):
        file = tmp_path / sealing.PROGRAM
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IEXEC)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return put


def test_the_disk_is_given_with_its_format_and_nothing_goes_through_a_shell(program, tmp_path):
    program(f'printf "%s\\n" "$@" >{tmp_path}/said')
    sealing.seal("/pool/a $(reboot).qcow2", "qcow2", Job("template_create"))
    said = (tmp_path / "said").read_text().splitlines()
    assert said == ["--format", "qcow2", "--operations", sealing.OPERATIONS, "-a", "/pool/a $(reboot).qcow2"]


def test_a_failure_has_the_programs_own_words(program):
    program("echo no operating system found; exit 1")
    with pytest.raises(errors.StorageError, match="no operating system found"):
        sealing.seal("/pool/a.qcow2", "qcow2", Job("template_create"))


def test_where_it_cannot_be_done_it_is_refused(program, monkeypatch, tmp_path):
    with pytest.raises(errors.UnsupportedOperationError, match="another machine"):
        sealing.refuse_unsealable("qemu+ssh://root@kvm1/system")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.UnsupportedOperationError, match="not installed"):
        sealing.refuse_unsealable("qemu:///system")
    program("exit 0")
    sealing.refuse_unsealable("qemu:///system")
