"""Fusion rules, one per module; the file name is the name in YAML."""
