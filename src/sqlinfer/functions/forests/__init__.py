"""Boosted trees and forests as a table of nodes, read from a library's own file, and as an ONNX graph.

``table.NodeTable`` is what every reader makes; ``ensemble.sums`` writes it into a ``graph.GraphWriter``. How a source
of forests uses them, here for trees that compare doubles::

    writer = GraphWriter(ml_opset=ensemble.ml_opset(table, double=True))
    rows = writer.input("features", "double", width=4)
    total = ensemble.sums(writer, table, rows, double=True)          # [N,targets], in the order of the trees
    writer.output(total, "value", "double", width=table.targets)
    onnx.save(writer.model(), path)

Where a library casts rows to float32 and compares with doubles (scikit-learn's forests), cast the matrix to float and
back to double before ``sums``: a double holds every float32, so that no threshold needs rounding.
"""
