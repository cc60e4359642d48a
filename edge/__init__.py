"""edge takes a vision model from a paper onto a phone and proves that it is still the same model."""

__version__ = "0.1.0"
