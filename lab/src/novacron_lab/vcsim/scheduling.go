// What the simulator's clusters, vApps and datastores do not do: recommendations of DRS, the power of a vApp, maintenance of a datastore.

package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

var recommended atomic.Int32 // the number of recommendations that were made

// running counts the powered-on VMs of each node of the cluster.
func (c *cluster) running(ctx *simulator.Context) map[types.ManagedObjectReference][]types.ManagedObjectReference {
	found := map[types.ManagedObjectReference][]types.ManagedObjectReference{}
	for _, ref := range c.Host {
		found[ref] = nil
	}
	for _, thing := range ctx.Map.All("VirtualMachine") { // the lists of the nodes come after a migration
		vm := thing.(*simulator.VirtualMachine)
		if _, is := found[*vm.Runtime.Host]; is && vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
			found[*vm.Runtime.Host] = append(found[*vm.Runtime.Host], vm.Self)
		}
	}
	return found
}

// RefreshRecommendation recommends a migration from the node with the most running VMs to the one with the least, if they differ by two.
func (c *cluster) RefreshRecommendation(ctx *simulator.Context, req *types.RefreshRecommendation) soap.HasFault {
	body := new(methods.RefreshRecommendationBody)
	config, is := c.ConfigurationEx.(*types.ClusterConfigInfoEx)
	if !is || config.DrsConfig.Enabled == nil || !*config.DrsConfig.Enabled {
		body.Fault_ = simulator.Fault("", new(types.InvalidState))
		return body
	}
	var most, least types.ManagedObjectReference
	load := c.running(ctx)
	for _, ref := range c.Host {
		if most.Value == "" || len(load[ref]) > len(load[most]) {
			most = ref
		}
		if least.Value == "" || len(load[ref]) < len(load[least]) {
			least = ref
		}
	}
	list := []types.ClusterRecommendation{}
	if len(load[most]) >= len(load[least])+2 {
		key := fmt.Sprint(recommended.Add(1))
		list = append(list, types.ClusterRecommendation{
			Key: key, Type: "V1", Time: time.Now(), Rating: 3, Target: &c.Self,
			Reason: string(types.RecommendationReasonCodeFairnessCpuAvg), ReasonText: "Balance average CPU loads",
			Action: []types.BaseClusterAction{&types.ClusterMigrationAction{
				ClusterAction: types.ClusterAction{Type: "MigrationV1", Target: &load[most][0]},
				DrsMigration:  &types.ClusterDrsMigration{Key: key, Time: time.Now(), Vm: load[most][0], Source: most, Destination: least},
			}},
		})
	}
	ctx.Update(c.ClusterComputeResource, []types.PropertyChange{{Name: "recommendation", Val: list}})
	body.Res = new(types.RefreshRecommendationResponse)
	return body
}

// ApplyRecommendation carries a recommended migration out, and takes it from the list.
func (c *cluster) ApplyRecommendation(ctx *simulator.Context, req *types.ApplyRecommendation) soap.HasFault {
	body := new(methods.ApplyRecommendationBody)
	kept := []types.ClusterRecommendation{}
	found := false
	for _, each := range c.Recommendation {
		if each.Key != req.Key {
			kept = append(kept, each)
			continue
		}
		found = true
		for _, action := range each.Action {
			if move, is := action.(*types.ClusterMigrationAction); is {
				vm := ctx.Map.Get(move.DrsMigration.Vm).(*simulator.VirtualMachine)
				vm.RelocateVMTask(ctx, &types.RelocateVM_Task{
					This: vm.Self, Spec: types.VirtualMachineRelocateSpec{Host: &move.DrsMigration.Destination},
				})
			}
		}
	}
	if !found {
		body.Fault_ = simulator.Fault("", &types.InvalidArgument{InvalidProperty: "key"})
		return body
	}
	ctx.Update(c.ClusterComputeResource, []types.PropertyChange{{Name: "recommendation", Val: kept}})
	body.Res = new(types.ApplyRecommendationResponse)
	return body
}

type vapp struct{ *simulator.VirtualApp }

// power changes the VMs of a vApp one after another, and then its own state.
func (a *vapp) power(ctx *simulator.Context, name string, state types.VirtualAppVAppState, change func(*machine) types.ManagedObjectReference) types.ManagedObjectReference {
	task := simulator.CreateTask(a.VirtualApp, name, func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		for _, ref := range a.Vm {
			vm, is := ctx.Map.Get(ref).(*simulator.VirtualMachine)
			if !is || (vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn) == (state == types.VirtualAppVAppStateStarted) {
				continue
			}
			begun := change(&machine{vm})
			if running, is := ctx.Map.Get(begun).(*simulator.Task); is {
				running.Wait()
				if running.Info.Error != nil {
					return nil, running.Info.Error.Fault
				}
			}
		}
		ctx.Update(a.VirtualApp, []types.PropertyChange{{Name: "summary", Val: a.state(state)}})
		return nil, nil
	})
	return task.Run(ctx)
}

func (a *vapp) state(state types.VirtualAppVAppState) *types.VirtualAppSummary {
	summary := &types.VirtualAppSummary{VAppState: state}
	if now := a.Summary.GetResourcePoolSummary(); now != nil {
		summary.ResourcePoolSummary = *now
	}
	return summary
}

func (a *vapp) PowerOnVAppTask(ctx *simulator.Context, req *types.PowerOnVApp_Task) soap.HasFault {
	task := a.power(ctx, "powerOnVApp", types.VirtualAppVAppStateStarted, func(vm *machine) types.ManagedObjectReference {
		body := vm.PowerOnVMTask(ctx, &types.PowerOnVM_Task{This: vm.Self})
		return body.(*methods.PowerOnVM_TaskBody).Res.Returnval
	})
	return &methods.PowerOnVApp_TaskBody{Res: &types.PowerOnVApp_TaskResponse{Returnval: task}}
}

func (a *vapp) PowerOffVAppTask(ctx *simulator.Context, req *types.PowerOffVApp_Task) soap.HasFault {
	task := a.power(ctx, "powerOffVApp", types.VirtualAppVAppStateStopped, func(vm *machine) types.ManagedObjectReference {
		body := vm.PowerOffVMTask(ctx, &types.PowerOffVM_Task{This: vm.Self})
		return body.(*methods.PowerOffVM_TaskBody).Res.Returnval
	})
	return &methods.PowerOffVApp_TaskBody{Res: &types.PowerOffVApp_TaskResponse{Returnval: task}}
}

func (a *vapp) SuspendVAppTask(ctx *simulator.Context, req *types.SuspendVApp_Task) soap.HasFault {
	task := a.power(ctx, "suspendVApp", types.VirtualAppVAppStateStopped, func(vm *machine) types.ManagedObjectReference {
		body := vm.SuspendVMTask(ctx, &types.SuspendVM_Task{This: vm.Self})
		return body.(*methods.SuspendVM_TaskBody).Res.Returnval
	})
	return &methods.SuspendVApp_TaskBody{Res: &types.SuspendVApp_TaskResponse{Returnval: task}}
}

type datastore struct{ *simulator.Datastore }

func (d *datastore) mode(ctx *simulator.Context, mode types.DatastoreSummaryMaintenanceModeState) {
	ctx.Update(d.Datastore, []types.PropertyChange{{Name: "summary.maintenanceMode", Val: string(mode)}})
}

// DatastoreEnterMaintenanceMode refuses a datastore that VMs are on: without storage DRS, nothing moves them.
func (d *datastore) DatastoreEnterMaintenanceMode(ctx *simulator.Context, req *types.DatastoreEnterMaintenanceMode) soap.HasFault {
	body := new(methods.DatastoreEnterMaintenanceModeBody)
	if d.Summary.MaintenanceMode == string(types.DatastoreSummaryMaintenanceModeStateInMaintenance) {
		body.Fault_ = simulator.Fault("", new(types.InvalidState))
		return body
	}
	task := simulator.CreateTask(d.Datastore, "enterMaintenance", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if len(d.Vm) > 0 {
			return nil, &types.ResourceInUse{Type: "Datastore", Name: d.Name}
		}
		d.mode(ctx, types.DatastoreSummaryMaintenanceModeStateInMaintenance)
		return nil, nil
	}).Run(ctx)
	body.Res = &types.DatastoreEnterMaintenanceModeResponse{Returnval: types.StoragePlacementResult{Task: &task}}
	return body
}

func (d *datastore) DatastoreExitMaintenanceModeTask(ctx *simulator.Context, req *types.DatastoreExitMaintenanceMode_Task) soap.HasFault {
	task := simulator.CreateTask(d.Datastore, "exitMaintenance", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if d.Summary.MaintenanceMode != string(types.DatastoreSummaryMaintenanceModeStateInMaintenance) {
			return nil, new(types.InvalidState)
		}
		d.mode(ctx, types.DatastoreSummaryMaintenanceModeStateNormal)
		return nil, nil
	})
	return &methods.DatastoreExitMaintenanceMode_TaskBody{Res: &types.DatastoreExitMaintenanceMode_TaskResponse{Returnval: task.Run(ctx)}}
}

// MoveIntoFolderTask also takes datastores out of a datastore cluster, which the simulator's refuses.
func (f *folder) MoveIntoFolderTask(ctx *simulator.Context, req *types.MoveIntoFolder_Task) soap.HasFault {
	pods := map[types.ManagedObjectReference]*simulator.StoragePod{}
	for _, ref := range req.List {
		if entity, is := ctx.Map.Get(ref).(mo.Entity); is && entity.Entity().Parent != nil {
			if pod, is := ctx.Map.Get(*entity.Entity().Parent).(*simulator.StoragePod); is {
				pods[ref] = pod
			}
		}
	}
	if len(pods) != len(req.List) || len(pods) == 0 {
		body := f.Folder.MoveIntoFolderTask(ctx, req)
		if answer, is := body.(*methods.MoveIntoFolder_TaskBody); is && answer.Res != nil {
			after(ctx, answer.Res.Returnval, func() { tellParents(ctx, req.List) })
		}
		return body
	}
	task := simulator.CreateTask(f.Folder, "moveIntoFolder", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		for ref, pod := range pods {
			entity := ctx.Map.Get(ref).(mo.Entity)
			left := append([]types.ManagedObjectReference{}, pod.ChildEntity...)
			simulator.RemoveReference(&left, ref)
			ctx.Update(pod, []types.PropertyChange{{Name: "childEntity", Val: left}})
			ctx.Update(f.Folder, []types.PropertyChange{{Name: "childEntity", Val: append(f.ChildEntity, ref)}})
			ctx.Update(entity, []types.PropertyChange{{Name: "parent", Val: &f.Self}})
		}
		return nil, nil
	})
	return &methods.MoveIntoFolder_TaskBody{Res: &types.MoveIntoFolder_TaskResponse{Returnval: task.Run(ctx)}}
}

type storagePod struct{ *simulator.StoragePod }

// DestroyTask deletes an empty datastore cluster.
func (p *storagePod) DestroyTask(ctx *simulator.Context, req *types.Destroy_Task) soap.HasFault {
	task := simulator.CreateTask(p.StoragePod, "destroy", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if len(p.ChildEntity) > 0 {
			return nil, &types.ResourceInUse{Type: "StoragePod", Name: p.Name}
		}
		if parent, is := ctx.Map.Get(*p.Parent).(*simulator.Folder); is {
			left := append([]types.ManagedObjectReference{}, parent.ChildEntity...)
			simulator.RemoveReference(&left, p.Self)
			ctx.Update(parent, []types.PropertyChange{{Name: "childEntity", Val: left}})
		}
		ctx.Map.Remove(ctx, p.Self)
		return nil, nil
	})
	return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{Returnval: task.Run(ctx)}}
}

// tellParents tells who listens where moved objects are now: the simulator moves them in silence.
func tellParents(ctx *simulator.Context, moved []types.ManagedObjectReference) {
	for _, ref := range moved {
		if entity, is := ctx.Map.Get(ref).(mo.Entity); is {
			ctx.Update(entity, []types.PropertyChange{{Name: "parent", Val: entity.Entity().Parent}})
		}
	}
}
