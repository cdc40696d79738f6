"""A torch module becomes an ONNX program. The one module that knows onnx.

Torch's exporter writes it; here its words are silenced and what it says of the machine's folders is taken out.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from torch import nn

__all__ = ["INPUT", "OPSET", "GraphError", "make_program", "with_facts"]

INPUT = "faces"
OPSET = 18
"""Has all that is needed, antialiased resizing being the newest; older runtimes read it, too."""

_BATCH = 3  # neither 0 nor 1, which the exporter would take for constants


class GraphError(Exception):
    """Torch's exporter cannot express a module; says why in one line."""


def make_program(graph: nn.Module, *, channels: int, size: int, outputs: Sequence[str]) -> onnx.ModelProto:
    """Trace a module into a program for any number of faces.

    Args:
        graph: Takes (N, channels, size, size) uint8, and gives a tensor (N, ...) per output.
        channels: Of the faces.
        size: Their side in pixels.
        outputs: Names of the outputs.

    Raises:
        GraphError: ONNX, or torch's exporter, has no word for something in it.
    """
    faces = torch.randint(0, 256, (_BATCH, channels, size, size), dtype=torch.uint8)
    graph.eval()
    with torch.no_grad(), _quiet():
        graph(faces)  # constants that layers keep are made of real numbers, not of the exporter's
        try:
            # Traced here: left to itself, torch.onnx would fix the number of faces where a graph asks for that.
            traced = torch.export.export(graph, (faces,), dynamic_shapes=({0: torch.export.Dim("N")},), strict=False)
            exported = torch.onnx.export(
                traced, (), dynamo=True, input_names=[INPUT], output_names=list(outputs), opset_version=OPSET,
                external_data=False, verbose=False,
            )  # fmt: skip
        except Exception as error:  # whatever a network's code makes the exporter raise
            raise GraphError(_reason(error)) from error
    if exported is None:
        raise GraphError("torch's exporter gave nothing")
    program: onnx.ModelProto = exported.model_proto
    _strip(program)
    onnx.checker.check_model(program)
    return program


def with_facts(program: onnx.ModelProto, facts: Mapping[str, Any]) -> bytes:
    """The program as a file's content, with facts in its `metadata_props`: texts as they are, all else as JSON."""
    texts = {key: fact if isinstance(fact, str) else json.dumps(fact) for key, fact in facts.items()}
    onnx.helper.set_model_props(program, texts)
    return bytes(program.SerializeToString())


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings and no log of the exporter's: what is wrong, the comparison afterwards tells."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _strip(program: onnx.ModelProto) -> None:
    """Drop stack traces and names of source files, which are nobody else's business; the number of faces becomes N."""
    program.producer_name, program.doc_string = "ensemble", ""
    program.graph.doc_string = ""
    values = (*program.graph.value_info, *program.graph.input, *program.graph.output)
    for part in (*program.graph.node, *values):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    count = program.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for dim in (dim for value in values for dim in value.type.tensor_type.shape.dim):
        if dim.dim_param:
            dim.dim_param = dim.dim_param.replace(count, "N")
    for function in program.functions:
        function.ClearField("metadata_props")
        for node in function.node:
            node.ClearField("metadata_props")
    program.graph.ClearField("metadata_props")


def _reason(error: BaseException) -> str:
    """The first line of the innermost cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
