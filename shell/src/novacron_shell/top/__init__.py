"""`novacron top`: hosts and VMs live on the whole screen. Only this package imports Textual."""
