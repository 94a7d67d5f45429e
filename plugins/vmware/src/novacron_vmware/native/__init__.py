"""What vSphere alone has: operations beside the contract, called `vsphere.*`."""
