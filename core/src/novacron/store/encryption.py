"""Encrypts the secrets in what is written to the state database, such as the user data of a VM that a run creates.

Every JSON column passes through this module. Encrypted are the values that `redacted` hides in logs, and the commands and output of
programs in guests. The key is the secret "database-key" (see `novacron.secrets`), or else the file `database.key` in the state directory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from novacron.errors import StorageError
from novacron.redaction import is_secret_name, redacted
from novacron.secrets import Secrets, read_secret, variable_of
from novacron.state import StateDirectory

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

KEY_NAME = "database-key"
"""The name of the secret with the key. Machines that share a database need the same one."""
FILE = "database.key"
"""The file with the key, in the state directory. It is created when the first value is encrypted."""
PREFIX = "novacron-encrypted:"
"""How an encrypted value begins. A text that happens to begin so is encrypted, too."""
_GUEST = ("argv", "check", "command", "data", "stderr", "stdin", "stdout", "verify")
_PRIVATE = frozenset({*_GUEST, "keys", "message", "native", "text", "url"})
"""Fields that may contain a secret although their names do not say so: programs of guests with their input and output, keys that are
typed, errors that quote them, fields of a hypervisor's own, and addresses of webhooks, whose path may be a token."""
_MAY_BE_SECRET = re.compile(
    r"pass|pwd|secret|token|key|credential|user_?data|vendor_?data|network_config|commands|authorization|cookie|bearer|basic|://"
    rf"|{PREFIX}|\"(?:{'|'.join(sorted(_PRIVATE))})\"",
    re.IGNORECASE,
)
"""Found in every JSON text that has something to encrypt. All others are written as they are."""


class Encryption:
    """Writes and reads the JSON of the state database.

    Args:
        state: the state directory.
        secret: returns a secret by its name and environment variable, or None, as `Secrets.find` does.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     encryption = Encryption(StateDirectory(folder))
        ...     text = encryption.dumps({"name": "web1", "user_data": "#cloud-config"})
        ...     "web1" in text, "#cloud-config" in text, encryption.loads(text)
        (True, False, {'name': 'web1', 'user_data': '#cloud-config'})
    """

    def __init__(self, state: StateDirectory, secret: Callable[[str, str], str | None] | None = None) -> None:
        self._state, self._secret = state, secret or Secrets().find
        self._keys: MultiFernet | None = None

    def __repr__(self) -> str:
        return "<Encryption>"

    def dumps(self, value: Any) -> str:
        """Return plain values as JSON, with secrets encrypted.

        Raises:
            StorageError: the key can't be created.
            InvalidStateError: the key can't be read, or other users can read it.
        """
        text = json.dumps(value)
        return json.dumps(self._encrypted(json.loads(text))) if _MAY_BE_SECRET.search(text) else text

    def loads(self, text: str | bytes) -> Any:
        """Return the plain values of JSON, with secrets decrypted. Values of another key stay encrypted, see `unreadable`."""
        value = json.loads(text)
        return self._decrypted(value) if PREFIX in (text.decode() if isinstance(text, bytes) else text) else value

    def _encrypted(self, value: Any) -> Any:
        """Return values with those fields and texts encrypted that contain a secret."""
        if isinstance(value, dict):
            return {key: self._encrypt(v) if v and _is_private(key) else self._encrypted(v) for key, v in value.items()}
        if isinstance(value, list):
            words = any(isinstance(item, str) for item in value)  # the words of a command are a secret together
            return self._encrypt(value) if words and redacted(value) != value else [*map(self._encrypted, value)]
        secret = isinstance(value, str) and (redacted(value) != value or value.startswith(PREFIX))
        return self._encrypt(value) if secret else value

    def _encrypt(self, value: Any) -> str:
        if self._keys is None:
            self._keys = self._find_keys(create=True)
        return PREFIX + self._keys.encrypt(json.dumps(value).encode()).decode()

    def _decrypted(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._decrypted(v) for key, v in value.items()}
        if isinstance(value, list):
            return [*map(self._decrypted, value)]
        return self._decrypt(value) if isinstance(value, str) and value.startswith(PREFIX) else value

    def _decrypt(self, text: str) -> Any:
        """Return what was encrypted; the text itself if its key is not here. The key may have been created since the last look."""
        from cryptography.fernet import InvalidToken

        for keys in (self._keys, None):
            keys = keys or self._find_keys(create=False)
            try:
                found = json.loads(keys.decrypt(text.removeprefix(PREFIX)))
            except InvalidToken:
                continue
            self._keys = keys
            return found
        return text

    def _find_keys(self, *, create: bool) -> MultiFernet:
        """Return the keys: the secret, then the file. The first one encrypts, all of them decrypt."""
        from cryptography.fernet import Fernet, MultiFernet

        secret, file = self._secret(KEY_NAME, variable_of(KEY_NAME)), self._state / FILE
        keys = [] if secret is None else [base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest())]
        if create and not keys and not file.exists():
            _create(self._state.create() / FILE, Fernet.generate_key())
        if file.exists():
            keys.append(read_secret(file).encode())
        try:
            return MultiFernet([Fernet(key) for key in keys or [Fernet.generate_key()]])
        except ValueError as error:
            raise StorageError(f"{file} is no key", hint="restore it from a backup", outcome="not_sent") from error


def unreadable(value: Any) -> bool:
    """Return whether plain values contain one that is encrypted with a key that is not here."""
    if isinstance(value, dict):
        return any(map(unreadable, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(unreadable, value))
    return isinstance(value, str) and value.startswith(PREFIX)


def _is_private(field: str) -> bool:
    return field in _PRIVATE or is_secret_name(field)


def _create(file: Path, key: bytes) -> None:
    """Create the file with the key. If several processes try it at once, one of them succeeds and the others keep its file."""
    try:
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=file.name)  # only its owner can read it
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(key)
                opened.flush()
                os.fsync(opened.fileno())
            os.link(name, file)
        except FileExistsError:
            pass
        finally:
            os.unlink(name)
    except OSError as error:
        raise StorageError(f"can't create {file}: {error.strerror}", outcome="not_sent") from error


__all__ = ["KEY_NAME", "Encryption", "unreadable"]
