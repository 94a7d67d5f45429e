// Many VMs, made at the same time: the simulator's own way waits at least 40 ms for each, because its collector looks for news every 20 ms.

package main

import (
	"context"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	crowd     = 50 // more VMs in a pool than this are made at the same time
	together  = 64 // as many are in work at once
	diskBytes = 10 << 30
)

// addCrowd gives each pool that has one VM, named PREFIX_VM0, the others: PREFIX_VM1 to the last of `machines`.
func addCrowd(service *simulator.Service, machines int, autostart bool) error {
	client, err := vim25.NewClient(context.Background(), service)
	if err != nil {
		return err
	}
	var first []*simulator.VirtualMachine
	for _, thing := range service.Context.Map.All("VirtualMachine") {
		first = append(first, thing.(*simulator.VirtualMachine))
	}
	work, failures := make(chan func() error), make(chan error, together)
	var workers sync.WaitGroup
	for range together {
		workers.Go(func() {
			for make := range work {
				if err := make(); err != nil {
					select {
					case failures <- err:
					default:
					}
				}
			}
		})
	}
	for _, vm := range first {
		for number := 1; number < machines; number++ {
			name := fmt.Sprintf("%s%d", strings.TrimSuffix(vm.Name, "0"), number)
			work <- func() error { return addLike(service, client, vm, name, autostart) }
		}
	}
	close(work)
	workers.Wait()
	close(failures)
	return <-failures
}

// addLike makes a VM in the folder, pool and network of another one.
func addLike(service *simulator.Service, client *vim25.Client, like *simulator.VirtualMachine, name string, autostart bool) error {
	var devices object.VirtualDeviceList
	scsi, _ := devices.CreateSCSIController("pvscsi")
	ide, _ := devices.CreateIDEController()
	cdrom, _ := devices.CreateCdrom(ide.(*types.VirtualIDEController))
	disk := devices.CreateDisk(scsi.(types.BaseVirtualController), types.ManagedObjectReference{}, "[LocalDS_0] "+path.Join(name, "disk1.vmdk"))
	disk.CapacityInKB = diskBytes / 1024
	disk.StorageIOAllocation = &types.StorageIOAllocationInfo{Limit: types.NewInt64(-1)}
	nic := esx.EthernetCard
	for _, device := range like.Config.Hardware.Device {
		if card, is := device.(types.BaseVirtualEthernetCard); is {
			nic.Backing = card.GetVirtualEthernetCard().Backing
		}
	}
	config := types.VirtualMachineConfigSpec{
		Name:    name,
		GuestId: string(types.VirtualMachineGuestOsIdentifierOtherGuest),
		Files:   &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"},
	}
	config.DeviceChange, _ = append(devices, scsi, cdrom, disk, &nic).ConfigSpec(types.VirtualDeviceConfigSpecOperationAdd)
	ctx := context.Background()
	var host *object.HostSystem
	if strings.Contains(name, "_H") {
		host = object.NewHostSystem(client, *like.Runtime.Host)
	}
	task, err := object.NewFolder(client, *like.Parent).CreateVM(ctx, config, object.NewResourcePool(client, *like.ResourcePool), host)
	if err != nil {
		return err
	}
	made, err := ended(service, task)
	if err != nil || !autostart {
		return err
	}
	if task, err = object.NewVirtualMachine(client, made).PowerOn(ctx); err != nil {
		return err
	}
	_, err = ended(service, task)
	return err
}

// ended waits for a task by looking at it, and returns the object that it made.
func ended(service *simulator.Service, task *object.Task) (made types.ManagedObjectReference, err error) {
	running := service.Context.Map.Get(task.Reference()).(*simulator.Task)
	running.Wait()
	service.Context.WithLock(running, func() {
		if running.Info.Error != nil {
			err = fmt.Errorf("%s", running.Info.Error.LocalizedMessage)
		}
		made, _ = running.Info.Result.(types.ManagedObjectReference)
	})
	return made, err
}
