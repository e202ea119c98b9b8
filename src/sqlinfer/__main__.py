"""``python -m sqlinfer`` is the command."""

from sqlinfer.cli.main import main

main()
