"""Our networks, written here and key-compatible with the published checkpoints."""
