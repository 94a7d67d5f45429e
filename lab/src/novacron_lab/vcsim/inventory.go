// Clusters that can be deleted, switches that know their uplinks, and of VMs: consolidation and VMware Tools.

package main

import (
	"reflect"
	"slices"
	"unsafe"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// clearManagerEntities removes the entity of tasks whose entity is no inventory object, such as a manager or a checker. vSphere never names those.
func clearManagerEntities(ctx *simulator.Context) {
	for _, thing := range ctx.Map.AllReference("Task") {
		task, is := thing.(*simulator.Task)
		if !is || task.Info.Entity == nil {
			continue
		}
		if named := ctx.Map.Get(*task.Info.Entity); named != nil {
			if _, is := named.(mo.Entity); !is {
				task.Info.Entity = nil
			}
		}
	}
}

type cluster struct {
	*simulator.ClusterComputeResource
}

// DestroyTask deletes a cluster with its resource pools; one with hosts is refused, as by vSphere.
func (c *cluster) DestroyTask(ctx *simulator.Context, req *types.Destroy_Task) soap.HasFault {
	task := simulator.CreateTask(c.ClusterComputeResource, "destroy", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if len(c.Host) > 0 {
			return nil, &types.ResourceInUse{Type: "ClusterComputeResource", Name: c.Name}
		}
		if parent, is := ctx.Map.Get(*c.Parent).(*simulator.Folder); is {
			simulator.RemoveReference(&parent.ChildEntity, c.Self)
		}
		if c.ResourcePool != nil {
			ctx.Map.Remove(ctx, *c.ResourcePool)
		}
		ctx.Map.Remove(ctx, c.Self)
		return nil, nil
	})
	return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{Returnval: task.Run(ctx)}}
}

// ConsolidateVMDisksTask leaves the disks as they are: the simulator's hold nothing that could be merged.
func (m *machine) ConsolidateVMDisksTask(ctx *simulator.Context, req *types.ConsolidateVMDisks_Task) soap.HasFault {
	task := simulator.CreateTask(m.VirtualMachine, "consolidateDisks", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		ctx.Update(m.VirtualMachine, []types.PropertyChange{{Name: "runtime.consolidationNeeded", Val: false}})
		return nil, nil
	})
	return &methods.ConsolidateVMDisks_TaskBody{Res: &types.ConsolidateVMDisks_TaskResponse{Returnval: task.Run(ctx)}}
}

// MountToolsInstaller says that the installer is in the VM's CD drive.
func (m *machine) MountToolsInstaller(ctx *simulator.Context, req *types.MountToolsInstaller) soap.HasFault {
	if m.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
		return &methods.MountToolsInstallerBody{Fault_: simulator.Fault("", &types.InvalidPowerState{
			RequestedState: types.VirtualMachinePowerStatePoweredOn, ExistingState: m.Runtime.PowerState,
		})}
	}
	ctx.Update(m.VirtualMachine, []types.PropertyChange{{Name: "runtime.toolsInstallerMounted", Val: true}})
	return &methods.MountToolsInstallerBody{Res: new(types.MountToolsInstallerResponse)}
}

// UpgradeToolsTask makes the Tools of a running VM the current ones.
func (m *machine) UpgradeToolsTask(ctx *simulator.Context, req *types.UpgradeTools_Task) soap.HasFault {
	task := simulator.CreateTask(m.VirtualMachine, "upgradeTools", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if m.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
			return nil, &types.InvalidPowerState{RequestedState: types.VirtualMachinePowerStatePoweredOn, ExistingState: m.Runtime.PowerState}
		}
		ctx.Update(m.VirtualMachine, []types.PropertyChange{
			{Name: "guest.toolsVersionStatus2", Val: string(types.VirtualMachineToolsVersionStatusGuestToolsCurrent)},
		})
		return nil, nil
	})
	return &methods.UpgradeTools_TaskBody{Res: &types.UpgradeTools_TaskResponse{Returnval: task.Run(ctx)}}
}

// UnmountToolsInstaller takes it out again.
func (m *machine) UnmountToolsInstaller(ctx *simulator.Context, req *types.UnmountToolsInstaller) soap.HasFault {
	ctx.Update(m.VirtualMachine, []types.PropertyChange{{Name: "runtime.toolsInstallerMounted", Val: false}})
	return &methods.UnmountToolsInstallerBody{Res: new(types.UnmountToolsInstallerResponse)}
}

// CreateDVSTask lets the new switch know which of its port groups has its uplinks.
func (f *folder) CreateDVSTask(ctx *simulator.Context, req *types.CreateDVS_Task) soap.HasFault {
	body := f.Folder.CreateDVSTask(ctx, req)
	if answer, is := body.(*methods.CreateDVS_TaskBody); is && answer.Res != nil {
		after(ctx, answer.Res.Returnval, func() { markUplinks(ctx) })
	}
	return body
}

type customizations struct {
	*simulator.CustomizationSpecManager
}

// DeleteCustomizationSpec takes a specification out of the simulator's list, which it keeps to itself.
func (c *customizations) DeleteCustomizationSpec(_ *simulator.Context, req *types.DeleteCustomizationSpec) soap.HasFault {
	kept := reflect.ValueOf(c.CustomizationSpecManager).Elem().FieldByName("items")
	items := (*[]types.CustomizationSpecItem)(unsafe.Pointer(kept.UnsafeAddr()))
	named := func(item types.CustomizationSpecItem) bool { return item.Info.Name == req.Name }
	if !slices.ContainsFunc(*items, named) {
		return &methods.DeleteCustomizationSpecBody{Fault_: simulator.Fault("", new(types.NotFound))}
	}
	*items = slices.DeleteFunc(slices.Clone(*items), named)
	return &methods.DeleteCustomizationSpecBody{Res: new(types.DeleteCustomizationSpecResponse)}
}
