"""Where the password comes from: a file, the keyring, the terminal. It is nowhere to be seen afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import novacron
from novacron import errors


def test_the_password_is_nowhere(vcenter, tmp_path, monkeypatch, caplog):
    """Neither in errors and their causes, nor in reprs or logs; a file of it must be for its owner alone."""
    caplog.set_level("DEBUG")
    file = tmp_path / "password"
    file.write_text(vcenter.password + "\n")
    file.chmod(0o644)
    monkeypatch.setenv("NOVACRON_VSPHERE_PASSWORD_FILE", str(file))
    with pytest.raises(errors.InvalidStateError, match="others may read"):
        novacron.connect(vcenter.uri())
    file.chmod(0o600)
    with novacron.connect(vcenter.uri()) as host:
        assert host.vms.list().total >= 4
        shown = f"{host!r} {host.dispatcher.driver.native!r} {vars(host.dispatcher.driver.native)!r}"
    assert vcenter.password not in shown + caplog.text
    monkeypatch.delenv("NOVACRON_VSPHERE_PASSWORD_FILE")
    with pytest.raises(errors.AuthenticationError) as caught:
        novacron.connect(vcenter.uri(), password="secret-and-wrong")
    error: BaseException | None = caught.value
    while error is not None:
        assert "secret-and-wrong" not in repr(error) + str(error)
        error = error.__cause__


def test_the_keyring_gives_the_password(vcenter, monkeypatch):
    """The user's own, by the URI's user and host."""
    import keyring
    from keyring.backend import KeyringBackend

    before = keyring.get_keyring()  # before there is another to choose from

    class Kept(KeyringBackend):
        priority = 1

        def get_password(self, service, username):
            return vcenter.password if (service, username) == ("novacron", "administrator@127.0.0.1") else None

        def set_password(self, service, username, password): ...
        def delete_password(self, service, username): ...

    keyring.set_keyring(Kept())
    try:
        with novacron.connect(vcenter.uri()) as host:
            assert host.ping()
    finally:
        keyring.set_keyring(before)


def test_the_terminal_is_asked_for_a_password(vcenter, tmp_path, monkeypatch):
    """By a command, when it is nowhere else; what is typed is not shown. A program without a terminal gets the error."""
    import pexpect

    environment = {k: v for k, v in os.environ.items() if not k.startswith("NOVACRON_")}
    environment |= {
        "HOME": str(tmp_path),
        "NOVACRON_HOME": str(tmp_path),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    command = ["-c", vcenter.uri(path="/DC0"), "vm", "list", "-o", "name"]
    program = str(Path(sys.executable).parent / "novacron")
    terminal = pexpect.spawn(program, command, env=environment, encoding="utf-8", timeout=60)
    terminal.expect("Password for administrator@127.0.0.1")
    terminal.sendline(vcenter.password)
    terminal.expect(pexpect.EOF)
    assert "DC0_H0_VM0" in terminal.before
    assert vcenter.password not in terminal.before
    done = subprocess.run(
        [program, *command], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode != 0
    assert "no password" in done.stderr
