// Hardware of VMs and nodes that govmomi's simulator does not know: EVC modes, performance counters, SEV, devices for passthrough.

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// addEVCModes lets a vCenter know EVC modes, each with the features that it adds to those of the modes before it. Its nodes are of two
// kinds, and tell the highest mode that they can have.
func addEVCModes(ctx *simulator.Context) {
	instance, is := ctx.Map.Get(vim25.ServiceInstance).(*simulator.ServiceInstance)
	if !is {
		return
	}
	tracks := map[string][][2]string{
		"intel": {{"intel-westmere", "cpuid.AES"}, {"intel-haswell", "cpuid.AVX2"}, {"intel-broadwell", "cpuid.ADX"}, {"intel-skylake", "cpuid.AVX512F"}},
		"amd":   {{"amd-zen", "cpuid.ADX"}, {"amd-zen2", "cpuid.CLWB"}},
	}
	for _, vendor := range []string{"intel", "amd"} {
		var masks []types.HostFeatureMask
		for tier, mode := range tracks[vendor] {
			masks = append(masks, types.HostFeatureMask{Key: mode[1], FeatureName: mode[1], Value: "Val:1"})
			instance.Capability.SupportedEVCMode = append(instance.Capability.SupportedEVCMode, types.EVCMode{
				ElementDescription: types.ElementDescription{Description: types.Description{Label: mode[0], Summary: mode[0]}, Key: mode[0]},
				Vendor:             vendor,
				VendorTier:         int32(tier + 1),
				FeatureMask:        append([]types.HostFeatureMask(nil), masks...),
			})
		}
	}
	kinds := []string{"intel-skylake", "intel-broadwell"}
	for number, thing := range ctx.Map.All("HostSystem") {
		thing.(*simulator.HostSystem).Summary.MaxEVCModeKey = kinds[number%len(kinds)]
	}
}

// ApplyEvcModeVMTask gives a VM that is off the masks of an EVC mode.
func (m *machine) ApplyEvcModeVMTask(ctx *simulator.Context, req *types.ApplyEvcModeVM_Task) soap.HasFault {
	task := simulator.CreateTask(m.VirtualMachine, "applyEvcMode", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if m.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
			return nil, &types.InvalidPowerState{RequestedState: types.VirtualMachinePowerStatePoweredOff, ExistingState: m.Runtime.PowerState}
		}
		ctx.Update(m.VirtualMachine, []types.PropertyChange{{Name: "runtime.featureMask", Val: req.Mask}})
		return nil, nil
	}).Run(ctx)
	return &methods.ApplyEvcModeVM_TaskBody{Res: &types.ApplyEvcModeVM_TaskResponse{Returnval: task}}
}

// emptied marks a text that a client sets to nothing: the simulator can't tell it from a text that is not given.
const emptied = "(emptied)"

// markEmptied lets a request that empties a VM's annotation say so.
func markEmptied(next http.Handler) http.Handler {
	return http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if strings.HasPrefix(request.URL.Path, "/sdk") && request.Body != nil {
			content, err := io.ReadAll(request.Body)
			if err != nil {
				http.Error(response, err.Error(), http.StatusBadRequest)
				return
			}
			content = bytes.ReplaceAll(content, []byte("<annotation></annotation>"), []byte("<annotation>"+emptied+"</annotation>"))
			request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
		}
		next.ServeHTTP(response, request)
	})
}

// keep stores what the simulator forgets of a configuration.
func (m *machine) keep(spec *types.VirtualMachineConfigSpec) {
	if spec.Annotation == emptied {
		m.Config.Annotation = ""
	}
	if spec.VPMCEnabled != nil {
		m.Config.VPMCEnabled = spec.VPMCEnabled
	}
	if spec.SevEnabled != nil {
		m.Config.SevEnabled = spec.SevEnabled
	}
}

// PutUsbScanCodes notes the keys that are pressed in the VM's extra configuration, so that a test can read them.
func (m *machine) PutUsbScanCodes(ctx *simulator.Context, req *types.PutUsbScanCodes) soap.HasFault {
	body := new(methods.PutUsbScanCodesBody)
	if m.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
		body.Fault_ = simulator.Fault("", &types.InvalidPowerState{
			RequestedState: types.VirtualMachinePowerStatePoweredOn, ExistingState: m.Runtime.PowerState,
		})
		return body
	}
	var pressed []string
	for _, event := range req.Spec.KeyEvents {
		key := fmt.Sprintf("%02x", event.UsbHidCode>>16)
		if held := event.Modifiers; held != nil {
			for name, down := range map[string]*bool{"c": held.LeftControl, "s": held.LeftShift, "a": held.LeftAlt, "m": held.LeftGui, "g": held.RightAlt} {
				if down != nil && *down {
					key = name + key
				}
			}
		}
		pressed = append(pressed, key)
	}
	before := ""
	for _, option := range m.Config.ExtraConfig {
		if value := option.GetOptionValue(); value.Key == "simulator.keys" {
			before = value.Value.(string) + " "
		}
	}
	noted := types.OptionValue{Key: "simulator.keys", Value: before + strings.Join(pressed, " ")}
	kept := slices.DeleteFunc(m.Config.ExtraConfig, func(option types.BaseOptionValue) bool { return option.GetOptionValue().Key == noted.Key })
	ctx.Update(m.VirtualMachine, []types.PropertyChange{{Name: "config.extraConfig", Val: append(kept, &noted)}})
	body.Res = &types.PutUsbScanCodesResponse{Returnval: int32(len(pressed))}
	return body
}

// environment says which devices of a node can be passed through: all of its PCI devices.
type environment struct{ *simulator.EnvironmentBrowser }

func (e *environment) QueryConfigTarget(ctx *simulator.Context, req *types.QueryConfigTarget) soap.HasFault {
	body := e.EnvironmentBrowser.QueryConfigTarget(ctx, req)
	answer, is := body.(*methods.QueryConfigTargetBody)
	if !is || answer.Res == nil || req.Host == nil {
		return body
	}
	host, is := ctx.Map.Get(*req.Host).(*simulator.HostSystem)
	if !is || host.Hardware == nil {
		return body
	}
	for _, device := range host.Hardware.PciDevice {
		answer.Res.Returnval.PciPassthrough = append(answer.Res.Returnval.PciPassthrough, &types.VirtualMachinePciPassthroughInfo{
			VirtualMachineTargetInfo: types.VirtualMachineTargetInfo{Name: device.Id},
			PciDevice:                device,
			SystemId:                 host.Summary.Hardware.Uuid,
		})
	}
	return body
}
