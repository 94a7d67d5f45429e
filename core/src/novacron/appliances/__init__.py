"""Virtual appliances: VMs as OVA files (OVF, DMTF DSP0243), a format that tools of all hypervisors support."""
