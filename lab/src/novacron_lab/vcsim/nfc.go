// Leases whose disks have content: the simulator gives a disk's description file out, and throws away what is sent.

package main

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const nfcPrefix = "/packed/"

var packed sync.Map // token -> the disk's extent

// lend puts addresses of packed disks into a lease's information.
func lend(ctx *simulator.Context, lease types.ManagedObjectReference, devices []types.BaseVirtualDevice) {
	held := ctx.Session.Registry.Get(lease).(*simulator.HttpNfcLease)
	disks := object.VirtualDeviceList(devices).SelectByType((*types.VirtualDisk)(nil))
	info, at := *held.Info, 0
	info.DeviceUrl = append([]types.HttpNfcLeaseDeviceUrl{}, info.DeviceUrl...)
	for i := range info.DeviceUrl {
		each := &info.DeviceUrl[i]
		if each.Disk == nil || !*each.Disk || at >= len(disks) {
			continue
		}
		backing := disks[at].GetVirtualDevice().Backing.(types.BaseVirtualDeviceFileBackingInfo).GetVirtualDeviceFileBackingInfo()
		at++
		token := make([]byte, 8)
		_, _ = rand.Read(token)
		name := hex.EncodeToString(token)
		packed.Store(name, strings.TrimSuffix(fileOf(ctx, backing.FileName), ".vmdk")+"-flat.vmdk")
		each.Url = (&url.URL{Scheme: "https", Host: "*", Path: nfcPrefix + name}).String()
	}
	ctx.WithLock(held, func() { ctx.Update(held, []types.PropertyChange{{Name: "info", Val: &info}}) })
}

// servePacked packs an extent for who fetches it, and unpacks what is sent into it, with QEMU's tool for images.
func servePacked(response http.ResponseWriter, request *http.Request) {
	found, known := packed.Load(strings.TrimPrefix(request.URL.Path, nfcPrefix))
	if !known {
		http.NotFound(response, request)
		return
	}
	extent := found.(string)
	if size := capacity(strings.TrimSuffix(extent, "-flat.vmdk") + ".vmdk"); size > 0 {
		if info, err := os.Stat(extent); err != nil || info.Size() < size { // the simulator leaves it empty
			file, _ := os.OpenFile(extent, os.O_CREATE|os.O_WRONLY, 0600)
			_ = file.Truncate(size)
			file.Close()
		}
	}
	between, err := os.CreateTemp("", "packed-*.vmdk")
	if err != nil {
		http.Error(response, err.Error(), http.StatusInternalServerError)
		return
	}
	defer os.Remove(between.Name())
	defer between.Close()
	if request.Method == http.MethodGet {
		err = exec.Command("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", extent, between.Name()).Run()
		if err == nil {
			http.ServeFile(response, request, between.Name())
			return
		}
	} else if _, err = io.Copy(between, request.Body); err == nil {
		err = exec.Command("qemu-img", "convert", "-f", "vmdk", "-O", "raw", between.Name(), extent).Run()
	}
	if err != nil {
		http.Error(response, err.Error(), http.StatusInternalServerError)
	}
}

type pool struct{ *simulator.ResourcePool }

func (p *pool) ImportVApp(ctx *simulator.Context, req *types.ImportVApp) soap.HasFault {
	body := p.ResourcePool.ImportVApp(ctx, req)
	answer := body.(*methods.ImportVAppBody)
	if answer.Res != nil {
		lease := ctx.Session.Registry.Get(answer.Res.Returnval).(*simulator.HttpNfcLease)
		for i := 0; i < 500 && lease.State == types.HttpNfcLeaseStateInitializing; i++ { // its VM is being made
			time.Sleep(10 * time.Millisecond)
		}
		if lease.Info != nil {
			if vm, is := ctx.Map.Get(lease.Info.Entity).(*simulator.VirtualMachine); is {
				lend(ctx, answer.Res.Returnval, vm.Config.Hardware.Device)
			}
		}
	}
	return body
}
