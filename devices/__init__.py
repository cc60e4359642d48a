"""Devices: one file per kind of device, found by file name."""
