// What the nodes of the simulator lack: services, the time, and a reboot.

package main

import (
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

type services struct{ mo.HostServiceSystem }

type clock struct{ mo.HostDateTimeSystem }

// addNodeSystems gives each node services and a clock of its own.
func addNodeSystems(ctx *simulator.Context) {
	for _, thing := range ctx.Map.All("HostSystem") {
		host := thing.(*simulator.HostSystem)
		system, dates := new(services), new(clock)
		system.Self = types.ManagedObjectReference{Type: "HostServiceSystem", Value: "serviceSystem-" + host.Self.Value}
		dates.Self = types.ManagedObjectReference{Type: "HostDateTimeSystem", Value: "dateTimeSystem-" + host.Self.Value}
		for _, key := range []string{"DCUI", "TSM", "TSM-SSH", "ntpd", "vpxa"} {
			system.ServiceInfo.Service = append(system.ServiceInfo.Service, types.HostService{
				Key: key, Label: key, Required: false, Uninstallable: false, Running: key == "DCUI" || key == "vpxa", Policy: "on",
			})
		}
		dates.DateTimeInfo.TimeZone = types.HostDateTimeSystemTimeZone{Key: "UTC", Name: "UTC", Description: "UTC"}
		dates.DateTimeInfo.NtpConfig = new(types.HostNtpConfig)
		host.ConfigManager.ServiceSystem, host.ConfigManager.DateTimeSystem = &system.Self, &dates.Self
		ctx.Map.Put(system)
		ctx.Map.Put(dates)
	}
}

func (s *services) change(ctx *simulator.Context, id string, change func(*types.HostService)) types.BaseMethodFault {
	changed := append([]types.HostService{}, s.ServiceInfo.Service...)
	for i := range changed {
		if changed[i].Key == id {
			change(&changed[i])
			ctx.Update(s, []types.PropertyChange{{Name: "serviceInfo", Val: types.HostServiceInfo{Service: changed}}})
			return nil
		}
	}
	return new(types.NotFound)
}

func (s *services) StartService(ctx *simulator.Context, req *types.StartService) soap.HasFault {
	if fault := s.change(ctx, req.Id, func(service *types.HostService) { service.Running = true }); fault != nil {
		return &methods.StartServiceBody{Fault_: simulator.Fault("", fault)}
	}
	return &methods.StartServiceBody{Res: new(types.StartServiceResponse)}
}

func (s *services) StopService(ctx *simulator.Context, req *types.StopService) soap.HasFault {
	if fault := s.change(ctx, req.Id, func(service *types.HostService) { service.Running = false }); fault != nil {
		return &methods.StopServiceBody{Fault_: simulator.Fault("", fault)}
	}
	return &methods.StopServiceBody{Res: new(types.StopServiceResponse)}
}

func (s *services) RestartService(ctx *simulator.Context, req *types.RestartService) soap.HasFault {
	if fault := s.change(ctx, req.Id, func(service *types.HostService) { service.Running = true }); fault != nil {
		return &methods.RestartServiceBody{Fault_: simulator.Fault("", fault)}
	}
	return &methods.RestartServiceBody{Res: new(types.RestartServiceResponse)}
}

func (s *services) UpdateServicePolicy(ctx *simulator.Context, req *types.UpdateServicePolicy) soap.HasFault {
	if fault := s.change(ctx, req.Id, func(service *types.HostService) { service.Policy = req.Policy }); fault != nil {
		return &methods.UpdateServicePolicyBody{Fault_: simulator.Fault("", fault)}
	}
	return &methods.UpdateServicePolicyBody{Res: new(types.UpdateServicePolicyResponse)}
}

func (c *clock) UpdateDateTimeConfig(ctx *simulator.Context, req *types.UpdateDateTimeConfig) soap.HasFault {
	info := c.DateTimeInfo
	if req.Config.NtpConfig != nil {
		info.NtpConfig = req.Config.NtpConfig
	}
	ctx.Update(c, []types.PropertyChange{{Name: "dateTimeInfo", Val: info}})
	return &methods.UpdateDateTimeConfigBody{Res: new(types.UpdateDateTimeConfigResponse)}
}

func (c *clock) QueryDateTime(*simulator.Context, *types.QueryDateTime) soap.HasFault {
	return &methods.QueryDateTimeBody{Res: &types.QueryDateTimeResponse{Returnval: time.Now()}}
}

type node struct{ *simulator.HostSystem }

// RebootHostTask refuses a node that is not in maintenance mode, unless it is forced, and notes the time of the boot.
func (n *node) RebootHostTask(ctx *simulator.Context, req *types.RebootHost_Task) soap.HasFault {
	task := simulator.CreateTask(n.HostSystem, "reboot", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if !n.Runtime.InMaintenanceMode && !req.Force {
			return nil, new(types.InvalidState)
		}
		now := time.Now()
		ctx.Update(n.HostSystem, []types.PropertyChange{{Name: "runtime.bootTime", Val: now}})
		return nil, nil
	})
	return &methods.RebootHost_TaskBody{Res: &types.RebootHost_TaskResponse{Returnval: task.Run(ctx)}}
}
