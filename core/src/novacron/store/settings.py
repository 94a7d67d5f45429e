"""Settings of all processes of a state database: whole numbers by name."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.store.base import Store

DEFAULTS = {
    "migrations_per_host": 2,
    "run_retention_days": 90,
    "run_retention_runs": 10_000,
    "metrics_days": 2,
    "metrics_5m_days": 30,
    "metrics_1h_days": 365,
}
"""The settings that there are, and what they are until somebody says otherwise."""


class Settings(Store, MutableMapping[str, int]):
    """The settings of the fleet: `fleet().settings["migrations_per_host"] = 4`.

    `migrations_per_host`: how many VMs a host sends and receives at a time in workflows, for all processes together.
    `run_retention_days`: workers delete finished runs, and times of schedules, after so many days. Failed runs stay.
    `run_retention_runs`: workers delete the oldest finished runs if there are more than that. Failed runs stay.
    `metrics_days`, `metrics_5m_days`, `metrics_1h_days`: how many days samples, 5-minute roll-ups and hourly roll-ups are kept.

    It equals itself alone: a comparison of the values would read all of them from the database. Compare `dict(fleet().settings)`.
    """

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __getitem__(self, name: str) -> int:
        from novacron.store.tables import settings

        self._known(name)
        with self.transaction() as connection:
            row = connection.execute(settings.select().where(settings.c.name == name)).first()
            return DEFAULTS[name] if row is None else int(row.value)

    def __setitem__(self, name: str, value: int) -> None:
        from novacron.store.tables import settings

        self._known(name)
        if not isinstance(value, int) or value < 1:
            raise InvalidSpecError("can't set that", problems=[SpecProblem(name, str(value), "a whole number of at least 1")])
        with self.transaction() as connection:
            if connection.execute(settings.update().where(settings.c.name == name).values(value=value)).rowcount == 0:
                connection.execute(settings.insert().values(name=name, value=value))

    def __delitem__(self, name: str) -> None:
        from novacron.store.tables import settings

        self._known(name)
        with self.transaction() as connection:
            connection.execute(settings.delete().where(settings.c.name == name))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(DEFAULTS))

    def __len__(self) -> int:
        return len(DEFAULTS)

    def __repr__(self) -> str:
        return f"<settings {', '.join(self)}>"

    def _known(self, name: str) -> None:
        if name not in DEFAULTS:
            raise InvalidSpecError("no such setting", problems=[SpecProblem(name, "", "one of " + ", ".join(sorted(DEFAULTS)))])


__all__ = ["DEFAULTS", "Settings"]
