"""Many scans: by several processes here or on a cluster, resumed where a run was cut off."""
