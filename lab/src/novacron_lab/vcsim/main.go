// A vCenter (or ESXi) for the tests: govmomi's simulator on a port of the loopback, with what it lacks (missing.go), and faults on order.
//
// It prints "listening URL" once it answers. POST /faults orders a fault, DELETE /faults takes all orders back.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	_ "github.com/vmware/govmomi/vapi/simulator"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address and port")
	username := flag.String("username", "", "the only user")
	password := flag.String("password", "", "the user's password")
	esx := flag.Bool("esx", false, "be a standalone ESXi instead of a vCenter")
	datacenters := flag.Int("datacenters", 1, "number of datacenters")
	hosts := flag.Int("hosts", 3, "number of ESXi in each cluster")
	datastores := flag.Int("datastores", 2, "number of datastores in each datacenter")
	portgroups := flag.Int("portgroups", 1, "number of distributed port groups in each datacenter")
	machines := flag.Int("machines", 2, "number of VMs in each resource pool")
	clusters := flag.Int("clusters", 1, "number of clusters in each datacenter")
	standalone := flag.Int("standalone", 1, "number of ESXi outside clusters in each datacenter")
	pools := flag.Int("pools", 0, "number of resource pools in each cluster")
	apps := flag.Int("apps", 0, "number of vApps in each cluster")
	pods := flag.Int("pods", 0, "number of datastore clusters in each datacenter")
	folders := flag.Int("folders", 0, "depth of the folders that everything is in")
	autostart := flag.Bool("autostart", true, "start the VMs")
	version := flag.String("api-version", "8.0.3", "version of the API, such as 6.7 or 7.0.2")
	attached := flag.Bool("attached", false, "end when the standard input is closed, as it is when who started this has died")
	flag.Parse()

	model := simulator.VPX()
	if *esx {
		model = simulator.ESX()
	} else {
		model.ServiceContent.About.InstanceUuid = uuid.NewString() // several simulators are several vCenters
		model.Datacenter, model.ClusterHost, model.Portgroup = *datacenters, *hosts, *portgroups
		model.Cluster, model.Host, model.Pool, model.App, model.Pod, model.Folder = *clusters, *standalone, *pools, *apps, *pods, *folders
	}
	model.Datastore, model.Machine, model.Autostart = *datastores, *machines, *autostart
	if *machines > crowd {
		model.Machine = 1
	}
	model.ServiceContent.About.Version, model.ServiceContent.About.ApiVersion = *version, *version
	if strings.Count(*version, ".") == 2 {
		model.ServiceContent.About.ApiVersion += ".0"
	}
	defer model.Remove()
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	service := model.Service
	if *machines > crowd {
		if err := addCrowd(service, *machines, *autostart); err != nil {
			log.Fatal(err)
		}
	}
	markUplinks(service.Context)
	addAutostart(service.Context)
	addNodeSystems(service.Context)
	if !*esx {
		addEVCModes(service.Context)
	}
	addDiagnostics(service.Context, model.ServiceContent.DiagnosticManager)
	service.Context.Map.Handler = missing
	service.RegisterEndpoints = true
	service.TLS = new(tls.Config)
	service.Listen = &url.URL{Host: *listen, User: url.UserPassword(*username, *password)}
	service.HandleFunc("/faults", func(response http.ResponseWriter, request *http.Request) { orderFault(service, response, request) })
	service.HandleFunc("/questions", func(response http.ResponseWriter, request *http.Request) { askQuestion(service, response, request) })
	service.HandleFunc("/linked", func(response http.ResponseWriter, request *http.Request) { linkVCenter(service, response, request) })
	service.HandleFunc(filesPrefix, serveGuestFiles)
	service.HandleFunc(nfcPrefix, servePacked)
	service.HandleFunc(bundlePrefix, serveBundle)
	server := service.NewServer()
	defer server.Close()
	server.Config.Handler = markEmptied(server.Config.Handler)
	for _, path := range []string{apiPrefix + "session", apiPrefix + "cis/"} {
		service.ServeMux.HandleFunc(path, func(response http.ResponseWriter, request *http.Request) { serveAPI(service, response, request) })
	}
	fmt.Printf("listening %s\n", server.URL.Host)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	if *attached {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			ended <- syscall.SIGTERM
		}()
	}
	<-ended
}

// orderFault lets the next calls of a method end in a fault, named as in vSphere's API.
func orderFault(service *simulator.Service, response http.ResponseWriter, request *http.Request) {
	if request.Method == http.MethodDelete {
		service.ClearFaultRules()
		forgetTaskFaults()
		return
	}
	order := struct {
		Method, Type, Object, Fault, Message string
		Count, Skip, Delay                   int
		Task                                 bool
	}{Type: "*", Object: "*", Count: 1}
	if err := json.NewDecoder(request.Body).Decode(&order); err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	if order.Task && order.Fault == "" {
		taskFaults.Store(order.Method, new(types.LocalizedMethodFault))
		return
	}
	fault, err := faultNamed(order.Fault)
	if err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	if order.Task { // the task that the method begins ends in it
		taskFaults.Store(order.Method, &types.LocalizedMethodFault{Fault: fault, LocalizedMessage: order.Message})
		return
	}
	service.AddFaultRule(&simulator.FaultInjectionRule{
		MethodName: order.Method, ObjectType: order.Type, ObjectName: order.Object, Probability: 1, Enabled: true,
		FaultType: simulator.FaultTypeCustom, Fault: fault, Message: order.Message,
		MaxCount: order.Count, SkipCount: order.Skip, Delay: order.Delay,
	})
}
