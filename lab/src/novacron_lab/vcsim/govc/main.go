// govc, as far as benchmarks need it: govmomi's own command line, with its commands that read objects.
package main

import (
	"os"

	"github.com/vmware/govmomi/cli"
	_ "github.com/vmware/govmomi/cli/object"
)

func main() { os.Exit(cli.Run(os.Args[1:])) }
