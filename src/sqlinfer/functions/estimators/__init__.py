"""Fitted scikit-learn estimators → ONNX that gives the same numbers. Imported in the child process alone."""
