"""The systemd unit of the monitoring service."""

from __future__ import annotations

from collections.abc import Sequence

UNIT = """\
[Unit]
Description=NovaCron monitoring: metrics, history, exporter and alerts
Documentation=https://github.com/novacron/novacron
Wants=network-online.target
After=network-online.target libvirtd.service

[Service]
Type=exec
ExecStart={command}
Restart=always
RestartSec=5
User={user}
StateDirectory=novacron
Environment=NOVACRON_STATE=/var/lib/novacron
NoNewPrivileges=true
ProtectSystem=full
ProtectHome=read-only
PrivateTmp=true

[Install]
WantedBy=multi-user.target
"""


def unit(program: str, options: Sequence[str] = (), *, user: str = "root") -> str:
    """Return the text of a systemd unit that runs `novacron monitor serve`.

    Args:
        program: the path of the program `novacron`.
        options: further options of the command.
        user: the user that runs it.

    Example:
        >>> print([line for line in unit("/usr/bin/novacron").splitlines() if line.startswith("ExecStart")][0])
        ExecStart="/usr/bin/novacron" "monitor" "serve"
    """
    words = [program, "monitor", "serve", *options]
    return UNIT.format(command=" ".join(f'"{_quoted(word)}"' for word in words), user=user)


def _quoted(word: str) -> str:
    """Return a word as systemd reads it between double quotes: its own escapes, percent signs and dollar signs are doubled."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return escaped.replace("%", "%%").replace("$", "$$")


__all__ = ["unit"]
