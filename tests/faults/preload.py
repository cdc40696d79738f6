"""Loads once what every command needs; the fork server imports it."""

from pipelines.environment import prepare_environment

prepare_environment()

import importlib  # noqa: E402

_NEEDED = (
    "matplotlib.figure", "pipelines.cli", "pipelines.committee_fit", "pipelines.evaluate", "pipelines.fuse",
    "pipelines.plan", "pipelines.predict", "pipelines.report_page", "pipelines.verify", "rich.progress", "rich.table",
    "scipy.optimize", "sklearn.linear_model", "timm.scheduler", "timm.utils", "torch._dynamo",
)  # fmt: skip
for _name in _NEEDED:
    try:
        importlib.import_module(_name)
    except ModuleNotFoundError:  # it only saves time
        continue
