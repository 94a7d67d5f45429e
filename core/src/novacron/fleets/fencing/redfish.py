"""The fence agent `redfish`: a management controller (BMC) that speaks Redfish, through the library sushy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from novacron.errors import (
    AuthenticationError,
    DriverError,
    HostConnectionError,
    NotFoundError,
    NovaCronError,
    UnsupportedOperationError,
)
from novacron.records.fencing import FenceTarget, PowerStatus
from novacron.secrets import require_encryption


class Redfish:
    """Switches a server off with `ForceOff`.

    The options are `url` ("https://bmc-kvm1"), `username`, `password_secret` (the name of a secret), `system` (the identity of the
    system, needed only if the BMC has several), and `ca_file` (the certificates to trust instead of those of the operating system).
    """

    name = "redfish"
    required: Sequence[str] = ("url", "username", "password")
    optional: Sequence[str] | None = ("system", "ca_file")

    def off(self, target: FenceTarget) -> None:
        """Send `ForceOff`. A server that is off is left alone, because BMCs answer that with an error."""
        from sushy import PowerState, ResetType

        with _mapped(target):
            system = _system(target)
            if system.power_state != PowerState.OFF:
                system.reset_system(ResetType.FORCE_OFF)

    def status(self, target: FenceTarget) -> PowerStatus:
        """Return "off" only for the power state `Off`. Other states, such as `PoweringOff`, count as "on"."""
        from sushy import PowerState

        with _mapped(target):
            state = _system(target).power_state
        return "unknown" if state is None else "off" if state == PowerState.OFF else "on"


class _mapped:
    """Turns sushy's errors into errors of NovaCron. Their texts are not repeated, because they may have parts of the request."""

    def __init__(self, target: FenceTarget) -> None:
        self._target = target

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None or not isinstance(error, Exception):
            return
        import requests
        from sushy import exceptions

        where = f"the BMC of {self._target.node} at {self._target.options['url']}"
        if isinstance(error, exceptions.AccessError):
            hint = "check the option username and the secret of the password; `novacron fence test` tries them"
            raise AuthenticationError(f"{where} rejected the user or the password", hint=hint) from None
        if isinstance(error, exceptions.ConnectionError | requests.RequestException):
            hint = "check the BMC, its network and its certificate"
            raise HostConnectionError(f"{where} can't be reached", hint=hint) from None
        if not isinstance(error, NovaCronError):  # sushy's own, and what an answer of odd types raises in it
            raise DriverError(f"{where} answered with an error: {type(error).__name__}", outcome="unknown") from None


def _system(target: FenceTarget) -> Any:
    """Connect to the BMC with a new session for each call, and return the system."""
    try:
        import sushy
        from sushy.auth import BasicAuth

        from novacron.fleets.fencing.redfish_connection import connector
    except ImportError:
        raise UnsupportedOperationError(
            "the fence agent redfish needs the library sushy", outcome="not_sent", hint="pip install 'novacron[fencing]'"
        ) from None
    options = target.options
    require_encryption(f"the password of the BMC of {target.node}", options["url"])
    root = sushy.Sushy(
        options["url"],
        auth=BasicAuth(username=options["username"], password=options["password"]),
        connector=connector(options["url"], verify=options.get("ca_file", True), timeout=target.timeout),
    )
    systems = root.get_system_collection()
    if "system" in options:
        for path in systems.members_identities:
            if path.rstrip("/").rpartition("/")[2] == options["system"]:
                return root.get_system(path)
        raise NotFoundError(f"the BMC of {target.node} has no system {options['system']!r}", resource=target.node)
    if len(systems.members_identities) != 1:
        names = ", ".join(path.rstrip("/").rpartition("/")[2] for path in systems.members_identities)
        raise NotFoundError(f"the BMC of {target.node} has several systems", resource=target.node, hint=f"set system: {names}")
    return root.get_system(systems.members_identities[0])


__all__ = ["Redfish"]
