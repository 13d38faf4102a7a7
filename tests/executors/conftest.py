"""Nothing but a place: pytest puts this folder on the path, so that the folders below it find `executor_workloads`."""
