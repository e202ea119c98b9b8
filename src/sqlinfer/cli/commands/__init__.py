"""One command a file: parse flags, call one function of ``api``, hand the result to the console."""
