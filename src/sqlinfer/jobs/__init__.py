"""What ``api`` is made of: options, the order of work, explain, manifest, checks, UDFs. One subject a file."""
