"""Estimators, one a file; each file's name is the name of the head that it fits."""
