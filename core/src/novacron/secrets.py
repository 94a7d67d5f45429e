"""Secrets by name. Specs, records and definitions hold only the name; the value is looked up when it is needed, and kept nowhere.

A secret is looked for in an environment variable, in a file that a variable names, with the plugins that offer `secret_backends`, and in
the user's keyring, in this order. For the secret "disk-key" these are `NOVACRON_SECRET_DISK_KEY`, `NOVACRON_SECRET_DISK_KEY_FILE`, and
the keyring's entry of the service "novacron" (`keyring set novacron disk-key`).

Example:
    >>> import os
    >>> os.environ["NOVACRON_SECRET_DISK_KEY"] = "correct horse"
    >>> secret("disk-key")
    'correct horse'
    >>> secret("another")
    Traceback (most recent call last):
    ...
    novacron.errors.SecretNotFoundError: no secret 'another'
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from novacron.errors import InvalidStateError, NovaCronError, PluginError, SecretNotFoundError

KEYRING = "novacron"
"""The keyring's service; its user is the secret's name."""


def secret(name: str) -> str:
    """Return a secret's value.

    Raises:
        SecretNotFoundError: there is none of that name.
        InvalidStateError: its file can't be read, or others may read it.
        PluginError: a plugin that was asked failed.
    """
    variable = variable_of(name)
    found = find_secret(name, variable)
    if found is None:
        raise SecretNotFoundError(
            f"no secret {name!r}", resource=name, outcome="not_sent",
            hint=f"set {variable}, name a file in {variable}_FILE, or keep it: keyring set {KEYRING} {name}",
        )  # fmt: skip
    return found


def find_secret(name: str, variable: str) -> str | None:
    """Return what is kept under a name: in the file that `variable`_FILE names, in `variable`, by a plugin, or in the keyring; or None.

    Raises:
        InvalidStateError: the file can't be read, or others may read it.
        PluginError: a plugin that was asked failed.
    """
    if file := os.environ.get(f"{variable}_FILE"):
        return read_secret(Path(file))
    if (found := os.environ.get(variable)) is not None:
        return found
    from novacron.plugins.application import application_plugins

    for backend in (each for given in application_plugins().hook.secret_backends() for each in given):
        if (found := _asked(backend, name)) is not None:
            return found
    return _kept(name)


def variable_of(name: str) -> str:
    """Return the environment variable of a secret.

    Example:
        >>> variable_of("web1.disk-key")
        'NOVACRON_SECRET_WEB1_DISK_KEY'
    """
    return "NOVACRON_SECRET_" + re.sub(r"[^A-Z0-9]", "_", name.upper())


def read_secret(file: Path) -> str:
    """Return what a file says, without the end of its line.

    Raises:
        InvalidStateError: it can't be read, or others may read it.
    """
    try:
        if file.stat().st_mode & 0o077:
            raise InvalidStateError(f"others may read {file}", outcome="not_sent", hint=f"chmod 600 {file}")
        return file.read_text().rstrip("\n")
    except OSError as error:
        raise InvalidStateError(f"can't read the secret from {file}: {error.strerror}", outcome="not_sent") from error


def _asked(backend: Callable[[str], str | None], name: str) -> str | None:
    """Return what a plugin's place has. When it fails only the kind of its error is passed on: its words may hold what is secret."""
    try:
        found = backend(name)
    except NovaCronError:
        raise
    except Exception as error:  # noqa: BLE001 - a plugin's own
        where = f"{getattr(backend, '__module__', '?')}.{getattr(backend, '__qualname__', type(backend).__name__)}"
        raise PluginError(f"{where} failed to look for the secret {name!r}: {type(error).__name__}", outcome="not_sent") from None
    return None if found is None else str(found)


def _kept(name: str) -> str | None:
    """Return what the user's keyring has, if there is a keyring."""
    import keyring
    from keyring.errors import KeyringError

    try:
        return keyring.get_password(KEYRING, name)
    except KeyringError:
        return None


__all__ = ["KEYRING", "find_secret", "read_secret", "secret", "variable_of"]
