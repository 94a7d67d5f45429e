"""Virtual appliances: VMs as OVA files (OVF, DMTF DSP0243), which every hypervisor's tools read and write."""
