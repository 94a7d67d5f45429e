"""What holds for all processes of a state database: few whole numbers, by name."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from novacron.errors import InvalidSpecError, SpecProblem

DEFAULTS = {"migrations_per_host": 2}
"""The settings that there are, and what they are until somebody says otherwise."""


class Settings(MutableMapping[str, int]):
    """The settings of the fleet: `fleet().settings["migrations_per_host"] = 4`.

    `migrations_per_host`: how many VMs a host sends and receives at a time by workflows, of all processes together.
    """

    def __getitem__(self, name: str) -> int:
        from novacron.store.database import transaction
        from novacron.store.tables import settings

        self._known(name)
        with transaction() as connection:
            row = connection.execute(settings.select().where(settings.c.name == name)).first()
            return DEFAULTS[name] if row is None else int(row.value)

    def __setitem__(self, name: str, value: int) -> None:
        from novacron.store.database import transaction
        from novacron.store.tables import settings

        self._known(name)
        if not isinstance(value, int) or value < 1:
            raise InvalidSpecError("can't set that", problems=[SpecProblem(name, str(value), "a whole number of at least 1")])
        with transaction() as connection:
            if connection.execute(settings.update().where(settings.c.name == name).values(value=value)).rowcount == 0:
                connection.execute(settings.insert().values(name=name, value=value))

    def __delitem__(self, name: str) -> None:
        from novacron.store.database import transaction
        from novacron.store.tables import settings

        self._known(name)
        with transaction() as connection:
            connection.execute(settings.delete().where(settings.c.name == name))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(DEFAULTS))

    def __len__(self) -> int:
        return len(DEFAULTS)

    def __repr__(self) -> str:
        return f"<settings {', '.join(f'{name}={value}' for name, value in self.items())}>"

    def _known(self, name: str) -> None:
        if name not in DEFAULTS:
            raise InvalidSpecError("no such setting", problems=[SpecProblem(name, "", "one of " + ", ".join(sorted(DEFAULTS)))])


__all__ = ["DEFAULTS", "Settings"]
