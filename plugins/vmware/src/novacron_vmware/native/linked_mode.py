"""Enhanced linked mode: the vCenters of one single sign-on domain, which share their users, roles and licences."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from novacron.errors import DriverError, UnsupportedOperationError
from novacron.plugins import HostURI
from novacron_vmware.errors import translated
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import LinkedVCenter

PATH = "/lookupservice/sdk"
ANSWER_MOST = 16 * 2**20
"""Bytes of an answer that are read at most."""
INSTANCE = "com.vmware.vim.vcenter.instanceName"
KEPT = ("verify", "cafile", "password_file")
"""Options of this connection's URI that hold for the other vCenters too; a thumbprint is that of one server."""
QUESTION = b"""<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><List xmlns="urn:lookup">
<_this type="LookupServiceRegistration">ServiceRegistration</_this><filterCriteria>
<serviceType><product>com.vmware.cis</product><type>vcenterserver</type></serviceType>
<endpointType><protocol>vmomi</protocol><type>com.vmware.vim</type></endpointType>
</filterCriteria></List></Body></Envelope>"""
"""What the lookup service is asked: the SDK endpoints of all vCenters. It answers without a session."""


class VSphereLinkedMode(NativeOperations):
    """The vCenters that are linked with this one."""

    @vsphere.operation(kind="read")
    def vcenter_list(self) -> list[LinkedVCenter]:
        """List the vCenters of this one's single sign-on domain, itself first. One user and password log in to all of them."""
        if self._connection.is_esxi:
            raise UnsupportedOperationError("a single ESXi is not linked", outcome="not_sent", hint="connect to a vCenter")
        own = self._connection.content.about.instanceUuid
        found = [self._record(service, own) for service in self._services()]
        return sorted((each for each in found if each is not None), key=lambda each: (not each.current, each.name))

    def _services(self) -> list[Any]:
        """Return the registrations of the lookup service, which runs on every vCenter."""
        from lxml import etree  # takes longer to load than most operations need

        with translated("the lookup service"):
            web = self._connection.session.web()
            try:
                headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": "urn:lookup/2.0"}
                web.request("POST", PATH, body=QUESTION, headers=headers)
                answer = web.getresponse()
                status, content = answer.status, answer.read(ANSWER_MOST)
            finally:
                web.close()
        if status != http.client.OK:
            raise DriverError(f"the lookup service refuses: {status}", hint="look at the service vmware-lookupsvc of the vCenter")
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        try:
            return list(etree.fromstring(content, parser).iter("{*}returnval"))
        except etree.XMLSyntaxError as error:
            raise DriverError(f"the lookup service answers no XML: {error.msg}", hint="look at the vCenter's proxy") from None

    def _record(self, service: Any, own: str) -> LinkedVCenter | None:
        place = urlsplit((service.findtext("{*}serviceEndpoints/{*}url") or "").strip())
        if place.scheme != "https" or not place.hostname:
            return None
        values = {each.findtext("{*}key"): each.findtext("{*}value") for each in service.iter("{*}serviceAttributes")}
        identity = service.findtext("{*}serviceId") or ""
        address = place.hostname if place.port in (None, 443) else f"{place.hostname}:{place.port}"
        given = HostURI.parse(self._connection.uri).query
        query = urlencode({key: given[key] for key in KEPT if key in given}, safe="/", quote_via=quote)
        user = quote(self._connection.session.user, safe="")
        return LinkedVCenter(
            name=values.get(INSTANCE) or address,
            address=address,
            uri=f"vsphere://{user}@{address}" + (f"?{query}" if query else ""),
            current=identity == own,
            id=identity,
        )


__all__ = ["VSphereLinkedMode"]
