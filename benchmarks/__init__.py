"""Benchmarks, one command each, run in the environment that the command `ensemble` sets up for itself."""

from pipelines.environment import prepare_environment

prepare_environment()  # before a benchmark imports torch
