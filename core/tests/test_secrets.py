"""Secrets by name: where each is looked for, in which order, and that nothing else tells of one."""

import os
import traceback
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from novacron import errors
from novacron.plugins import hookimpl
from novacron.plugins.driver import ConnectContext
from novacron.secrets import KEYRING, read_secret, variable_of
from novacron.site import default_site
from novacron.state import StateDirectory
from novacron.store.encryption import Encryption

NAME, VARIABLE = "web1.disk-key", "NOVACRON_SECRET_WEB1_DISK_KEY"


class Kept(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.entries = {}

    def get_password(self, service, username):
        return self.entries.get((service, username))

    def set_password(self, service, username, password):
        self.entries[service, username] = password

    def delete_password(self, service, username):
        raise PasswordDeleteError(username)


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No plugins, no secrets and an empty keyring, now and after the test."""
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(f"{VARIABLE}_FILE", raising=False)
    default_site().close()
    before = keyring.get_keyring()
    keyring.set_keyring(Kept())
    yield
    keyring.set_keyring(before)
    default_site().close()


def plugin(backend):
    class Vault:
        @hookimpl
        def secret_backends(self):
            return [backend]

    default_site().plugins.register(Vault(), "vault")


def test_each_place_is_asked_in_its_turn(tmp_path, monkeypatch):
    assert variable_of(NAME) == VARIABLE
    with pytest.raises(errors.SecretNotFoundError) as caught:
        default_site().secrets.get(NAME)
    assert VARIABLE in caught.value.hint
    assert f"keyring set {KEYRING} {NAME}" in caught.value.hint
    keyring.set_password(KEYRING, NAME, "of the keyring")
    assert default_site().secrets.get(NAME) == "of the keyring"
    plugin({NAME: "of the plugin"}.get)
    assert default_site().secrets.get(NAME) == "of the plugin"
    with pytest.raises(errors.SecretNotFoundError):
        default_site().secrets.get("another")
    monkeypatch.setenv(VARIABLE, "of the variable")
    assert default_site().secrets.get(NAME) == "of the variable"
    file = tmp_path / "key"
    file.write_text("of the file\n")
    file.chmod(0o600)
    monkeypatch.setenv(f"{VARIABLE}_FILE", str(file))
    assert default_site().secrets.get(NAME) == "of the file"


def test_a_file_that_others_may_read_or_that_is_not_there_is_said(tmp_path, monkeypatch):
    file = tmp_path / "key"
    monkeypatch.setenv(f"{VARIABLE}_FILE", str(file))
    monkeypatch.setenv(VARIABLE, "not this instead")
    with pytest.raises(errors.InvalidStateError, match=str(file)):
        default_site().secrets.get(NAME)
    file.write_text("hunter2")
    file.chmod(0o640)
    with pytest.raises(errors.InvalidStateError) as caught:
        default_site().secrets.get(NAME)
    assert f"chmod 600 {file}" in caught.value.hint
    assert "hunter2" not in f"{caught.value!r} {caught.value.as_dict()}"


def test_a_plugin_that_fails_is_named_and_what_it_said_is_not_passed_on():
    def sealed(name):
        raise RuntimeError("token=hunter2 is refused")

    plugin(sealed)
    with pytest.raises(errors.PluginError) as caught:
        default_site().secrets.get(NAME)
    assert "sealed" in str(caught.value)
    assert "RuntimeError" in str(caught.value)
    assert "hunter2" not in f"{caught.value!r} {caught.value.as_dict()}"


def test_only_an_ordinary_private_text_file_is_read(tmp_path):
    """Nothing hangs, no other user chooses the secret, and an error shows none of its bytes."""
    pipe, endless, binary, foreign = (tmp_path / name for name in ("pipe", "endless", "binary", "foreign"))
    os.mkfifo(pipe, 0o600)
    binary.write_bytes(b"hunter2\xff\xfe")
    with endless.open("wb") as file:
        file.truncate(2**40)
    foreign.write_text("of another user")
    for path in (endless, binary, foreign):
        path.chmod(0o600)
    refused = {pipe: "no ordinary file", endless: "too long", binary: "no UTF-8 text", Path("nul\0"): "no UTF-8 text"}
    if os.getuid() == 0:
        os.chown(foreign, 65534, 65534)
        refused[foreign] = "another user"
    for path, why in refused.items():
        with pytest.raises(errors.InvalidStateError, match=why) as caught:
            read_secret(path)
        assert caught.value.hint
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_an_empty_secret_is_an_error_and_encrypts_nothing(tmp_path, monkeypatch):
    """A variable that a script left empty must not become a key that everybody knows."""
    monkeypatch.setenv(VARIABLE, "")
    with pytest.raises(errors.InvalidStateError, match="is empty"):
        default_site().secrets.get(NAME)
    monkeypatch.setenv("NOVACRON_SECRET_DATABASE_KEY", "")
    with pytest.raises(errors.InvalidStateError, match="'database-key' is empty"):
        Encryption(StateDirectory(tmp_path)).dumps({"token": "x"})


def test_the_options_of_a_connection_are_not_shown():
    """A plugin, a debugger or a crash report may show what a driver gets for `connect(uri, password=...)`."""
    context = ConnectContext("vc", 5.0, {"password": "hunter2", "verify": "no"})
    assert "hunter2" not in f"{context} {[context]} {context._replace(name='x')}"
    assert "verify" in repr(context)
