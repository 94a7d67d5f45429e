"""Notifications on the desktop of a user, by the D-Bus interface `org.freedesktop.Notifications`."""

from __future__ import annotations

import html
import os
from pathlib import Path
from typing import Any

from novacron.errors import StorageError, UnsupportedOperationError

URGENCY = {"normal": 1, "critical": 2}
HINT = "run the collector in a desktop session, or use another sink"


def bus_address() -> str:
    """Return the address of the user's session bus.

    Raises:
        UnsupportedOperationError: this process belongs to no desktop session.
    """
    address = os.environ.get("DBUS_SESSION_BUS_ADDRESS")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if not address and runtime and Path(runtime, "bus").exists():
        address = f"unix:path={runtime}/bus"
    if not address:
        raise UnsupportedOperationError("there is no desktop: this process has no D-Bus session", hint=HINT)
    return address


def show(title: str, text: str, *, critical: bool, timeout: float) -> None:
    """Show a notification on the desktop.

    Args:
        title: one line.
        text: plain text.
        critical: let it stay until the user closes it.
        timeout: seconds that the desktop may take to accept it.

    Raises:
        UnsupportedOperationError: there is no desktop session, or nothing in it shows notifications.
        StorageError: the desktop did not accept it.
    """
    address = bus_address()
    try:
        from jeepney import DBusAddress, DBusErrorResponse, new_method_call
        from jeepney.io.blocking import open_dbus_connection
        from jeepney.wrappers import unwrap_msg
    except ImportError as error:
        raise UnsupportedOperationError("desktop notifications need the package jeepney", hint="pip install jeepney") from error
    place = DBusAddress("/org/freedesktop/Notifications", "org.freedesktop.Notifications", "org.freedesktop.Notifications")
    hints = {"urgency": ("y", URGENCY["critical" if critical else "normal"])}
    content: tuple[Any, ...] = ("NovaCron", 0, "", title, html.escape(text, quote=False), [], hints, -1)
    try:
        with open_dbus_connection(address) as connection:
            unwrap_msg(connection.send_and_get_reply(new_method_call(place, "Notify", "susssasa{sv}i", content), timeout=timeout))
    except DBusErrorResponse as error:
        if error.name in ("org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"):
            raise UnsupportedOperationError("nothing in the desktop session shows notifications", hint=HINT) from error
        raise StorageError(f"the desktop did not accept the notification: {error}", hint="it is sent again") from error


__all__ = ["bus_address", "show"]
