"""Readers of labelled face data, one layout per module; the file name is the name that `data.reader` takes."""
