"""Layers that several backbones or heads share. Knows nothing of registries."""
