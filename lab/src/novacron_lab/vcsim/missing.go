// What vSphere does and govmomi's simulator does not, done as vSphere's API reference describes it.

package main

import (
	"fmt"
	"image"
	"image/png"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vmdk"
)

var taskFaults sync.Map // method -> the fault in which its next task ends

var endless sync.Map // the tasks that end when they are cancelled

func forgetTaskFaults() {
	taskFaults.Range(func(key, _ any) bool { taskFaults.Delete(key); return true })
}

// faultNamed makes an empty fault of a type of vSphere's API.
func faultNamed(name string) (types.BaseMethodFault, error) {
	kind, known := types.TypeFunc()(name)
	if known {
		if fault, is := reflect.New(kind).Interface().(types.BaseMethodFault); is {
			switch fault := fault.(type) { // what the API says is never left out
			case *types.NoPermission:
				fault.PrivilegeId = "VirtualMachine.Interact.PowerOn"
				fault.Object = &types.ManagedObjectReference{Type: "VirtualMachine", Value: "vm-1"}
			case *types.TaskInProgress:
				fault.Task = types.ManagedObjectReference{Type: "Task", Value: "task-1"}
			case *types.InvalidPowerState:
				fault.RequestedState, fault.ExistingState = "poweredOn", "poweredOn"
			}
			return fault, nil
		}
	}
	return nil, fmt.Errorf("no fault %q", name)
}

// extended are the objects that a session sees with what the simulator lacks; those that are gone are taken from it again.
var extended sync.Map // session key -> *sync.Map of references

// missing lets the session of a call see an object with more methods than the simulator gives it.
func missing(ctx *simulator.Context, method *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	if ctx.Session == nil {
		return nil, nil
	}
	if method.Name == "CreateCollectorForTasks" || method.Name == "CreateFilter" {
		clearManagerEntities(ctx)
	}
	if method.Name == "WaitForUpdatesEx" {
		markWithoutLock(ctx, method.This)
	}
	found, _ := extended.LoadOrStore(ctx.Session.Key, new(sync.Map))
	known := found.(*sync.Map)
	known.Range(func(ref, _ any) bool {
		if ctx.Map.Get(ref.(types.ManagedObjectReference)) == nil {
			known.Delete(ref)
			ctx.Session.Registry.Remove(ctx, ref.(types.ManagedObjectReference))
		}
		return true
	})
	if _, done := known.Load(method.This); done {
		return nil, nil
	}
	var more mo.Reference
	switch thing := ctx.Map.Get(method.This).(type) {
	case *simulator.VirtualMachineSnapshot:
		more = &snapshot{thing}
	case *simulator.VirtualMachine:
		more = &machine{thing}
	case *simulator.DistributedVirtualPortgroup:
		more = &portgroup{thing}
	case *simulator.Task:
		if _, is := endless.Load(method.This); !is && method.Name == "CancelTask" {
			more = &steady{thing}
		}
	case *simulator.HostSystem:
		more = &node{thing}
	case *simulator.CustomizationSpecManager:
		more = &customizations{thing}
	case *simulator.ClusterComputeResource:
		more = &cluster{thing}
	case *simulator.ResourcePool:
		more = &pool{thing}
	case *simulator.VirtualApp:
		more = &vapp{thing}
	case *simulator.StoragePod:
		more = &storagePod{thing}
	case *simulator.Datastore:
		more = &datastore{thing}
	case *simulator.GuestFileManager:
		more = &guestFiles{thing}
	case *simulator.GuestProcessManager:
		more = &guestProcesses{thing}
	case *simulator.HostNetworkSystem:
		more = &network{thing}
	case *simulator.VirtualDiskManager:
		more = &diskManager{thing}
	case *simulator.EnvironmentBrowser:
		more = &environment{thing}
	case *simulator.HostDatastoreBrowser:
		more = &browser{thing}
	case *simulator.Folder:
		if method.Name == "CreateVM_Task" || method.Name == "CreateDVS_Task" || method.Name == "MoveIntoFolder_Task" {
			more = &folder{thing}
		}
	}
	if more != nil {
		ctx.Session.Registry.Put(more)
		known.Store(method.This, true)
	}
	return nil, nil
}

// ordered begins a task that ends in the fault that was ordered for it, or never.
func ordered(ctx *simulator.Context, method string, thing mo.Reference) (types.ManagedObjectReference, bool) {
	fault, found := taskFaults.LoadAndDelete(method)
	if !found {
		return types.ManagedObjectReference{}, false
	}
	wanted := fault.(*types.LocalizedMethodFault).Fault
	if wanted == nil { // it runs until it is cancelled
		task := simulator.CreateTask(thing, "endless", nil)
		ctx.Map.Put(task)
		task.Info.Key, task.Info.Task, task.Info.State = task.Self.Value, task.Self, types.TaskInfoStateRunning
		endless.Store(task.Self, true)
		return task.Self, true
	}
	return simulator.CreateTask(thing, "failing", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) { return nil, wanted }).Run(ctx), true
}

type folder struct{ *simulator.Folder }

func (f *folder) CreateVMTask(ctx *simulator.Context, req *types.CreateVM_Task) soap.HasFault {
	if task, is := ordered(ctx, "CreateVM_Task", f.Folder); is {
		return &methods.CreateVM_TaskBody{Res: &types.CreateVM_TaskResponse{Returnval: task}}
	}
	knowCapacity(ctx, req.Config.DeviceChange)
	body := f.Folder.CreateVMTask(ctx, req)
	if answer, is := body.(*methods.CreateVM_TaskBody); is && answer.Res != nil {
		after(ctx, answer.Res.Returnval, func() {
			if task, is := ctx.Map.Get(answer.Res.Returnval).(*simulator.Task); is {
				if made, is := task.Info.Result.(types.ManagedObjectReference); is {
					(&machine{ctx.Map.Get(made).(*simulator.VirtualMachine)}).keep(&req.Config)
				}
			}
		})
	}
	return body
}

// capacity reads a disk's size from its descriptor; 0 when it has none.
func capacity(file string) int64 {
	content, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer content.Close()
	descriptor, err := vmdk.ParseDescriptor(content)
	if err != nil {
		return 0
	}
	return descriptor.Capacity()
}

// knowCapacity gives disks whose files are there already their size.
func knowCapacity(ctx *simulator.Context, changes []types.BaseVirtualDeviceConfigSpec) {
	for _, change := range changes {
		spec := change.GetVirtualDeviceConfigSpec()
		disk, is := spec.Device.(*types.VirtualDisk)
		if !is || spec.FileOperation != "" || disk.CapacityInKB != 0 {
			continue
		}
		if backing, is := disk.Backing.(types.BaseVirtualDeviceFileBackingInfo); is {
			disk.CapacityInBytes = capacity(fileOf(ctx, backing.GetVirtualDeviceFileBackingInfo().FileName))
			disk.CapacityInKB = disk.CapacityInBytes / 1024
		}
	}
}

// diskManager gives a disk that is not thin all of its space at once, as vSphere does.
type diskManager struct{ *simulator.VirtualDiskManager }

func (d *diskManager) CreateVirtualDiskTask(ctx *simulator.Context, req *types.CreateVirtualDisk_Task) soap.HasFault {
	body := d.VirtualDiskManager.CreateVirtualDiskTask(ctx, req)
	spec, is := req.Spec.(*types.FileBackedVirtualDiskSpec)
	if is && spec.DiskType != string(types.VirtualDiskTypeThin) {
		task := body.(*methods.CreateVirtualDisk_TaskBody).Res.Returnval
		after(ctx, task, func() {
			if ctx.Map.Get(task).(*simulator.Task).Info.State == types.TaskInfoStateSuccess {
				file := simulator.VirtualDiskBackingFileName(fileOf(ctx, req.Name))
				os.Truncate(file, spec.CapacityKb*1024) //nolint:errcheck // the size is then reported as 0
			}
		})
	}
	return body
}

// browser tells of disks what VmDiskFileQuery asks for, and shows a disk as one file.
type browser struct {
	*simulator.HostDatastoreBrowser
}

func (b *browser) disks(ctx *simulator.Context, found *types.HostDatastoreBrowserSearchResults) {
	var files []types.BaseFileInfo
	for _, each := range found.File {
		info := each.GetFileInfo()
		if strings.HasSuffix(info.Path, "-flat.vmdk") {
			continue
		}
		if strings.HasSuffix(info.Path, ".vmdk") {
			file := fileOf(ctx, strings.TrimSuffix(found.FolderPath, "/")+separator(found.FolderPath)+info.Path)
			disk := &types.VmDiskFileInfo{FileInfo: *info, CapacityKb: capacity(file) / 1024, DiskType: "VirtualDiskFlatVer2BackingInfo"}
			if extent, err := os.Stat(strings.TrimSuffix(file, ".vmdk") + "-flat.vmdk"); err == nil {
				disk.FileSize = extent.Size()
			}
			each = disk
		}
		files = append(files, each)
	}
	found.File = files
}

func separator(folder string) string {
	if strings.HasSuffix(folder, "]") {
		return " "
	}
	return "/"
}

func (b *browser) SearchDatastoreTask(ctx *simulator.Context, req *types.SearchDatastore_Task) soap.HasFault {
	body := b.HostDatastoreBrowser.SearchDatastoreTask(ctx, req)
	task := body.(*methods.SearchDatastore_TaskBody).Res.Returnval
	after(ctx, task, func() {
		info := ctx.Map.Get(task).(*simulator.Task)
		if found, is := info.Info.Result.(types.HostDatastoreBrowserSearchResults); is {
			b.disks(ctx, &found)
			info.Info.Result = found
		}
	})
	return body
}

func (b *browser) SearchDatastoreSubFoldersTask(ctx *simulator.Context, req *types.SearchDatastoreSubFolders_Task) soap.HasFault {
	body := b.HostDatastoreBrowser.SearchDatastoreSubFoldersTask(ctx, req)
	task := body.(*methods.SearchDatastoreSubFolders_TaskBody).Res.Returnval
	after(ctx, task, func() {
		info := ctx.Map.Get(task).(*simulator.Task)
		if found, is := info.Info.Result.(types.ArrayOfHostDatastoreBrowserSearchResults); is {
			for i := range found.HostDatastoreBrowserSearchResults {
				b.disks(ctx, &found.HostDatastoreBrowserSearchResults[i])
			}
			info.Info.Result = found
		}
	})
	return body
}

// network is a node's switches: port groups of one name on several nodes are one network.
type network struct{ *simulator.HostNetworkSystem }

func (n *network) AddPortGroup(ctx *simulator.Context, req *types.AddPortGroup) soap.HasFault {
	body := n.HostNetworkSystem.AddPortGroup(ctx, req)
	answer := body.(*methods.AddPortGroupBody)
	if answer.Fault_ == nil {
		return body
	}
	if n.group(req.Portgrp.Name) >= 0 || !strings.Contains(fmt.Sprintf("%T", answer.Fault_.VimFault()), "DuplicateName") {
		return body
	}
	for i := range n.NetworkInfo.Vswitch {
		if found := &n.NetworkInfo.Vswitch[i]; found.Name == req.Portgrp.VswitchName {
			found.Portgroup = append(found.Portgroup, req.Portgrp.Name)
		}
	}
	n.NetworkInfo.Portgroup = append(n.NetworkInfo.Portgroup, types.HostPortGroup{
		Key: "key-vim.host.PortGroup-" + req.Portgrp.Name, Spec: req.Portgrp,
	})
	return &methods.AddPortGroupBody{Res: new(types.AddPortGroupResponse)}
}

func (n *network) RemovePortGroup(ctx *simulator.Context, req *types.RemovePortGroup) soap.HasFault {
	at := n.group(req.PgName)
	for _, thing := range ctx.Map.All("HostSystem") {
		host := thing.(*simulator.HostSystem)
		other := ctx.Map.Get(*host.ConfigManager.NetworkSystem).(*simulator.HostNetworkSystem)
		if at >= 0 && other != n.HostNetworkSystem && (&network{other}).group(req.PgName) >= 0 {
			n.NetworkInfo.Portgroup = append(n.NetworkInfo.Portgroup[:at], n.NetworkInfo.Portgroup[at+1:]...)
			return &methods.RemovePortGroupBody{Res: new(types.RemovePortGroupResponse)}
		}
	}
	return n.HostNetworkSystem.RemovePortGroup(ctx, req)
}

func (n *network) UpdatePortGroup(_ *simulator.Context, req *types.UpdatePortGroup) soap.HasFault {
	at := n.group(req.PgName)
	if at < 0 {
		return &methods.UpdatePortGroupBody{Fault_: simulator.Fault("", new(types.NotFound))}
	}
	n.NetworkInfo.Portgroup[at].Spec = req.Portgrp
	return &methods.UpdatePortGroupBody{Res: new(types.UpdatePortGroupResponse)}
}

func (n *network) group(name string) int {
	return slices.IndexFunc(n.NetworkInfo.Portgroup, func(each types.HostPortGroup) bool { return each.Spec.Name == name })
}

// autostart is the list of VMs that an ESXi starts with itself.
type autostart struct{ mo.HostAutoStartManager }

func (a *autostart) ReconfigureAutostart(ctx *simulator.Context, req *types.ReconfigureAutostart) soap.HasFault {
	if req.Spec.Defaults != nil {
		a.Config.Defaults = req.Spec.Defaults
	}
	for _, entry := range req.Spec.PowerInfo {
		at := slices.IndexFunc(a.Config.PowerInfo, func(each types.AutoStartPowerInfo) bool { return each.Key == entry.Key })
		if at < 0 {
			a.Config.PowerInfo = append(a.Config.PowerInfo, entry)
		} else {
			a.Config.PowerInfo[at] = entry
		}
	}
	return &methods.ReconfigureAutostartBody{Res: new(types.ReconfigureAutostartResponse)}
}

// addAutostart gives each node such a list.
func addAutostart(ctx *simulator.Context) {
	for _, thing := range ctx.Map.All("HostSystem") {
		if ref := thing.(*simulator.HostSystem).ConfigManager.AutoStartManager; ref != nil && ctx.Map.Get(*ref) == nil {
			made := &autostart{}
			made.Self = *ref
			ctx.Map.Put(made)
		}
	}
}

// markUplinks lets distributed switches know which of their port groups are their uplinks.
func markUplinks(ctx *simulator.Context) {
	for _, thing := range ctx.Map.All("DistributedVirtualSwitch") {
		dvs := thing.(*simulator.DistributedVirtualSwitch)
		for _, group := range dvs.Portgroup {
			if found := ctx.Map.Get(group).(*simulator.DistributedVirtualPortgroup); strings.Contains(found.Name, "-DVUplinks") {
				dvs.Config.GetDVSConfigInfo().UplinkPortgroup = []types.ManagedObjectReference{group}
			}
		}
	}
}

// steady is a task that can't be cancelled: the simulator would say that it was, and carry on.
type steady struct{ *simulator.Task }

func (*steady) CancelTask(_ *simulator.Context, _ *types.CancelTask) soap.HasFault {
	return &methods.CancelTaskBody{Fault_: simulator.Fault("", new(types.NotSupported))}
}

// snapshot is one that a VM can really be reverted to: the simulator only moves the mark of the current one.
type snapshot struct {
	*simulator.VirtualMachineSnapshot
}

func (s *snapshot) RevertToSnapshotTask(ctx *simulator.Context, req *types.RevertToSnapshot_Task) soap.HasFault {
	vm := ctx.Map.Get(s.Vm).(*simulator.VirtualMachine)
	body := s.VirtualMachineSnapshot.RevertToSnapshotTask(ctx, req)
	ctx.Map.Get(body.(*methods.RevertToSnapshot_TaskBody).Res.Returnval).(*simulator.Task).Wait()
	state := types.VirtualMachinePowerStatePoweredOff
	if found := inTree(vm.Snapshot.RootSnapshotList, s.Self); found != nil && found.State != "poweredOff" && req.SuppressPowerOn == nil {
		state = found.State
	}
	ctx.WithLock(vm, func() {
		hardware := s.Config.Hardware
		hardware.Device = append([]types.BaseVirtualDevice{}, hardware.Device...)
		ctx.Update(vm, []types.PropertyChange{
			{Name: "config.hardware", Val: hardware}, {Name: "config.annotation", Val: s.Config.Annotation},
			{Name: "config.extraConfig", Val: s.Config.ExtraConfig},
			{Name: "runtime.powerState", Val: state}, {Name: "summary.runtime.powerState", Val: state},
		})
	})
	return body
}

func (s *snapshot) RenameSnapshot(ctx *simulator.Context, req *types.RenameSnapshot) soap.HasFault {
	vm := ctx.Map.Get(s.Vm).(*simulator.VirtualMachine)
	ctx.WithLock(vm, func() {
		if found := inTree(vm.Snapshot.RootSnapshotList, s.Self); found != nil {
			if req.Name != "" {
				found.Name = req.Name
			}
			if req.Description != "" {
				found.Description = req.Description
			}
		}
	})
	return &methods.RenameSnapshotBody{Res: new(types.RenameSnapshotResponse)}
}

func inTree(tree []types.VirtualMachineSnapshotTree, wanted types.ManagedObjectReference) *types.VirtualMachineSnapshotTree {
	for i := range tree {
		if tree[i].Snapshot == wanted {
			return &tree[i]
		}
		if found := inTree(tree[i].ChildSnapshotList, wanted); found != nil {
			return found
		}
	}
	return nil
}

// machine is a VM with a guest that runs VMware Tools (unless its name says no-tools), whose changes are told, with a screen, whose files move with its disks, and whose linked clones share its disks' content.
type machine struct{ *simulator.VirtualMachine }

func (m *machine) file(ctx *simulator.Context, datastorePath string) string {
	return fileOf(ctx, datastorePath)
}

func fileOf(ctx *simulator.Context, datastorePath string) string {
	var where object.DatastorePath
	where.FromString(datastorePath)
	found := ""
	for _, thing := range ctx.Map.All("Datastore") { // datacenters have datastores of the same names
		if store := thing.(*simulator.Datastore); store.Name == where.Datastore {
			found = path.Join(store.Summary.Url, where.Path)
			if _, err := os.Stat(found); err == nil {
				return found
			}
		}
	}
	return found
}

// after carries on once a task has ended well.
func after(ctx *simulator.Context, task types.ManagedObjectReference, next func()) {
	running := ctx.Map.Get(task).(*simulator.Task)
	running.Wait()
	if running.Info.Error == nil {
		next()
	}
}

func (m *machine) CreateSnapshotTask(ctx *simulator.Context, req *types.CreateSnapshot_Task) soap.HasFault {
	if task, is := ordered(ctx, "CreateSnapshot_Task", m.VirtualMachine); is {
		return &methods.CreateSnapshot_TaskBody{Res: &types.CreateSnapshot_TaskResponse{Returnval: task}}
	}
	return m.VirtualMachine.CreateSnapshotTask(ctx, req)
}

func (m *machine) tools(ctx *simulator.Context, running bool) {
	status := types.VirtualMachineToolsRunningStatusGuestToolsNotRunning
	if running && !strings.Contains(m.Name, "no-tools") {
		status = types.VirtualMachineToolsRunningStatusGuestToolsRunning
	}
	ctx.Update(m.VirtualMachine, []types.PropertyChange{{Name: "guest.toolsRunningStatus", Val: string(status)}})
}

func (m *machine) PowerOnVMTask(ctx *simulator.Context, req *types.PowerOnVM_Task) soap.HasFault {
	if task, is := ordered(ctx, "PowerOnVM_Task", m.VirtualMachine); is {
		return &methods.PowerOnVM_TaskBody{Res: &types.PowerOnVM_TaskResponse{Returnval: task}}
	}
	body := m.VirtualMachine.PowerOnVMTask(ctx, req)
	if answer, is := body.(*methods.PowerOnVM_TaskBody); is && answer.Res != nil {
		after(ctx, answer.Res.Returnval, func() { m.tools(ctx, true); m.openSerialPorts() })
	}
	return body
}

func (m *machine) PowerOffVMTask(ctx *simulator.Context, req *types.PowerOffVM_Task) soap.HasFault {
	body := m.VirtualMachine.PowerOffVMTask(ctx, req)
	if answer, is := body.(*methods.PowerOffVM_TaskBody); is && answer.Res != nil {
		after(ctx, answer.Res.Returnval, func() { m.tools(ctx, false); closeSerialPorts(m.VirtualMachine) })
	}
	return body
}

func (m *machine) SuspendVMTask(ctx *simulator.Context, req *types.SuspendVM_Task) soap.HasFault {
	body := m.VirtualMachine.SuspendVMTask(ctx, req)
	if answer, is := body.(*methods.SuspendVM_TaskBody); is && answer.Res != nil {
		after(ctx, answer.Res.Returnval, func() { m.tools(ctx, false) })
	}
	return body
}

// ReconfigVMTask tells property collectors of the changes that the simulator makes in silence.
func (m *machine) ReconfigVMTask(ctx *simulator.Context, req *types.ReconfigVM_Task) soap.HasFault {
	if task, is := ordered(ctx, "ReconfigVM_Task", m.VirtualMachine); is {
		return &methods.ReconfigVM_TaskBody{Res: &types.ReconfigVM_TaskResponse{Returnval: task}}
	}
	if version := req.Spec.ChangeVersion; version != "" && version != m.Config.ChangeVersion {
		return &methods.ReconfigVM_TaskBody{Res: &types.ReconfigVM_TaskResponse{Returnval: changedMeanwhile(ctx, m.VirtualMachine)}}
	}
	knowCapacity(ctx, req.Spec.DeviceChange)
	body := m.VirtualMachine.ReconfigVMTask(ctx, req)
	if answer, is := body.(*methods.ReconfigVM_TaskBody); is && answer.Res != nil {
		after(ctx, answer.Res.Returnval, func() {
			m.keep(&req.Spec)
			ctx.Update(m.VirtualMachine, []types.PropertyChange{
				{Name: "config.hardware.numCPU", Val: m.Config.Hardware.NumCPU},
				{Name: "config.hardware.memoryMB", Val: m.Config.Hardware.MemoryMB},
				{Name: "config.annotation", Val: m.Config.Annotation},
			})
			m.assign(req.Spec.VmProfile, req.Spec.DeviceChange)
		})
	}
	return body
}

// DestroyTask leaves disks that are not the VM's any more where they are, as vSphere does.
func (m *machine) DestroyTask(ctx *simulator.Context, req *types.Destroy_Task) soap.HasFault {
	home := path.Dir(m.file(ctx, m.Config.Files.VmPathName))
	own := map[string]bool{}
	for _, device := range m.Config.Hardware.Device {
		if disk, is := device.(*types.VirtualDisk); is {
			if backing, is := disk.Backing.(types.BaseVirtualDeviceFileBackingInfo); is {
				name := m.file(ctx, backing.GetVirtualDeviceFileBackingInfo().FileName)
				own[name], own[strings.TrimSuffix(name, ".vmdk")+"-flat.vmdk"] = true, true
			}
		}
	}
	kept := map[string][]byte{}
	found, _ := filepath.Glob(path.Join(home, "*.vmdk"))
	for _, name := range found {
		if content, err := os.ReadFile(name); err == nil && !own[name] {
			kept[name] = content
		}
	}
	body := m.VirtualMachine.DestroyTask(ctx, req)
	if answer, is := body.(*methods.Destroy_TaskBody); is && answer.Res != nil {
		after(ctx, answer.Res.Returnval, func() {
			for name, content := range kept {
				_ = os.MkdirAll(home, 0700)
				_ = os.WriteFile(name, content, 0600)
			}
		})
	}
	return body
}

func (m *machine) CreateScreenshotTask(ctx *simulator.Context, req *types.CreateScreenshot_Task) soap.HasFault {
	task := simulator.CreateTask(m, "createScreenshot", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		name := path.Join(path.Dir(m.Config.Files.VmPathName), m.Name+"-screenshot.png")
		file, err := os.Create(m.file(ctx, name))
		if err != nil {
			return nil, &types.FileFault{File: name}
		}
		defer file.Close()
		_ = png.Encode(file, image.NewGray(image.Rect(0, 0, 64, 48)))
		return name, nil
	})
	return &methods.CreateScreenshot_TaskBody{Res: &types.CreateScreenshot_TaskResponse{Returnval: task.Run(ctx)}}
}

func (m *machine) AcquireTicket(_ *simulator.Context, req *types.AcquireTicket) soap.HasFault {
	return &methods.AcquireTicketBody{Res: &types.AcquireTicketResponse{Returnval: types.VirtualMachineTicket{
		Ticket: "cst-" + req.TicketType + "-0123456789", Host: "127.0.0.1", Port: 443, CfgFile: m.Config.Files.VmPathName,
	}}}
}

// RelocateVMTask moves the files of the disks too.
func (m *machine) RelocateVMTask(ctx *simulator.Context, req *types.RelocateVM_Task) soap.HasFault {
	if task, is := ordered(ctx, "RelocateVM_Task", m.VirtualMachine); is {
		return &methods.RelocateVM_TaskBody{Res: &types.RelocateVM_TaskResponse{Returnval: task}}
	}
	if req.Spec.Service != nil {
		return m.relocateElsewhere(ctx, req.Spec)
	}
	wanted := map[int32]types.ManagedObjectReference{}
	for _, locator := range req.Spec.Disk {
		wanted[locator.DiskId] = locator.Datastore
	}
	for _, device := range m.Config.Hardware.Device {
		disk, is := device.(*types.VirtualDisk)
		if !is {
			continue
		}
		to, told := wanted[disk.Key]
		if !told && req.Spec.Datastore != nil {
			to, told = *req.Spec.Datastore, true
		}
		backing, flat := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
		if !told || !flat {
			continue
		}
		store := ctx.Map.Get(to).(*simulator.Datastore)
		var old object.DatastorePath
		old.FromString(backing.FileName)
		moved := object.DatastorePath{Datastore: store.Name, Path: old.Path}
		source := strings.TrimSuffix(m.file(ctx, old.String()), ".vmdk")
		for _, suffix := range []string{".vmdk", "-flat.vmdk"} {
			from := source + suffix
			target := strings.TrimSuffix(path.Join(store.Summary.Url, moved.Path), ".vmdk") + suffix
			_ = os.MkdirAll(path.Dir(target), 0700)
			_ = os.Rename(from, target)
		}
		backing.FileName = moved.String()
		backing.Datastore = &to
	}
	pool, host, parent := *m.ResourcePool, *m.Runtime.Host, *m.Parent
	if len(req.Spec.DeviceChange) > 0 && req.Spec.Host != nil {
		m.Runtime.Host = req.Spec.Host // NICs are checked against the switches of the node that the VM goes to
	}
	body := m.VirtualMachine.RelocateVMTask(ctx, req)
	after(ctx, body.(*methods.RelocateVM_TaskBody).Res.Returnval, func() {
		if old, is := ctx.Map.Get(pool).(*simulator.ResourcePool); is && *m.ResourcePool != pool {
			ctx.Map.RemoveReference(ctx, old, &old.Vm, m.Self)
		}
		if old, is := ctx.Map.Get(host).(*simulator.HostSystem); is && *m.Runtime.Host != host {
			ctx.Map.RemoveReference(ctx, old, &old.Vm, m.Self)
		}
		if *m.Parent != parent { // it leaves the views of where it was, and enters those of where it is
			ctx.Map.Remove(ctx, m.Self)
			ctx.Map.Put(m.VirtualMachine)
		}
	})
	return body
}

// CloneVMTask lets a linked clone's disks be children of the snapshot's, as `createNewChildDiskBacking` asks.
func (m *machine) CloneVMTask(ctx *simulator.Context, req *types.CloneVM_Task) soap.HasFault {
	if task, is := ordered(ctx, "CloneVM_Task", m.VirtualMachine); is {
		return &methods.CloneVM_TaskBody{Res: &types.CloneVM_TaskResponse{Returnval: task}}
	}
	body := m.VirtualMachine.CloneVMTask(ctx, req)
	answer := body.(*methods.CloneVM_TaskBody)
	if answer.Res == nil || req.Spec.Location.DiskMoveType != string(types.VirtualMachineRelocateDiskMoveOptionsCreateNewChildDiskBacking) {
		return body
	}
	task := ctx.Map.Get(answer.Res.Returnval).(*simulator.Task)
	task.Wait()
	if task.Info.Error != nil {
		return body
	}
	parents := object.VirtualDeviceList(m.Config.Hardware.Device).SelectByType((*types.VirtualDisk)(nil))
	clone := ctx.Map.Get(task.Info.Result.(types.ManagedObjectReference)).(*simulator.VirtualMachine)
	for i, device := range object.VirtualDeviceList(clone.Config.Hardware.Device).SelectByType((*types.VirtualDisk)(nil)) {
		if i < len(parents) {
			parent := *parents[i].(*types.VirtualDisk).Backing.(*types.VirtualDiskFlatVer2BackingInfo)
			device.(*types.VirtualDisk).Backing.(*types.VirtualDiskFlatVer2BackingInfo).Parent = &parent
		}
	}
	return body
}

// InstantCloneTask forks a running VM: a copy that runs, in the same place, whose disks are children of the VM's.
func (m *machine) InstantCloneTask(ctx *simulator.Context, req *types.InstantClone_Task) soap.HasFault {
	if task, is := ordered(ctx, "InstantClone_Task", m.VirtualMachine); is {
		return &methods.InstantClone_TaskBody{Res: &types.InstantClone_TaskResponse{Returnval: task}}
	}
	if m.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
		return &methods.InstantClone_TaskBody{Fault_: simulator.Fault("", &types.InvalidPowerState{
			RequestedState: types.VirtualMachinePowerStatePoweredOn, ExistingState: m.Runtime.PowerState,
		})}
	}
	spec := types.VirtualMachineCloneSpec{
		Location: req.Spec.Location, PowerOn: true, Config: &types.VirtualMachineConfigSpec{ExtraConfig: req.Spec.Config},
	}
	spec.Location.DiskMoveType = string(types.VirtualMachineRelocateDiskMoveOptionsCreateNewChildDiskBacking)
	folder := *m.Parent
	if spec.Location.Folder != nil {
		folder = *spec.Location.Folder
	}
	body := m.CloneVMTask(ctx, &types.CloneVM_Task{This: m.Self, Folder: folder, Name: req.Spec.Name, Spec: spec}).(*methods.CloneVM_TaskBody)
	if body.Res == nil {
		return &methods.InstantClone_TaskBody{Fault_: body.Fault_}
	}
	return &methods.InstantClone_TaskBody{Res: &types.InstantClone_TaskResponse{Returnval: body.Res.Returnval}}
}

// ExportVm leases the VM's files as a snapshot's export does.
func (m *machine) ExportVm(ctx *simulator.Context, _ *types.ExportVm) soap.HasFault {
	whole := &simulator.VirtualMachineSnapshot{}
	whole.Self, whole.Vm, whole.Config = m.Self, m.Self, *m.Config
	answer := whole.ExportSnapshot(ctx, &types.ExportSnapshot{This: m.Self}).(*methods.ExportSnapshotBody)
	if answer.Res == nil {
		return &methods.ExportVmBody{Fault_: answer.Fault_}
	}
	lend(ctx, answer.Res.Returnval, m.Config.Hardware.Device)
	return &methods.ExportVmBody{Res: &types.ExportVmResponse{Returnval: answer.Res.Returnval}}
}
