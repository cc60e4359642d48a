"""One adapter for each runner that can be started on a machine."""
