// Filters that lose no object that leaves a view, and that learn of a changed view without a lock of their own.
//
// A filter collects its objects anew when its view changes, and forgets those that have left before it told the client of them: a client that
// listens knew VMs for ever that others had deleted. Filters on container views need no such look: they hear of each object that comes and goes.
//
// A view that gets a new VM holds its lock and asks for that of each filter on it; a client that waits for updates holds the filter's lock and
// asks for the view's. Once both happened at the same time, no call of the simulator returned any more.

package main

import (
	"reflect"
	"unsafe"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

type marking struct{ *simulator.PropertyFilter }

// UpdateObject notes that the objects of the filter have to be collected again, as the filter's own method does under its lock, but for
// container views.
func (m *marking) UpdateObject(_ *simulator.Context, changed mo.Reference, _ []types.PropertyChange) {
	if changed.Reference().Type == "ContainerView" {
		return
	}
	for _, set := range m.Spec.ObjectSet {
		if set.Obj == changed.Reference() && len(set.SelectSet) != 0 {
			mark := reflect.ValueOf(m.PropertyFilter).Elem().FieldByName("sync")
			*(*bool)(unsafe.Pointer(mark.UnsafeAddr())) = true
			return
		}
	}
}

// markWithoutLock puts such filters in the place of those of a property collector.
func markWithoutLock(ctx *simulator.Context, ref types.ManagedObjectReference) {
	collector, is := ctx.Session.Get(ref).(*simulator.PropertyCollector)
	if !is {
		return
	}
	for _, each := range collector.Filter {
		if filter, is := ctx.Session.Get(each).(*simulator.PropertyFilter); is {
			ctx.Map.AddHandler(&marking{filter})
		}
	}
}
