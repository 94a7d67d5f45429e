"""Examples of configuration files of other programs: Prometheus and Alertmanager. Tests load them into the real servers."""

from __future__ import annotations

from importlib.resources import files

EXAMPLES = ("alertmanager", "prometheus")


def example(name: str) -> str:
    """Return an example of a configuration file.

    Args:
        name: "prometheus" or "alertmanager".

    Returns:
        The file's text.

    Raises:
        KeyError: there is no such example.

    Example:
        >>> "scrape_configs:" in example("prometheus")
        True
    """
    if name not in EXAMPLES:
        raise KeyError(name)
    return files(__name__).joinpath(f"{name}.yml").read_text(encoding="utf-8")


__all__ = ["EXAMPLES", "example"]
