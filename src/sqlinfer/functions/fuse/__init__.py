"""What is written into the graph: declared results, precision, one form for every exporter."""
