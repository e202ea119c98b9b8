"""Folders and objects at a path, ``s3://``, ``gs://`` or ``az://``: one way to read, put, list and delete them.

    place = storage.at("s3://lake/scores", Access.of(profile_config, os.environ))
    place.below("state.json").put(data)      # the whole object or nothing, for readers and after a kill

Requests are retried by the libraries below, ``ATTEMPTS`` times each; what fails then is a StorageError with a way out.
"""

from sqlinfer.storage.access import ATTEMPTS, KEYS, NOWHERE, SCHEMES, Access, is_url
from sqlinfer.storage.errors import translated
from sqlinfer.storage.place import Entry, Place, at

__all__ = ["ATTEMPTS", "KEYS", "NOWHERE", "SCHEMES", "Access", "Entry", "Place", "at", "is_url", "translated"]
