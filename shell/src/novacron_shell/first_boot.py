"""The options of a VM's image and first boot, shared by `novacron vm create` and `novacron up`."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from novacron_shell.options import TextFile

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle

OWN_KEYS = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")
"""The files of a user's own public keys in ~/.ssh, the preferred one first."""

PASSWORD = "first-boot"  # noqa: S105 - the name of a secret
"""The name under which the content of --password-file is known while the command runs."""


def first_boot_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of the first boot; it gets the fields of `CloudInitSpec` as `cloud_init`."""

    @click.option("--user", help="Create this user in the guest. Without it the image's own user is configured.")
    @click.option("--ssh-key", "ssh_keys", multiple=True, metavar="FILE|KEY", help="A public key that may log in.")
    @click.option(
        "--password-file", type=click.Path(exists=True, dir_okay=False), help="A file (mode 0600) with the user's password."
    )
    @click.option("--hostname", help="The guest's host name; the VM's name by default.")
    @click.option("--cmd", "commands", multiple=True, help="Run this command as root at the end of the first boot.")
    @click.option("--package", "packages", multiple=True, help="Install this package at the first boot.")
    @click.option("--user-data", type=TextFile(), help="A file with user data for cloud-init; - is stdin.")
    @click.option("--vendor-data", type=TextFile(), help="A file with vendor data for cloud-init.")
    @click.option("--network-config", type=TextFile(), help="A file with the network configuration for cloud-init.")
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        user: str | None,
        ssh_keys: tuple[str, ...],
        password_file: str | None,
        hostname: str | None,
        commands: tuple[str, ...],
        packages: tuple[str, ...],
        user_data: Any,
        vendor_data: Any,
        network_config: Any,
        **kwargs: Any,
    ) -> Any:
        asked: dict[str, Any] = {
            "user": user,
            "ssh_keys": [key for each in ssh_keys for key in read_keys(each)],
            "password": password_secret(password_file) if password_file else None,
            "hostname": hostname,
            "commands": [*commands],
            "packages": [*packages],
            "user_data": _checked(user_data, "--user-data"),
            "vendor_data": _checked(vendor_data, "--vendor-data"),
            "network_config": _checked(network_config, "--network-config"),
        }
        return command(*args, cloud_init={field: value for field, value in asked.items() if value}, **kwargs)

    return wrapped


def _checked(file: Any, option: str) -> str | None:
    """Return the content of a file for cloud-init, which ignores what is no valid YAML without an error.

    Raises:
        InvalidSpecError: it is no valid YAML, with the line.
        click.BadParameter: it is YAML, but no mapping.
    """
    from novacron_shell.yaml_files import load

    if file is None:
        return None
    text: str = file.read()
    if option == "--network-config" or text.startswith("#cloud-config\n") or text.rstrip() == "#cloud-config":
        file.seek(0)
        found = load(file)
        if found is not None and not isinstance(found, dict):
            raise click.BadParameter(
                f"{file.name} has a {type(found).__name__} and no mapping of names to values", param_hint=option
            )
    return text


def read_keys(given: str) -> list[str]:
    """Return the public keys of a file, or the key itself."""
    if " " in given.strip() and not os.path.exists(given):
        return [given]
    path = Path(given).expanduser()
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise click.BadParameter(f"can't read {given!r}: {reason}", param_hint="--ssh-key") from None
    if "PRIVATE KEY" in text:
        raise click.BadParameter(f"{given!r} is a private key; give the file that ends with .pub", param_hint="--ssh-key")
    return [line for line in (line.strip() for line in text.splitlines()) if line and not line.startswith("#")]


def own_keys() -> list[str]:
    """Return the user's own public keys: those in ~/.ssh, the preferred one first."""
    folder = Path("~/.ssh").expanduser()
    return [key for name in OWN_KEYS if (folder / name).is_file() for key in read_keys(str(folder / name))]


def own_identity() -> str | None:
    """Return the file of the user's own private key, if OpenSSH would not find it.

    `own_keys` looks in `$HOME`. OpenSSH looks in the home directory of the user database, which differs after `sudo -E` and in containers.
    """
    home = Path("~").expanduser()
    if home.resolve() == Path(_home_of_user()).resolve():
        return None
    files = (home / ".ssh" / name.removesuffix(".pub") for name in OWN_KEYS)
    return next((str(file) for file in files if file.is_file()), None)


def _home_of_user() -> str:
    """Return the home directory that the user database has; `$HOME` where there is no such database or no such user."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_dir
    except (ImportError, KeyError):
        return os.path.expanduser("~")


def password_secret(file: str) -> str:
    """Make the content of a file a secret for this process, and return the secret's name. Only its owner may read the file."""
    from novacron.secrets import read_secret, variable_of

    read_secret(Path(file))
    os.environ[f"{variable_of(PASSWORD)}_FILE"] = str(Path(file).absolute())
    return PASSWORD


def image_disk(
    host: HostHandle, reference: str, *, pool: str = "default", size: str | None = None
) -> tuple[dict[str, Any], str | None]:
    """Return the disk of a VM that starts from an image, and the image's user. An image that is missing is pulled first."""
    from novacron.errors import ImageNotFoundError
    from novacron.images.catalogue import find_source
    from novacron_shell.progress import follow

    try:
        image = host.images.get(find_source(reference, host.info().arch or "x86_64").name, pool)
    except ImageNotFoundError:
        image = follow(host.images.pull(reference, pool=pool, wait=False), f"pull {reference}")
    disk = {"source": f"image:{image.name}", "pool": pool}
    return (disk | {"size": size} if size else disk), image.user


def login_user(cloud_init: dict[str, Any], image_user: str | None) -> dict[str, str]:
    """Return the metadata with the user that `novacron ssh` logs in as: the one that cloud-init creates, or the image's own.

    Example:
        >>> login_user({"user": "ann"}, "debian"), login_user({}, None)
        ({'login-user': 'ann'}, {})
    """
    from novacron.handles.ssh import LOGIN_USER

    user = cloud_init.get("user") or image_user
    return {LOGIN_USER: user} if user else {}


__all__ = ["first_boot_options", "image_disk", "login_user", "own_identity", "own_keys", "password_secret", "read_keys"]
