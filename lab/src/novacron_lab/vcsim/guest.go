// A guest for the simulator's VMs: its programs are processes of this machine in a mount namespace in which /etc, /root and /home are
// copies of their own, so that its users are not this machine's; the files that may be written are those below the temporary directory.
// One user may log in: "guest", with the password "guest password".

package main

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const filesPrefix = "/guest-files"

// refused is why a guest's user can't do what was asked; nil when it may.
func refused(auth types.BaseGuestAuthentication) types.BaseMethodFault {
	user, is := auth.(*types.NamePasswordAuthentication)
	if !is || user.Username != "guest" || user.Password != "guest password" {
		return new(types.InvalidGuestLogin)
	}
	return nil
}

// place is where a guest's file is on this machine; writing is allowed below the temporary directory only.
func place(name string, write bool) (string, types.BaseMethodFault) {
	if write && !strings.HasPrefix(name, os.TempDir()+"/") || strings.Contains(name, "..") {
		return "", &types.GuestPermissionDenied{}
	}
	for _, private := range privateFolders {
		if strings.HasPrefix(name, private+"/") {
			return path.Join(privateRoot(), name), nil
		}
	}
	return name, nil
}

var privateFolders = []string{"/etc", "/root", "/home"}

// privateRoot is where the guests' own folders are: a copy of /etc, and homes that are empty.
var privateRoot = sync.OnceValue(func() string {
	root := path.Join(os.TempDir(), "guest")
	for _, folder := range privateFolders {
		_ = os.MkdirAll(path.Join(root, folder), 0755)
	}
	_ = exec.Command("cp", "-a", "/etc/.", path.Join(root, "etc")).Run() // what can't be read here isn't there either
	return root
})

// inGuest is a command that a guest's shell runs; it does not run at all where it could not be kept from this machine's users.
func inGuest(command string) *exec.Cmd {
	arguments := []string{"--mount"}
	if os.Geteuid() != 0 {
		arguments = append(arguments, "--map-root-user")
	}
	enter := ""
	for _, folder := range privateFolders {
		enter += `mount --bind "$0` + folder + `" ` + folder + " && "
	}
	return exec.Command("unshare", append(arguments, "/bin/sh", "-c", enter+`exec /bin/sh -c "$1"`, privateRoot(), command)...)
}

type guestFiles struct{ *simulator.GuestFileManager }

func (*guestFiles) CreateTemporaryDirectoryInGuest(_ *simulator.Context, req *types.CreateTemporaryDirectoryInGuest) soap.HasFault {
	if fault := refused(req.Auth); fault != nil {
		return &methods.CreateTemporaryDirectoryInGuestBody{Fault_: simulator.Fault("", fault)}
	}
	name, err := os.MkdirTemp("", req.Prefix+"*"+req.Suffix)
	if err != nil {
		return &methods.CreateTemporaryDirectoryInGuestBody{Fault_: simulator.Fault(err.Error(), new(types.FileFault))}
	}
	return &methods.CreateTemporaryDirectoryInGuestBody{Res: &types.CreateTemporaryDirectoryInGuestResponse{Returnval: name}}
}

func (*guestFiles) DeleteDirectoryInGuest(_ *simulator.Context, req *types.DeleteDirectoryInGuest) soap.HasFault {
	name, fault := place(req.DirectoryPath, true)
	if fault == nil {
		fault = refused(req.Auth)
	}
	if fault != nil {
		return &methods.DeleteDirectoryInGuestBody{Fault_: simulator.Fault("", fault)}
	}
	_ = os.RemoveAll(name)
	return &methods.DeleteDirectoryInGuestBody{Res: new(types.DeleteDirectoryInGuestResponse)}
}

func fileURL(name string, mode os.FileMode) string {
	query := url.Values{"path": {name}, "executable": {map[bool]string{true: "yes", false: "no"}[mode&0100 != 0]}}
	return (&url.URL{Scheme: "https", Host: "*", Path: filesPrefix, RawQuery: query.Encode()}).String()
}

func (*guestFiles) InitiateFileTransferToGuest(_ *simulator.Context, req *types.InitiateFileTransferToGuest) soap.HasFault {
	name, fault := place(req.GuestFilePath, true)
	if fault == nil {
		fault = refused(req.Auth)
	}
	if fault != nil {
		return &methods.InitiateFileTransferToGuestBody{Fault_: simulator.Fault("", fault)}
	}
	mode := os.FileMode(0600)
	if posix, is := req.FileAttributes.(*types.GuestPosixFileAttributes); is && posix.Permissions != 0 {
		mode = os.FileMode(posix.Permissions)
	}
	return &methods.InitiateFileTransferToGuestBody{Res: &types.InitiateFileTransferToGuestResponse{Returnval: fileURL(name, mode)}}
}

func (*guestFiles) InitiateFileTransferFromGuest(_ *simulator.Context, req *types.InitiateFileTransferFromGuest) soap.HasFault {
	name, fault := place(req.GuestFilePath, false)
	if fault == nil {
		fault = refused(req.Auth)
	}
	info, err := os.Stat(name)
	if fault == nil && err != nil {
		fault = &types.FileNotFound{FileFault: types.FileFault{File: name}}
	}
	if fault != nil {
		return &methods.InitiateFileTransferFromGuestBody{Fault_: simulator.Fault("", fault)}
	}
	return &methods.InitiateFileTransferFromGuestBody{Res: &types.InitiateFileTransferFromGuestResponse{
		Returnval: types.FileTransferInformation{Url: fileURL(name, 0), Size: info.Size(), Attributes: new(types.GuestFileAttributes)},
	}}
}

// serveGuestFiles takes and gives the files that the two methods above hand out addresses for.
func serveGuestFiles(response http.ResponseWriter, request *http.Request) {
	name, mode := request.URL.Query().Get("path"), os.FileMode(0600)
	if request.URL.Query().Get("executable") == "yes" {
		mode = 0700
	}
	if request.Method == http.MethodGet {
		http.ServeFile(response, request, name)
		return
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err == nil {
		_, err = io.Copy(file, request.Body)
		file.Close()
	}
	if err != nil {
		http.Error(response, err.Error(), http.StatusInternalServerError)
	}
}

type guestProcesses struct{ *simulator.GuestProcessManager }

var processes = struct {
	sync.Mutex
	known map[int64]*types.GuestProcessInfo
}{known: map[int64]*types.GuestProcessInfo{}}

func (*guestProcesses) StartProgramInGuest(_ *simulator.Context, req *types.StartProgramInGuest) soap.HasFault {
	if fault := refused(req.Auth); fault != nil {
		return &methods.StartProgramInGuestBody{Fault_: simulator.Fault("", fault)}
	}
	spec := req.Spec.GetGuestProgramSpec()
	command := inGuest("exec " + spec.ProgramPath + " " + spec.Arguments) // as VMware Tools do on Linux
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return &methods.StartProgramInGuestBody{Fault_: simulator.Fault(err.Error(), new(types.FileFault))}
	}
	pid := int64(command.Process.Pid)
	info := &types.GuestProcessInfo{Name: spec.ProgramPath, Pid: pid, Owner: "guest", CmdLine: spec.ProgramPath, StartTime: time.Now()}
	processes.Lock()
	processes.known[pid] = info
	processes.Unlock()
	go func() {
		_ = command.Wait()
		processes.Lock()
		ended := time.Now()
		info.EndTime, info.ExitCode = &ended, int32(command.ProcessState.ExitCode())
		processes.Unlock()
	}()
	return &methods.StartProgramInGuestBody{Res: &types.StartProgramInGuestResponse{Returnval: pid}}
}

func (*guestProcesses) ListProcessesInGuest(_ *simulator.Context, req *types.ListProcessesInGuest) soap.HasFault {
	if fault := refused(req.Auth); fault != nil {
		return &methods.ListProcessesInGuestBody{Fault_: simulator.Fault("", fault)}
	}
	answer := new(types.ListProcessesInGuestResponse)
	processes.Lock()
	defer processes.Unlock()
	for _, pid := range req.Pids {
		if info, known := processes.known[pid]; known {
			answer.Returnval = append(answer.Returnval, *info)
		}
	}
	return &methods.ListProcessesInGuestBody{Res: answer}
}

func (*guestProcesses) TerminateProcessInGuest(_ *simulator.Context, req *types.TerminateProcessInGuest) soap.HasFault {
	processes.Lock()
	_, known := processes.known[req.Pid]
	processes.Unlock()
	if !known {
		return &methods.TerminateProcessInGuestBody{Fault_: simulator.Fault("", &types.GuestProcessNotFound{Pid: req.Pid})}
	}
	_ = syscall.Kill(-int(req.Pid), syscall.SIGKILL)
	return &methods.TerminateProcessInGuestBody{Res: new(types.TerminateProcessInGuestResponse)}
}
