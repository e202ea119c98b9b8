"""Rewrites of a graph for the CPU: in goes an ONNX model, out one that gives the same bits sooner."""
