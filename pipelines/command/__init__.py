"""Groups of commands, a file each, and the options that commands share."""
