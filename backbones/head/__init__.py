"""Heads, one per file, the file name being the registry key. Imports none of them."""
