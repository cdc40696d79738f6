"""Face detectors, one per module; the file name is the name that `--detect` takes."""
