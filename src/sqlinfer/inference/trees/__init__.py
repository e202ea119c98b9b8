"""The forest kernel: our own C, called by ctypes, over columns; it adds as ONNX Runtime adds, so the bits are equal."""
