"""`ensemble export`: a committee becomes one ONNX file."""
