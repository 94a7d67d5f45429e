// Enhanced linked mode: the lookup service of each vCenter names all of them. govmomi's simulator names itself alone.
// vSphere: Lookup Service, LookupServiceRegistration.List.

package main

import (
	"encoding/json"
	"net/http"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/lookup"
	lookupsim "github.com/vmware/govmomi/lookup/simulator"
	lookuptypes "github.com/vmware/govmomi/lookup/types"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// linkVCenter registers another vCenter: POST /linked {"url": "https://vc2:443/sdk", "name": "vc2"}.
func linkVCenter(service *simulator.Service, response http.ResponseWriter, request *http.Request) {
	order := struct{ URL, Name string }{}
	if err := json.NewDecoder(request.Body).Decode(&order); err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	ctx := service.Context.For(lookup.Path)
	if ctx.Map == nil {
		http.Error(response, "an ESXi has no lookup service", http.StatusNotFound)
		return
	}
	ref := types.ManagedObjectReference{Type: "LookupServiceRegistration", Value: "ServiceRegistration"}
	known := ctx.Map.Get(ref).(*lookupsim.ServiceRegistration)
	known.List(ctx, &lookuptypes.List{FilterCriteria: new(lookuptypes.LookupServiceRegistrationFilter)}) // it registers itself then
	added := lookuptypes.LookupServiceRegistrationInfo{ServiceId: uuid.NewString(), SiteId: "vcsim"}
	added.ServiceType = lookuptypes.LookupServiceRegistrationServiceType{Product: "com.vmware.cis", Type: "vcenterserver"}
	added.ServiceEndpoints = []lookuptypes.LookupServiceRegistrationEndpoint{{
		Url:          order.URL,
		EndpointType: lookuptypes.LookupServiceRegistrationEndpointType{Protocol: "vmomi", Type: "com.vmware.vim"},
	}}
	added.ServiceAttributes = []lookuptypes.LookupServiceRegistrationAttribute{
		{Key: "com.vmware.vim.vcenter.instanceName", Value: order.Name},
	}
	ctx.WithLock(known, func() { known.Info = append(known.Info, added) })
}
