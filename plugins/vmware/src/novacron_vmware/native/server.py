"""The server: sessions, licences, roles, permissions, advanced settings."""

from __future__ import annotations

from typing import Any

from novacron.errors import InvalidSpecError, InvalidStateError, NotFoundError, SpecProblem
from novacron.records.vm import Deleted
from novacron_vmware.errors import translated
from novacron_vmware.gone import still_there
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import License, Permission, Role, ServerSession, Setting
from novacron_vmware.sdk import vim


class VSphereServer(NativeOperations):
    """Sessions, licences, roles, permissions and settings of the server."""

    @vsphere.operation(kind="read")
    def session_list(self) -> list[ServerSession]:
        """List the log-ins at the server, the oldest first."""
        manager = self._connection.content.sessionManager
        read = self._connection.read(manager, ["sessionList", "currentSession"])
        own = read["currentSession"].key
        return sorted((_session(each, own) for each in read.get("sessionList") or ()), key=lambda each: each.began_at)

    @vsphere.operation(kind="change", destroys=True)
    def session_end(self, session: str) -> Deleted:
        """End a log-in, given by its id. One's own is refused."""
        found = next((each for each in self.session_list() if each.id == session), None)
        if found is None:
            raise NotFoundError(f"no session {session!r}", resource=session, hint="`novacron vsphere session list` shows them")
        if found.current:
            raise InvalidStateError("that is the session of this command", resource=session, hint="it ends with the command")
        with translated(session):
            self._connection.content.sessionManager.TerminateSession([session])
        return Deleted(name=found.user, id=session)

    @vsphere.operation(kind="read")
    def license_list(self) -> list[License]:
        """List the licences with how much of each is used. Keys are shown by their last group only."""
        return sorted((_license(each) for each in self._licenses()), key=lambda each: (each.name, each.key))

    @vsphere.operation(kind="change", idempotent=True)
    def license_add(self, secret: str) -> License:
        """Add a licence.

        Args:
            secret: the name of the secret that is its key.
        """
        key = self._connection.secrets.get(secret)
        with translated(secret):
            return _license(self._manager("licenseManager", "licences").AddLicense(key, None))

    @vsphere.operation(kind="change", destroys=True)
    def license_remove(self, license: str) -> Deleted:
        """Remove a licence that nothing uses, given by its key as `license list` shows it, or by the key's last group."""
        found = [each for each in self._licenses() if license in (_license(each).key, each.licenseKey.rpartition("-")[2])]
        if len(found) != 1:
            problem = "no licence" if not found else "several licences"
            raise NotFoundError(f"{problem} {license!r}", resource=license, hint="list the licences")
        record = _license(found[0])
        if record.used:
            raise InvalidStateError(f"the licence {record.name!r} is used", resource=license, hint="assign another one first")
        with translated(license):
            self._manager("licenseManager", "licences").RemoveLicense(found[0].licenseKey)
        return Deleted(name=record.name, id=record.key)

    @vsphere.operation(kind="read")
    def role_list(self) -> list[Role]:
        """List the roles with their privileges."""
        roles = self._connection.read(self._manager("authorizationManager", "roles"), ["roleList"]).get("roleList") or []
        found = [Role(name=each.name, id=each.roleId, privileges=tuple(sorted(each.privilege or ()))) for each in roles]
        return sorted(found, key=lambda role: role.name)

    @vsphere.operation(kind="change")
    def role_create(self, name: str, privileges: tuple[str, ...]) -> Role:
        """Create a role.

        Args:
            name: its name.
            privileges: ids such as VirtualMachine.Interact.PowerOn.
        """
        known = {each.privId for each in self._read_manager("privilegeList")}
        if known and (wrong := sorted(set(privileges) - known)):
            raise InvalidSpecError(
                "no such privilege", resource=name, problems=[SpecProblem("privileges", wrong[0], "a privilege's id")]
            )
        with translated(name):
            self._manager("authorizationManager", "roles").AddAuthorizationRole(name, list(privileges))
        return self._role(name)

    @vsphere.operation(kind="change", destroys=True)
    def role_delete(self, name: str) -> Deleted:
        """Delete a role that no permission names."""
        role = self._role(name)
        with translated(name):
            self._manager("authorizationManager", "roles").RemoveAuthorizationRole(role.id, True)
        return Deleted(name=name)

    @vsphere.operation(kind="read")
    def permission_list(self, object: str = "", inherited: bool = False) -> list[Permission]:
        """List permissions: who has which role, and where.

        Args:
            object: only those that this object has itself; without it all of the server.
            inherited: also those that the object inherits from what is above it.
        """
        manager = self._manager("authorizationManager", "roles")
        with translated("permissions"):
            found = (
                manager.RetrieveEntityPermissions(self._permitted(object), inherited)
                if object
                else manager.RetrieveAllPermissions()
            )
        roles = {role.id: role.name for role in self.role_list()}
        where = {id(each): each.entity or (self._permitted(object) if object else None) for each in found}
        paths = self._connection.finder.paths([thing for thing in set(where.values()) if thing is not None])
        records = [
            Permission(
                principal=each.principal,
                group=bool(each.group),
                role=roles.get(each.roleId, str(each.roleId)),
                object=paths.get(where[id(each)], "/"),
                propagate=bool(each.propagate),
            )
            for each in found
        ]
        return sorted(records, key=lambda each: (each.object, each.principal))

    @vsphere.operation(kind="change", idempotent=True)
    def permission_set(
        self, principal: str, role: str, object: str, group: bool = False, propagate: bool = True
    ) -> list[Permission]:
        """Give a user or group a role on an object.

        Args:
            principal: the user or group, DOMAIN\\\\NAME.
            role: the role's name.
            object: where: a name, inventory path or id; "/" is the top.
            group: the principal is a group.
            propagate: it also holds for what is below the object.
        """
        thing = self._permitted(object)
        wanted = vim.AuthorizationManager.Permission(
            principal=principal, group=group, roleId=self._role(role).id, propagate=propagate
        )
        with translated(object):
            self._manager("authorizationManager", "roles").SetEntityPermissions(thing, [wanted])
        return [each for each in self.permission_list(object) if each.principal == principal]

    @vsphere.operation(kind="change", destroys=True)
    def permission_delete(self, principal: str, object: str, group: bool = False) -> Deleted:
        """Take a user's or group's permission on an object away.

        Args:
            principal: the user or group.
            object: where.
            group: the principal is a group.
        """
        with translated(object):
            self._manager("authorizationManager", "roles").RemoveEntityPermission(self._permitted(object), principal, group)
        return Deleted(name=principal)

    @vsphere.operation(kind="read")
    def setting_list(self, prefix: str = "") -> list[Setting]:
        """List advanced settings of the server.

        Args:
            prefix: only those whose name begins with it, such as "config.vpxd.".
        """
        options = self._connection.read(self._manager("setting", "advanced settings"), ["setting"]).get("setting") or []
        found = [Setting(name=each.key, value=each.value) for each in options if each.key.startswith(prefix)]
        return sorted(found, key=lambda each: each.name)

    @vsphere.operation(kind="change", idempotent=True)
    def setting_set(self, name: str, value: str) -> Setting:
        """Change an advanced setting of the server. Whole numbers and true or false keep their type."""
        before = next((each.value for each in self.setting_list() if each.name == name), "")
        typed: Any = value
        if isinstance(before, bool):
            if value not in ("true", "false"):
                raise InvalidSpecError("wrong value", resource=name, problems=[SpecProblem("value", value, "true or false")])
            typed = value == "true"
        elif isinstance(before, int):
            if not value.lstrip("-").isdigit():
                raise InvalidSpecError("wrong value", resource=name, problems=[SpecProblem("value", value, "a whole number")])
            typed = int(value)
        with translated(name):
            self._manager("setting", "advanced settings").UpdateOptions([vim.option.OptionValue(key=name, value=typed)])
        return still_there(each for each in self.setting_list() if each.name == name)

    def _permitted(self, text: str) -> Any:
        return self._connection.content.rootFolder if text == "/" else self._any(text)

    def _role(self, name: str) -> Role:
        roles = self.role_list()
        for role in roles:
            if role.name == name:
                return role
        raise NotFoundError(f"no role {name!r}", resource=name, hint=f"there are: {', '.join(role.name for role in roles)}")

    def _licenses(self) -> list[Any]:
        return list(self._connection.read(self._manager("licenseManager", "licences"), ["licenses"]).get("licenses") or ())

    def _read_manager(self, path: str) -> Any:
        return self._connection.read(self._manager("authorizationManager", "roles"), [path]).get(path) or ()


def _session(session: Any, own: str) -> ServerSession:
    return ServerSession(
        id=session.key,
        user=session.userName,
        name=session.fullName or "",
        began_at=session.loginTime.isoformat(),
        active_at=session.lastActiveTime.isoformat(),
        address=session.ipAddress or "",
        agent=session.userAgent or "",
        current=session.key == own,
    )


def _license(license: Any) -> License:
    groups = license.licenseKey.split("-")
    return License(
        name=license.name,
        key="-".join([*("*****" for _ in groups[:-1]), groups[-1]]),
        edition=license.editionKey or "",
        total=int(license.total or 0),
        used=int(license.used or 0),
    )


__all__ = ["VSphereServer"]
