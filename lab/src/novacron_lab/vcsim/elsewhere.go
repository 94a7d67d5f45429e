// Migrations to another vCenter, which is one more simulator of this machine: the VM is made there over its API, with the credentials and
// the certificate's thumbprint that came with the call, its disks are copied, and then it is gone here.

package main

import (
	"context"
	"io"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func (m *machine) relocateElsewhere(ctx *simulator.Context, spec types.VirtualMachineRelocateSpec) soap.HasFault {
	made, fault := m.makeElsewhere(ctx, spec)
	task := simulator.CreateTask(m.VirtualMachine, "relocateVm", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return nil, fault
	}).Run(ctx)
	after(ctx, task, func() {
		m.Runtime.PowerState = types.VirtualMachinePowerStatePoweredOff
		gone := m.DestroyTask(ctx, &types.Destroy_Task{This: m.Self}).(*methods.Destroy_TaskBody)
		if gone.Res == nil { // never in two places
			_, _ = made.Destroy(context.Background())
		}
	})
	return &methods.RelocateVM_TaskBody{Res: &types.RelocateVM_TaskResponse{Returnval: task}}
}

func (m *machine) makeElsewhere(ctx *simulator.Context, spec types.VirtualMachineRelocateSpec) (*object.VirtualMachine, types.BaseMethodFault) {
	if spec.Folder == nil || spec.Pool == nil || spec.Host == nil || spec.Datastore == nil {
		return nil, &types.InvalidArgument{InvalidProperty: "spec.service"}
	}
	credential, is := spec.Service.Credential.(*types.ServiceLocatorNamePassword)
	address, err := url.Parse(spec.Service.Url)
	if !is || err != nil {
		return nil, &types.InvalidArgument{InvalidProperty: "spec.service"}
	}
	address.Path = vim25.Path
	client := soap.NewClient(address, false)
	client.SetThumbprint(address.Host, spec.Service.SslThumbprint)
	background := context.Background()
	there, err := vim25.NewClient(background, client)
	if err != nil {
		return nil, &types.SSLVerifyFault{Thumbprint: spec.Service.SslThumbprint}
	}
	sessions := session.NewManager(there)
	if there.ServiceContent.About.InstanceUuid != spec.Service.InstanceUuid {
		return nil, &types.InvalidArgument{InvalidProperty: "spec.service.instanceUuid"}
	}
	if err = sessions.Login(background, url.UserPassword(credential.Username, credential.Password)); err != nil {
		return nil, new(types.InvalidLogin)
	}
	defer func() { _ = sessions.Logout(background) }()
	return m.copyTo(ctx, there, spec)
}

func (m *machine) copyTo(ctx *simulator.Context, there *vim25.Client, spec types.VirtualMachineRelocateSpec) (*object.VirtualMachine, types.BaseMethodFault) {
	background, failed := context.Background(), new(types.MigrationFault)
	var store mo.Datastore
	if err := property.DefaultCollector(there).RetrieveOne(background, *spec.Datastore, []string{"name", "summary.url"}, &store); err != nil {
		return nil, failed
	}
	config, sources := m.described("["+store.Name+"]", spec.DeviceChange)
	folder := object.NewFolder(there, *spec.Folder)
	task, err := folder.CreateVM(background, config, object.NewResourcePool(there, *spec.Pool), object.NewHostSystem(there, *spec.Host))
	if err != nil {
		return nil, failed
	}
	info, err := task.WaitForResult(background)
	if err != nil {
		return nil, failed
	}
	made := object.NewVirtualMachine(there, info.Result.(types.ManagedObjectReference))
	devices, err := made.Device(background)
	if err == nil {
		for i, device := range devices.SelectByType((*types.VirtualDisk)(nil)) {
			var file object.DatastorePath
			file.FromString(device.(*types.VirtualDisk).Backing.(types.BaseVirtualDeviceFileBackingInfo).GetVirtualDeviceFileBackingInfo().FileName)
			err = copyFile(flat(m.file(ctx, sources[i])), flat(path.Join(store.Summary.Url, file.Path)))
		}
	}
	if err == nil && m.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
		if task, err = made.PowerOn(background); err == nil {
			err = task.Wait(background)
		}
	}
	if err != nil {
		_, _ = made.Destroy(background)
		return nil, failed
	}
	return made, nil
}

// described is the configuration that a copy is made with, and the files of its disks in their order.
func (m *machine) described(home string, changes []types.BaseVirtualDeviceConfigSpec) (types.VirtualMachineConfigSpec, []string) {
	config := types.VirtualMachineConfigSpec{
		Name: m.Name, InstanceUuid: m.Config.InstanceUuid, Uuid: m.Config.Uuid, NumCPUs: m.Config.Hardware.NumCPU,
		MemoryMB: int64(m.Config.Hardware.MemoryMB), GuestId: m.Config.GuestId, Version: m.Config.Version, Annotation: m.Config.Annotation,
		Firmware: m.Config.Firmware, ExtraConfig: m.Config.ExtraConfig, Files: &types.VirtualMachineFileInfo{VmPathName: home},
	}
	changed := map[int32]types.BaseVirtualDevice{}
	for _, change := range changes {
		device := change.GetVirtualDeviceConfigSpec().Device
		changed[device.GetVirtualDevice().Key] = device
	}
	var sources []string
	present, defaults := object.VirtualDeviceList(m.Config.Hardware.Device), object.VirtualDeviceList(esx.VirtualDevice)
	for _, device := range present {
		if defaults.Find(present.Name(device)) != nil {
			continue
		}
		add := &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: device}
		if other, is := changed[device.GetVirtualDevice().Key]; is {
			add.Device = other
		}
		if disk, is := device.(*types.VirtualDisk); is {
			backing := *disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
			sources = append(sources, backing.FileName)
			backing.FileName, backing.Datastore, backing.Parent, backing.Uuid = "", nil, nil, ""
			copied := *disk
			copied.Backing = &backing
			add.Device, add.FileOperation = &copied, types.VirtualDeviceConfigSpecFileOperationCreate
		}
		config.DeviceChange = append(config.DeviceChange, add)
	}
	return config, sources
}

func flat(descriptor string) string { return strings.TrimSuffix(descriptor, ".vmdk") + "-flat.vmdk" }

// copyFile copies what is there; a disk that nobody has written to has no file.
func copyFile(source, target string) error {
	from, err := os.Open(source)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(target)
	if err != nil {
		return err
	}
	defer to.Close()
	_, err = io.Copy(to, from)
	return err
}
