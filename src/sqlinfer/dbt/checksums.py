"""``sqlinfer dbt checksums``: a macro with the checksums of all functions' files, so that dbt sees them change."""

from __future__ import annotations

import json
import os
from pathlib import Path

from sqlinfer.dbt.home import read_home
from sqlinfer.dbt.project import functions_only
from sqlinfer.jobs.functions import files_of
from sqlinfer.project import Profile

MACRO = "sqlinfer_functions"
_HEAD = """{#- Written by `sqlinfer dbt checksums`: run it again when a function or its model changes, and commit it.
    Prediction nodes depend on it, so `dbt ls --select state:modified` lists them then. -#}
"""


def write(path: Path, root: Path) -> bool:
    """Write the macro's file; whether it has changed.

    A macro that dbt has not seen before becomes a dependency of others only where dbt parses them anew.
    """
    text, is_new = checksums_sql(root), not path.exists()
    if not is_new and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if is_new:
        target = read_home(root, None, os.environ).target_path
        for folder in (target, target / "sqlinfer" / "dbt"):
            (folder / "partial_parse.msgpack").unlink(missing_ok=True)
    return True


def checksums_sql(root: Path) -> str:
    """The macro's file. No warehouse is asked, and no function is prepared."""
    home = read_home(root, None, os.environ)
    project = functions_only(home, Profile("dbt", "dbt", "duckdb", {}))
    files = {name: files_of(project, name) for name in sorted(project.functions)}
    return f"{_HEAD}{{%- macro {MACRO}() -%}}\n{{{{ return({json.dumps(files, indent=2)}) }}}}\n{{%- endmacro -%}}\n"
