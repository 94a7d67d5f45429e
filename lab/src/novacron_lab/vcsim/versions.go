// Versions of configurations: a change that gives an older one than the object has is refused.

package main

import (
	"strconv"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// changedMeanwhile begins a task that fails because another client has changed the object.
func changedMeanwhile(ctx *simulator.Context, thing mo.Reference) types.ManagedObjectReference {
	return simulator.CreateTask(thing, "refused", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, new(types.ConcurrentAccess)
	}).Run(ctx)
}

type portgroup struct {
	*simulator.DistributedVirtualPortgroup
}

// ReconfigureDVPortgroupTask counts the versions of a port group.
func (p *portgroup) ReconfigureDVPortgroupTask(ctx *simulator.Context, req *types.ReconfigureDVPortgroup_Task) soap.HasFault {
	if version := req.Spec.ConfigVersion; version != "" && version != p.Config.ConfigVersion {
		return &methods.ReconfigureDVPortgroup_TaskBody{Res: &types.ReconfigureDVPortgroup_TaskResponse{
			Returnval: changedMeanwhile(ctx, p.DistributedVirtualPortgroup),
		}}
	}
	body := p.DistributedVirtualPortgroup.ReconfigureDVPortgroupTask(ctx, req)
	if answer, is := body.(*methods.ReconfigureDVPortgroup_TaskBody); is && answer.Res != nil {
		after(ctx, answer.Res.Returnval, func() {
			number, _ := strconv.Atoi(p.Config.ConfigVersion)
			p.Config.ConfigVersion = strconv.Itoa(number + 1)
		})
	}
	return body
}
