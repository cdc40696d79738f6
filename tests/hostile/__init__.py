"""Inputs that are broken or mean harm, made on the fly: each with the command that meets it and what has to be said."""
