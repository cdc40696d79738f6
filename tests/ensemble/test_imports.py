"""Voting needs no heavy library: that is what makes refitting a committee a matter of seconds."""

import subprocess
import sys

PROGRAM = """
import importlib, pkgutil, sys
import ensemble, ensemble.rule
for package in (ensemble, ensemble.rule):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_importing_every_module_imports_no_heavy_library():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert {"ensemble", "numpy", "pydantic"} <= loaded
    assert not loaded & {"torch", "sklearn", "pandas", "matplotlib", "scipy", "cv2", "mlflow", "timm"}
