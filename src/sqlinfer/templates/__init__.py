"""Files that ``sqlinfer init`` copies; ``__NAME__`` stands for the project's name."""
