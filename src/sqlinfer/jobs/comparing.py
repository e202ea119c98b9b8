"""An earlier run beside today's project: what ``state:`` selectors compare."""

from __future__ import annotations

from sqlinfer.jobs.functions import cache_dir
from sqlinfer.jobs.options import RunOptions
from sqlinfer.jobs.told import told
from sqlinfer.project import Project
from sqlinfer.project.aspects import Aspects, aspects_of
from sqlinfer.project.state import Comparison


def comparison(project: Project, options: RunOptions) -> Comparison:
    return Comparison(options.state, lambda: today(project), project.target_path)


def today(project: Project) -> dict[str, Aspects]:
    """The aspects of every member. Files of functions that a node calls are read."""
    from sqlinfer.functions import checksum

    called = {name for node in project.nodes.values() for name in node.functions}
    where = cache_dir(project)
    with told(project):
        sums = {name: checksum(project.functions[name], cache_dir=where, root=project.root) for name in called}
    return aspects_of(project, sums)
