"""Phones that exist only as a folder: what stands behind `tests.fakes.adbd`."""
