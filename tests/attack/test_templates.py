"""Templates end soon and small, whatever they do; and they see nothing but what is for them."""

from __future__ import annotations

import os

import pytest
from child import bounded
from project_files import loaded
from templates import GROWING, LOOKING, generate

from sqlinfer.compiler.template.render import RenderFlags, render_inline
from sqlinfer.errors import RenderError
from sqlinfer.project import Project
from sqlinfer.testing.patience import patience

SECRET = "q7Zk-canary-93xT-whole"
SECONDS = 1.0
EXAMPLES = int(os.environ.get("SQLINFER_ATTACKS", "40"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return loaded(tmp_path_factory.mktemp("p"), env={"DBT_ENV_SECRET_Z": SECRET, "PATH": "x"})


def rendered(text: str, project: Project) -> str:
    """The SQL, or the message."""
    try:
        return render_inline(text, project, flags=RenderFlags(seconds=SECONDS)).sql
    except RenderError as error:
        return f"ERROR {error.message[:3_000]}" if error.location is not None else f"no place: {error}"


@pytest.mark.parametrize("text", GROWING, ids=range(len(GROWING)))
def test_what_grows_is_stopped_before_it_takes_memory(text: str, project: Project) -> None:
    found = bounded(rendered, text, project, memory=1_000_000_000)
    assert found.value.startswith("ERROR"), found.value[:200]
    assert found.peak < 500_000_000
    assert found.seconds < patience(4 * SECONDS)


@pytest.mark.parametrize("text", LOOKING, ids=range(len(LOOKING)))
def test_nothing_that_a_template_reaches_holds_a_secret(text: str, project: Project) -> None:
    found = rendered(text, project)
    assert not any(SECRET[at : at + 4] in found for at in range(len(SECRET) - 3)), found
    assert found.startswith("ERROR") or "Undefined" in found or found in ("env_var", "var"), found


def test_random_templates_end_soon_and_small(project: Project) -> None:
    for seed in range(EXAMPLES):
        found = bounded(rendered, generate(seed), project, memory=1_000_000_000, seconds=30)
        assert found.peak < 500_000_000, generate(seed)
