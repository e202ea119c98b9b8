"""Errors of work on a project, as a user is told them: what the system refused, and the way to what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlinfer.errors import SqlinferError, SystemRefused
from sqlinfer.project import Project
from sqlinfer.project.ways import with_way


@contextmanager
def told(project: Project) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SystemRefused.of(error) from error
    except SqlinferError as error:
        raise with_way(error, project) from error.__cause__
