"""The interactive shell: ptpython with live hosts and VMs."""
