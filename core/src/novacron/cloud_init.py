"""Writes what cloud-init reads at the first boot, for every driver: NoCloud on KVM, guestinfo on vSphere.

What a spec says and user data of one's own are combined in a MIME message of two parts. cloud-init merges them: lists such as
`ssh_authorized_keys` and `runcmd` are appended, other values of the user data win.
Sources: https://docs.cloud-init.io/en/latest/explanation/format.html, https://docs.cloud-init.io/en/latest/reference/merging.html
"""

from __future__ import annotations

import json
from email import message_from_string
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message

    from novacron.specs.cloud_init import CloudInitSpec

TYPES = (
    ("#cloud-config-archive", "cloud-config-archive"),
    ("#cloud-config", "cloud-config"),
    ("#cloud-boothook", "cloud-boothook"),
    ("#include-once", "x-include-once-url"),
    ("#include", "x-include-url"),
    ("#part-handler", "part-handler"),
    ("#upstart-job", "upstart-job"),
    ("## template:", "jinja2"),
    ("#!", "x-shellscript"),
)
"""The MIME type of user data, by how it begins."""

APPEND = "list(append)+dict(no_replace,recurse_list)+str()"
"""How cloud-init merges the second part into the first: what is there stays, lists are appended."""

BOUNDARY = "===============novacron-cloud-init=="


class Seed(NamedTuple):
    """The documents that cloud-init reads; None for those that are not needed."""

    user_data: str
    meta_data: str
    network_config: str | None
    vendor_data: str | None


def seed(spec: CloudInitSpec, vm: str, secret: Callable[[str], str]) -> Seed:
    """Return the documents for a VM.

    Args:
        vm: the VM's name; cloud-init takes a new name for a new machine, and then runs again.
        secret: returns a secret's value by its name, `site.secrets.get`.

    Raises:
        SecretNotFoundError: there is no secret of the name in `password`.

    Example:
        >>> from novacron.specs import CloudInitSpec
        >>> print(seed(CloudInitSpec(commands=["touch /done"]), "web1", str).user_data)
        #cloud-config
        {
          "runcmd": [
            "touch /done"
          ]
        }
        <BLANKLINE>
    """
    meta = {"instance-id": vm, "local-hostname": spec.hostname or vm}
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in meta.items())
    return Seed(user_data(spec, secret), text, spec.network_config, spec.vendor_data)


def user_data(spec: CloudInitSpec, secret: Callable[[str], str]) -> str:
    """Return the user data: what the spec says, the user's own, or both."""
    config = _config(spec, secret)
    if not config:
        return spec.user_data or "#cloud-config\n{}\n"
    own = "#cloud-config\n" + json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    if not spec.user_data:
        return own
    message: Message
    if spec.user_data.startswith(("Content-Type:", "MIME-Version:")):
        message = message_from_string(spec.user_data)
    else:
        message = MIMEMultipart(boundary=BOUNDARY)
        message.attach(_part(_type_of(spec.user_data), spec.user_data))
    ours = _part("cloud-config", own)
    ours["Merge-Type"] = APPEND
    message.attach(ours)
    return message.as_string()


def _config(spec: CloudInitSpec, secret: Callable[[str], str]) -> dict[str, Any]:
    """Return the cloud-config of the spec's fields."""
    config: dict[str, Any] = {}
    hashed = _hashed(secret(spec.password)) if spec.password else None
    if spec.user:
        about: dict[str, Any] = {
            "name": spec.user,
            "shell": "/bin/bash",
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "lock_passwd": hashed is None,
        }
        if hashed:
            about["hashed_passwd"] = hashed
        if spec.ssh_keys:
            about["ssh_authorized_keys"] = [*spec.ssh_keys]
        config["users"] = ["default", about]
    else:
        if spec.ssh_keys:
            config["ssh_authorized_keys"] = [*spec.ssh_keys]
        if hashed:
            config["password"] = hashed
            config["chpasswd"] = {"expire": False}
    if spec.packages:
        config |= {"package_update": True, "packages": [*spec.packages]}
    if spec.commands:
        config["runcmd"] = [*spec.commands]
    return config


def _hashed(password: str) -> str:
    """Return a password as a guest's /etc/shadow has it: the seed must not hold it in clear."""
    import bcrypt

    data = password.encode()
    if len(data) > 72:
        from novacron.errors import InvalidSpecError, SpecProblem

        problem = SpecProblem(
            "cloud_init.password", f"a password of {len(data)} bytes", "at most 72 bytes, which is bcrypt's limit"
        )
        raise InvalidSpecError("invalid password", problems=[problem], outcome="not_sent")
    return bcrypt.hashpw(data, bcrypt.gensalt(prefix=b"2b")).decode()


def _type_of(text: str) -> str:
    return next(kind for start, kind in TYPES if text.startswith(start))


def _part(kind: str, text: str) -> MIMENonMultipart:
    part = MIMENonMultipart("text", kind, charset="utf-8")
    part.set_payload(text, "utf-8")
    return part


__all__ = ["Seed", "seed", "user_data"]
