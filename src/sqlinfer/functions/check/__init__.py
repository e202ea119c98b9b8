"""Whether an artifact may be used, scores row by row, and still is the model that was trained."""
