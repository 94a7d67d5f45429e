// Storage policies of VMs and disks: the simulator's SPBM has policies, and neither their assignment nor whether they are kept.

package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/pbm/methods"
	spbm "github.com/vmware/govmomi/pbm/simulator"
	pbm "github.com/vmware/govmomi/pbm/types"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

var assigned sync.Map // "vm-57", and "vm-57:2000" for a disk -> the policy's id

func init() {
	simulator.RegisterEndpoint(func(s *simulator.Service, r *simulator.Registry) {
		if !r.IsVPX() {
			return
		}
		more := spbm.New()
		for _, thing := range more.AllReference("PbmProfileProfileManager") {
			more.Put(&profiles{thing.(*spbm.ProfileManager)})
		}
		more.Put(&compliance{types.ManagedObjectReference{Type: "PbmComplianceManager", Value: "complianceManager"}})
		s.RegisterSDK(more)
	})
}

// assign notes the policies that a configuration gives a VM and its disks.
func (m *machine) assign(profiles []types.BaseVirtualMachineProfileSpec, changes []types.BaseVirtualDeviceConfigSpec) {
	note := func(key string, given []types.BaseVirtualMachineProfileSpec) {
		for _, each := range given {
			switch profile := each.(type) {
			case *types.VirtualMachineDefinedProfileSpec:
				assigned.Store(key, profile.ProfileId)
			case *types.VirtualMachineDefaultProfileSpec, *types.VirtualMachineEmptyProfileSpec:
				assigned.Delete(key)
			}
		}
	}
	note(m.Self.Value, profiles)
	for _, change := range changes {
		spec := change.GetVirtualDeviceConfigSpec()
		if disk, is := spec.Device.(*types.VirtualDisk); is {
			note(fmt.Sprintf("%s:%d", m.Self.Value, disk.Key), spec.Profile)
		}
	}
}

type profiles struct{ *spbm.ProfileManager }

func (p *profiles) of(entity pbm.PbmServerObjectRef) []pbm.PbmProfileId {
	if id, is := assigned.Load(entity.Key); is {
		return []pbm.PbmProfileId{{UniqueId: id.(string)}}
	}
	return nil
}

func (p *profiles) PbmQueryAssociatedProfile(_ *simulator.Context, req *pbm.PbmQueryAssociatedProfile) soap.HasFault {
	return &methods.PbmQueryAssociatedProfileBody{Res: &pbm.PbmQueryAssociatedProfileResponse{Returnval: p.of(req.Entity)}}
}

func (p *profiles) PbmQueryAssociatedProfiles(_ *simulator.Context, req *pbm.PbmQueryAssociatedProfiles) soap.HasFault {
	answer := new(pbm.PbmQueryAssociatedProfilesResponse)
	for _, entity := range req.Entities {
		answer.Returnval = append(answer.Returnval, pbm.PbmQueryProfileResult{Object: entity, ProfileId: p.of(entity)})
	}
	return &methods.PbmQueryAssociatedProfilesBody{Res: answer}
}

func (p *profiles) PbmQueryAssociatedEntity(_ *simulator.Context, req *pbm.PbmQueryAssociatedEntity) soap.HasFault {
	answer := new(pbm.PbmQueryAssociatedEntityResponse)
	assigned.Range(func(key, id any) bool {
		kind := "virtualMachine"
		if strings.Contains(key.(string), ":") {
			kind = "virtualDiskId"
		}
		if id == req.Profile.UniqueId && (req.EntityType == "" || req.EntityType == kind) {
			answer.Returnval = append(answer.Returnval, pbm.PbmServerObjectRef{ObjectType: kind, Key: key.(string)})
		}
		return true
	})
	return &methods.PbmQueryAssociatedEntityBody{Res: answer}
}

type compliance struct{ types.ManagedObjectReference }

func (c *compliance) Reference() types.ManagedObjectReference { return c.ManagedObjectReference }

var _ mo.Reference = new(compliance)

// checked says "compliant" of what has a policy. The simulator's datastores have no capabilities that could violate one.
func checked(entities []pbm.PbmServerObjectRef) []pbm.PbmComplianceResult {
	found := []pbm.PbmComplianceResult{}
	for _, entity := range entities {
		if id, is := assigned.Load(entity.Key); is {
			found = append(found, pbm.PbmComplianceResult{
				CheckTime: time.Now(), Entity: entity, Profile: &pbm.PbmProfileId{UniqueId: id.(string)}, ComplianceStatus: "compliant",
			})
		}
	}
	return found
}

func (c *compliance) PbmCheckCompliance(_ *simulator.Context, req *pbm.PbmCheckCompliance) soap.HasFault {
	return &methods.PbmCheckComplianceBody{Res: &pbm.PbmCheckComplianceResponse{Returnval: checked(req.Entities)}}
}

func (c *compliance) PbmFetchComplianceResult(_ *simulator.Context, req *pbm.PbmFetchComplianceResult) soap.HasFault {
	return &methods.PbmFetchComplianceResultBody{Res: &pbm.PbmFetchComplianceResultResponse{Returnval: checked(req.Entities)}}
}
