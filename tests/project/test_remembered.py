"""A project that was read before is remembered as long as everything that reading it looked at is as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sqlinfer import sealed
from sqlinfer.errors import SqlinferError
from sqlinfer.project import Project, discover, load, remembered, yamlfile
from sqlinfer.spec.plain import Coder
from tests.conftest import Shop

Put = Callable[[str, str], None]


@pytest.fixture
def rich(shop: Shop) -> Shop:
    """Something of everything that reading a project looks at."""
    shop.put("sqlinfer_project.yml", "name: shop\nprofile: shop\nvars: {day: 1, since: 2026-01-01}\n")
    shop.put("macros/m.sql", "{% macro twice(x) %}{{ x }} * 2{% endmacro %}")
    shop.put("packages.yml", "packages: [{local: lent}]\n")
    shop.put("lent/dbt_project.yml", "name: lent\n")
    shop.put("lent/macros/l.sql", "{% macro hello() %}1{% endmacro %}")
    shop.put("seeds/raw.csv", "id,x\n1,2\n")
    shop.put("tests/none.sql", "select * from {{ ref('m') }} where id < 0")
    shop.put(
        "models/sources.yml", "sources: [{name: shop, schema: main, tables: [{name: t, columns: [{name: id}]}]}]\n"
    )
    shop.put("selectors.yml", "selectors: [{name: all, definition: {union: ['m', {method: tag, value: a}]}}]\n")
    shop.put("models/top.sql", "{{ config(tags=[env_var('TAG', 'plain')], meta={'n': var('day')}) }} select 1 as n")
    shop.model(
        "{{ config(materialized='incremental', unique_key='id') }} select id, {{ twice('x') }} as x, f(x) as s "
        "from {{ source('shop', 't') }} {% if is_incremental() %} join {{ ref('raw') }} using (id) {% endif %}",
        "    columns: [{name: id, data_tests: [not_null, {relationships: {to: ref('raw'), field: id}}]}]\n",
    )
    return shop


def known(shop: Shop, env: dict[str, str] | None = None, **how: Any) -> Project:
    return remembered.load(shop.root, env={**os.environ, **(env or {})}, **how)


def fresh(shop: Shop, env: dict[str, str] | None = None, **how: Any) -> Project:
    return load(shop.root, env={**os.environ, **(env or {})}, **how)


def same(one: Project, other: Project) -> bool:
    """Settings that may hold secrets compare by their values."""
    names = [name for name in one.__slots__ if name != "profile"]
    profile = [(p.name, p.target, p.type, dict(p.config), p.threads, p.path) for p in (one.profile, other.profile)]
    return all(getattr(one, name) == getattr(other, name) for name in names) and profile[0] == profile[1]


def files(shop: Shop) -> list[Path]:
    return sorted((shop.root / "target" / "cache").glob("*.json"))


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on no project is read from its files."""

    def refuse(*_: Any, **__: Any) -> Project:
        raise AssertionError("the files were read")

    return lambda: monkeypatch.setattr(remembered, "read_files", refuse)


def test_what_is_remembered_is_what_was_read(rich: Shop, unread: Callable[[], None]) -> None:
    read = known(rich)
    unread()
    assert same(known(rich), read)
    assert json.loads(files(rich)[0].read_text())["seal"]


PROJECT = "name: shop\nprofile: shop\nvars: {day: 1, since: 2026-01-01}\n"
PACKAGE = {"dbt_project.yml": "name: p\n", "macros/x.sql": "{% macro a() %}{% endmacro %}"}
CHANGES: dict[str, Callable[[Put, Path], Any]] = {
    "model": lambda put, _: put("models/m.sql", "select 2 as id"),
    "new model": lambda put, _: put("models/deep/n.sql", "select * from {{ ref('m') }}"),
    "model is gone": lambda _, root: (root / "models" / "top.sql").unlink(),
    "model is renamed": lambda _, root: (root / "models" / "top.sql").rename(root / "models" / "topper.sql"),
    "macro": lambda put, _: put("macros/m.sql", "{% macro twice(x) %}{{ config(tags='b') }}{% endmacro %}"),
    "new macro": lambda put, _: put("macros/n.sql", "{% macro generate_alias_name(a, n) %}z{{ n.name }}{% endmacro %}"),
    "package": lambda put, _: put("lent/macros/l.sql", "{% macro hello() %}2{% endmacro %}"),
    "new package": lambda put, _: [put(f"dbt_packages/p/{n}", t) for n, t in PACKAGE.items()],
    "seed": lambda put, _: put("seeds/more.csv", "a\n1\n"),
    "properties": lambda put, _: put("models/m.yml", "models: [{name: m, description: other}]"),
    "new properties": lambda put, _: put("models/top.yaml", "models: [{name: top, description: other}]"),
    "function": lambda put, _: put("functions/f.yml", "functions: [{name: g, model: {path: f.onnx}}]"),
    "project file": lambda put, _: put("sqlinfer_project.yml", "name: shop\nprofile: shop\nvars: {day: 2}\n"),
    "profile": lambda put, _: put("profiles.yml", "shop: {outputs: {default: {type: duckdb, path: w.duckdb}}}"),
    "selectors": lambda put, _: put("selectors.yml", "selectors: [{name: all, definition: m}]"),
    "singular test": lambda put, _: put("tests/none.sql", "{{ config(severity='warn') }} select 1"),
    "python model": lambda put, _: put("models/p.py", "def model(dbt, session): ...\n"),
    "snapshot": lambda put, _: put("snapshots/s.sql", "{% snapshot s %}select 1{% endsnapshot %}"),
    "target folder": lambda put, _: put("sqlinfer_project.yml", f"{PROJECT}target-path: other\n"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_any_file_is_seen(rich: Shop, change: str) -> None:
    before = known(rich)
    CHANGES[change](rich.put, rich.root)
    assert not same(before, fresh(rich))
    assert same(known(rich), fresh(rich))
    assert same(known(rich), fresh(rich))


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the models and yml files that are read anew."""
    names: list[str] = []
    parse, read = discover._parsed_anew, yamlfile.parse_yaml

    def parsed(project: Any, file: Any, *rest: Any) -> Any:
        names.append(file.name)
        return parse(project, file, *rest)

    def composed(text: str, path: Path | None = None, *rest: Any) -> Any:
        names.append(path.name if path else "")
        return read(text, path, *rest)

    monkeypatch.setattr(discover, "_parsed_anew", parsed)
    monkeypatch.setattr(yamlfile, "parse_yaml", composed)
    return names


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("models/top.sql", "select 2 as n", ["top"]),
        ("models/m.yml", "models: [{name: m, description: other}]", ["m.yml"]),
        ("macros/m.sql", "{% macro twice(x) %}{{ x }} + 1{% endmacro %}", ["m"]),
        ("models/new.sql", "select 1 as n", ["new"]),
    ],
)
def test_one_changed_file_is_read_and_the_others_are_not(
    rich: Shop, anew: list[str], path: str, text: str, expected: list[str]
) -> None:
    known(rich)
    assert {"m", "top", "m.yml", "sources.yml", "f.yml"} <= {*anew}
    anew.clear()
    rich.put(path, text)
    again = known(rich)
    assert [name for name in anew if name != "profiles.yml"] == expected
    assert same(again, fresh(rich))


def test_a_model_that_asks_the_clock_is_the_only_one_that_is_read(rich: Shop, anew: list[str]) -> None:
    rich.put("models/clock.sql", "select '{{ modules.datetime.datetime.now() }}' as at")
    known(rich)
    anew.clear()
    known(rich)
    assert [name for name in anew if name != "profiles.yml"] == ["clock"]


def test_a_variable_that_one_model_reads_parses_that_one(rich: Shop, anew: list[str]) -> None:
    known(rich)
    anew.clear()
    assert known(rich, {"TAG": "other"}).nodes["model.shop.top"].tags == ("other",)
    assert [name for name in anew if name != "profiles.yml"] == ["top"]
    anew.clear()
    known(rich, {"TAG": "other"})
    assert anew == []


def test_a_ref_whose_node_is_gone_is_an_error_though_the_file_is_the_same(rich: Shop) -> None:
    known(rich)
    (rich.root / "seeds" / "raw.csv").unlink()
    with pytest.raises(SqlinferError, match="raw"):
        known(rich)


def test_a_file_of_the_same_size_and_times_is_seen(rich: Shop) -> None:
    path = rich.root / "models" / "top.sql"
    known(rich)
    info, text = path.stat(), path.read_text()
    path.write_text(text.replace("1 as n", "2 as n"))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert known(rich).nodes["model.shop.top"].raw_sql.endswith("2 as n")


@pytest.mark.parametrize(
    ("env", "how"),
    [
        ({"TAG": "other"}, {}),
        ({}, {"vars": {"day": 7}}),
        ({}, {"vars": "{day: 7}"}),
        ({"SQLINFER_TARGET_PATH": "elsewhere"}, {}),
    ],
)
def test_another_variable_is_another_project(rich: Shop, env: dict[str, str], how: dict[str, Any]) -> None:
    before = known(rich)
    assert not same(before, known(rich, env, **how))
    assert same(known(rich, env, **how), fresh(rich, env, **how))
    assert same(known(rich), before)


def test_variables_of_the_environment_that_nobody_reads_change_nothing(rich: Shop, unread: Callable[[], None]) -> None:
    known(rich)
    unread()
    assert known(rich, {"SHLVL": "99"}).env["SHLVL"] == "99"
    assert len(files(rich)) == 1


def test_another_version_of_a_library_or_of_ours_reads_anew(rich: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    known(rich)
    monkeypatch.setattr(remembered, "_versions", [*remembered.versions(), "sqlglot-99.dist-info"])
    known(rich)
    assert len(files(rich)) == 2


def test_the_versions_are_of_what_reads_and_plans() -> None:
    listed = " ".join(remembered.versions()).casefold()
    assert all(f"{name}-" in listed for name in ("duckdb", "sqlglot", "jinja2", "pydantic"))


@pytest.mark.parametrize(
    "sql",
    [
        "select '{{ modules.datetime.datetime.now() }}' as at",
        "{% set d = modules.datetime.date %}select '{{ d.today() }}' as at",
        "select '{{ modules.datetime.date(2026, 1, 1)['today']() }}' as at",
    ],
)
def test_a_project_that_asks_the_clock_is_read_each_time(rich: Shop, sql: str) -> None:
    rich.put("models/clock.sql", sql)
    known(rich)
    (file,) = files(rich)
    assert json.loads(file.read_text())["content"]["project"] is None
    assert same(known(rich), fresh(rich))


def test_dates_alone_do_not_ask_the_clock(rich: Shop) -> None:
    rich.put("models/clock.sql", "select '{{ modules.datetime.date(2026, 1, 2).isoformat() }}' as at")
    known(rich)
    assert len(files(rich)) == 1


def test_a_profile_with_a_secret_is_read_each_time_and_written_nowhere(rich: Shop) -> None:
    rich.put("profiles.yml", "shop: {target: dev, outputs: {dev: {type: duckdb, path: w.duckdb, settings: "
             "{s3_secret_access_key: \"{{ env_var('DBT_ENV_SECRET_K') }}\"}}}}")  # fmt: skip
    env = {"DBT_ENV_SECRET_K": "hunter2-first"}
    known(rich, env)
    env["DBT_ENV_SECRET_K"] = "hunter2-second"
    again = known(rich, env)
    assert again.profile.config["settings"] == {"s3_secret_access_key": "hunter2-second"}
    assert again.profile.secrets == ("hunter2-second",)
    (file,) = files(rich)
    assert "hunter2" not in file.read_text()


def test_a_secret_in_a_variable_is_written_nowhere(rich: Shop) -> None:
    known(rich, vars={"api_token": "hunter2-in-a-variable"})
    assert files(rich) == []


def _tampered(path: Path) -> None:
    path.write_text(path.read_text().replace("select 1 as n", "select 6 as n"))


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _pickle(path: Path) -> None:
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'touch /tmp/owned'\ntR.")


def _other_json(path: Path) -> None:
    path.write_text('{"seal": "' + "0" * 64 + '", "content": {"witness": {"probes": [], "env": {}}}}\n')


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to(path.with_name("moved"))


def _folder_link(path: Path) -> None:
    folder = path.parent
    folder.rename(folder.with_name("moved"))
    folder.symlink_to(folder.with_name("moved"))


@pytest.mark.parametrize("harm", [_tampered, _truncated, _pickle, _other_json, _pipe, _link, _folder_link])
def test_a_hostile_file_is_not_believed(rich: Shop, harm: Callable[[Path], None]) -> None:
    read = known(rich)
    harm(files(rich)[0])
    assert same(known(rich), read)


def test_a_file_that_another_user_sealed_is_not_believed(
    rich: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "MAX_FILES", 1)
    known(rich, {"XDG_CACHE_HOME": str(tmp_path / "one")})
    (theirs,) = files(rich)
    known(rich, {"XDG_CACHE_HOME": str(tmp_path / "two")})
    (ours,) = files(rich)
    theirs.unlink(missing_ok=True)
    key = sealed.key_of({"XDG_CACHE_HOME": str(tmp_path / "two")})
    other = sealed.key_of({"XDG_CACHE_HOME": str(tmp_path / "one")})
    assert key is not None
    assert other is not None
    assert sealed.read(ours, key) is not None
    assert sealed.read(ours, other) is None


@pytest.mark.parametrize("mode", [0o644, 0o640])
def test_a_key_that_others_can_read_seals_nothing(rich: Shop, tmp_path: Path, mode: int) -> None:
    cache = tmp_path / "open"
    env = {"XDG_CACHE_HOME": str(cache)}
    assert sealed.key_of(env) is not None
    (cache / "sqlinfer" / "seal.key").chmod(mode)
    known(rich, env)
    assert files(rich) == []


def test_without_a_home_nothing_is_remembered(rich: Shop) -> None:
    env = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    assert remembered.load(rich.root, env=env).name == "shop"
    assert files(rich) == []


def test_it_can_be_switched_off_as_in_dbt(rich: Shop) -> None:
    known(rich, {"DBT_PARTIAL_PARSE": "false"})
    assert files(rich) == []


def test_an_artifact_that_becomes_a_link_out_of_the_project_is_refused_all_the_same(rich: Shop, tmp_path: Path) -> None:
    known(rich)
    artifact = next((rich.root / "functions").glob("*.onnx"))
    outside = tmp_path.parent / f"{tmp_path.name}-outside.onnx"
    artifact.rename(outside)
    artifact.symlink_to(outside)
    with pytest.raises(SqlinferError, match="link that leaves the project"):
        known(rich)


def test_an_error_is_the_same_each_time_and_is_not_remembered(rich: Shop) -> None:
    known(rich)
    rich.put("models/m.sql", "select {{ ref('nobody') }}")
    said = []
    for _ in range(2):
        with pytest.raises(SqlinferError) as raised:
            known(rich)
        said.append(str(raised.value))
    with pytest.raises(SqlinferError) as raised:
        fresh(rich)
    assert said == [str(raised.value)] * 2


def test_old_files_make_room(rich: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "MAX_FILES", 2)
    for day in range(4):
        known(rich, vars={"day": day})
    assert len(files(rich)) == 2


def test_a_file_that_would_be_too_large_is_not_written(rich: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "MAX_BYTES", 1_000)
    known(rich)
    assert files(rich) == []


def test_two_processes_at_once_agree(rich: Shop) -> None:
    command = [sys.executable, "-c", "from sqlinfer.cli.main import main; main()", "ls", "--quiet",
               "--project-dir", str(rich.root)]  # fmt: skip
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {one.communicate()[0] for one in running}
    code, out = rich("ls", "--quiet")
    assert (code, {out}) == (0, said)


def test_what_nests_deeper_than_python_recurses_is_read_each_time(rich: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_deep(*_: Any) -> Any:
        raise RecursionError

    monkeypatch.setattr(Coder, "_record", too_deep)
    assert same(known(rich), fresh(rich))
    monkeypatch.undo()
    assert same(known(rich), fresh(rich))
    monkeypatch.setattr(Coder, "_made_record_decoder", lambda *_: too_deep)
    assert same(known(rich), fresh(rich))
