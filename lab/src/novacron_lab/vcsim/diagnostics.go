// The logs of the server and of its nodes, and bundles of them.

package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const bundlePrefix = "/downloads/"

type diagnostics struct{ mo.DiagnosticManager }

// addDiagnostics puts the manager where the service content names one.
func addDiagnostics(ctx *simulator.Context, ref *types.ManagedObjectReference) {
	if ref != nil {
		manager := new(diagnostics)
		manager.Self = *ref
		ctx.Map.Put(manager)
	}
}

func logOf(host *types.ManagedObjectReference) (string, []string) {
	key, owner := "vpxd:vpxd.log", "vpxd"
	if host != nil {
		key, owner = "hostd", host.Value
	}
	lines := []string{}
	for i := 1; i <= 40; i++ {
		lines = append(lines, fmt.Sprintf("info %s line %d", owner, i))
	}
	return key, lines
}

func (d *diagnostics) QueryDescriptions(ctx *simulator.Context, req *types.QueryDescriptions) soap.HasFault {
	key, _ := logOf(req.Host)
	name := key[strings.Index(key, ":")+1:]
	return &methods.QueryDescriptionsBody{Res: &types.QueryDescriptionsResponse{Returnval: []types.DiagnosticManagerLogDescriptor{{
		Key: key, FileName: name, Creator: "vpxd", Format: "plain", MimeType: "text/plain",
		Info: &types.Description{Label: name, Summary: "The log " + name},
	}}}}
}

func (d *diagnostics) BrowseDiagnosticLog(ctx *simulator.Context, req *types.BrowseDiagnosticLog) soap.HasFault {
	key, lines := logOf(req.Host)
	if key != req.Key {
		return &methods.BrowseDiagnosticLogBody{Fault_: simulator.Fault("", &types.InvalidArgument{InvalidProperty: "key"})}
	}
	start, end := int(req.Start), len(lines)
	if start < 1 {
		start = 1
	}
	if req.Lines > 0 && start+int(req.Lines)-1 < end {
		end = start + int(req.Lines) - 1
	}
	header := types.DiagnosticManagerLogHeader{LineStart: int32(start), LineEnd: int32(end)}
	if start <= end {
		header.LineText = lines[start-1 : end]
	}
	return &methods.BrowseDiagnosticLogBody{Res: &types.BrowseDiagnosticLogResponse{Returnval: header}}
}

func (d *diagnostics) GenerateLogBundlesTask(ctx *simulator.Context, req *types.GenerateLogBundles_Task) soap.HasFault {
	root := ctx.Map.Get(ctx.Map.All("Folder")[0].Reference())
	task := simulator.CreateTask(root, "generateLogBundles", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		bundles := []types.DiagnosticManagerBundleInfo{}
		if req.IncludeDefault {
			bundles = append(bundles, types.DiagnosticManagerBundleInfo{Url: "https://*" + bundlePrefix + "vcsupport.tgz"})
		}
		for _, host := range req.Host {
			bundles = append(bundles, types.DiagnosticManagerBundleInfo{System: &host, Url: "https://*" + bundlePrefix + host.Value + ".tgz"})
		}
		return types.ArrayOfDiagnosticManagerBundleInfo{DiagnosticManagerBundleInfo: bundles}, nil
	})
	return &methods.GenerateLogBundles_TaskBody{Res: &types.GenerateLogBundles_TaskResponse{Returnval: task.Run(ctx)}}
}

// serveBundle answers with a bundle; it says only whose logs it has.
func serveBundle(response http.ResponseWriter, request *http.Request) {
	if request.Header.Get("Cookie") == "" {
		http.Error(response, "not logged in", http.StatusUnauthorized)
		return
	}
	_, _ = fmt.Fprintf(response, "bundle of %s", strings.TrimPrefix(request.URL.Path, bundlePrefix))
}
