"""Runs an exported program as its users will. The one module that knows onnxruntime."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime

from pipelines.export.program import INPUT, GraphError

__all__ = ["Session"]


class Session:
    """An ONNX program, ready to run on the CPU.

    Args:
        content: The file's content.
        threads: How many it may use.

    Raises:
        GraphError: The runtime lacks something that the program asks for.
    """

    def __init__(self, content: bytes, *, threads: int) -> None:
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3  # errors
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no class of their own
            raise GraphError(str(error).splitlines()[0][:200]) from error
        self.outputs: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())

    def __call__(self, faces: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
        """(N, C, S, S) uint8 faces to all outputs by name."""
        return dict(zip(self.outputs, self._session.run(None, {INPUT: faces}), strict=True))
