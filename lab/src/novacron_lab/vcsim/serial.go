// Network serial ports: while its VM runs, one listens as an ESXi lets it, for one client at a time. The guest there greets and echoes.

package main

import (
	"fmt"
	"net"
	"net/url"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

var listening sync.Map // VM -> its listener

func (m *machine) openSerialPorts() {
	for _, device := range m.Config.Hardware.Device {
		port, is := device.(*types.VirtualSerialPort)
		if !is {
			continue
		}
		backing, is := port.Backing.(*types.VirtualSerialPortURIBackingInfo)
		if !is || backing.Direction != "server" {
			continue
		}
		address, err := url.Parse(backing.ServiceURI)
		if err != nil {
			continue
		}
		listener, err := net.Listen("tcp", "127.0.0.1:"+address.Port())
		if err != nil {
			continue
		}
		listening.Store(m.Self, listener)
		go serveSerial(listener, m.Name, address.Scheme == "telnet")
	}
}

func closeSerialPorts(vm *simulator.VirtualMachine) {
	if listener, is := listening.LoadAndDelete(vm.Self); is {
		_ = listener.(net.Listener).Close()
	}
}

func serveSerial(listener net.Listener, name string, telnet bool) {
	taken := make(chan bool, 1)
	var links sync.Map
	for {
		link, err := listener.Accept()
		if err != nil {
			links.Range(func(each, _ any) bool { _ = each.(net.Conn).Close(); return true })
			return
		}
		select {
		case taken <- true:
			links.Store(link, true)
			go func() {
				talk(link, name, telnet)
				links.Delete(link)
				<-taken
			}()
		default: // somebody else has it
			_ = link.Close()
		}
	}
}

func talk(link net.Conn, name string, telnet bool) {
	defer link.Close()
	if telnet {
		_, _ = link.Write([]byte{255, 251, 1, 255, 253, 24, 255, 250, 24, 1, 255, 240}) // WILL ECHO, DO TERMINAL-TYPE, SB SEND SE
	}
	fmt.Fprintf(link, "%s login: ", name)
	buffer := make([]byte, 4096)
	for {
		count, err := link.Read(buffer)
		if err != nil {
			return
		}
		_, _ = link.Write(buffer[:count])
	}
}
