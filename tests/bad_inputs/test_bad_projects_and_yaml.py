"""YAML files, paths and profiles: one message at the file and line of the mistake, found while the project is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from house import FILES, FUNCTIONS, PROFILES, PROJECT, SCORES, Files, write

from sqlinfer.errors import ProfileError, ProjectError, SqlinferError
from sqlinfer.project import load

YML = str(FILES[FUNCTIONS])
MODELS = "models/p.yml"


@dataclass(frozen=True)
class Wrong:
    id: str
    file: str
    text: str | bytes
    message: str
    line: int | None = None
    hint: str | None = None
    kind: type[SqlinferError] = ProjectError


def project(extra: str) -> str:
    return f"{FILES[PROJECT]}{extra}\n"


def profile(extra: str) -> str:
    return f"shop:\n  target: dev\n  outputs:\n    dev:\n      type: duckdb\n      path: wh.duckdb\n{extra}\n"


def declared(old: str, new: str) -> str:
    assert old in YML, old
    return YML.replace(old, new)


def model(body: str) -> str:
    return f"models:\n  - name: scores\n{body}\n"


PLAIN = [
    Wrong("tab as indent", PROJECT, "name: shop\n\tprofile: shop\n", "not valid YAML", 2, "spaces"),
    Wrong("unclosed bracket", PROJECT, "name: [shop\nprofile: x\n", "not valid YAML"),
    Wrong("unclosed quote", PROJECT, 'name: "shop\nprofile: x\n', "not valid YAML"),
    Wrong("colon in a plain value", PROJECT, "name: shop: x\n", "not valid YAML", 1),
    Wrong("two documents", PROJECT, "name: shop\n---\nname: shop\n", "not valid YAML"),
    Wrong("list at the top", PROJECT, "- name\n- shop\n", "expected a mapping", 1),
    Wrong("text at the top", PROJECT, "shop\n", "expected a mapping", 1),
    Wrong("number at the top", PROJECT, "42\n", "expected a mapping", 1),
    Wrong("only a comment", PROJECT, "# nothing\n", "is empty", 1, "name"),
    Wrong("latin-1", PROJECT, "name: shop\n# caf\xe9\n".encode("latin-1"), "not UTF-8", 2, "UTF-8"),
    Wrong("utf-16", PROJECT, "name: shop\n".encode("utf-16"), "not UTF-8", 1, "UTF-8"),
    Wrong("NUL byte", PROJECT, b"name: sh\0op\n", "not valid YAML"),
    Wrong("control character", PROJECT, b"name: sh\x07op\n", "not valid YAML"),
    Wrong("duplicate key", PROJECT, project("profile: other"), "duplicate key 'profile'", 4, "line 2"),
    Wrong("duplicate key in a nested mapping", PROJECT, project("models:\n  shop: {+tags: a, +tags: b}"),
          "duplicate key '+tags'", 5),
    Wrong("a list as key", PROJECT, project("? [a]\n: b"), "a key must be a name"),
    Wrong("a float as key", PROJECT, project("1.5: b"), "a key must be a name", 4),
    Wrong("python object", PROJECT, project("x: !!python/object/apply:os.system [ls]"), "is not allowed", 4, "plain"),
    Wrong("python name", PROJECT, project("x: !!python/name:os.system"), "is not allowed", 4, "plain"),
    Wrong("own tag", PROJECT, project("x: !include secrets.yml"), "is not allowed", 4, "plain"),
    Wrong("binary tag", PROJECT, project("x: !!binary aGk="), "is not allowed", 4, "plain"),
    Wrong("set tag", PROJECT, project("x: !!set {a, b}"), "is not allowed", 4, "plain"),
    Wrong("undefined alias", PROJECT, project("x: *nowhere"), "not valid YAML", 4),
    Wrong("alias of itself", PROJECT, project("x: &a [*a]"), "nested more than"),
    Wrong("merge of a list", PROJECT, project("x:\n  <<: [1, 2]"), "merges mappings only", 5),
    Wrong("deep nesting", PROJECT, project("x: " + "[" * 150 + "]" * 150), "nested"),
    Wrong("very deep nesting", PROJECT, project("x: " + "[" * 20_000 + "]" * 20_000), "nested"),
    Wrong("alias bomb", PROJECT, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)), "too many values"),
    Wrong("larger than 10 MB", PROJECT, b"#" * 10_000_001, "larger than 10 MB"),
    Wrong("name with a blank", PROJECT, "name: my shop\nprofile: shop\n", "'my shop' is not allowed", 1),
    Wrong("name with a quote", PROJECT, "name: sh'op\nprofile: shop\n", "is not allowed", 1),
    Wrong("name is a path", PROJECT, "name: ../shop\nprofile: shop\n", "is not allowed", 1),
    Wrong("name is missing", PROJECT, "profile: shop\n", "'name' is missing", 1),
    Wrong("name is a number", PROJECT, "name: 3\nprofile: shop\n", "name", 1),
    Wrong("name is no (YAML's false)", PROJECT, "name: [no]\nprofile: shop\n", "found a list", 1),
    Wrong("profile is a list", PROJECT, "name: shop\nprofile: [shop]\n", "profile", 2),
    Wrong("vars is a list", PROJECT, "name: shop\nprofile: shop\nvars: [1]\n", "vars", 3),
    Wrong("models is a list", PROJECT, project("models: [a]"), "models", 4),
    Wrong("a hook", PROJECT, project("models:\n  shop:\n    +post-hook: {sql: 1}"), "post-hook is SQL", 6),
    Wrong("an unknown config", PROJECT, project("models:\n  shop:\n    +materialized_: x"),
          "unknown config 'materialized_'", 6, "materialized"),
    Wrong("an unknown materialisation", PROJECT, project("models:\n  shop:\n    +materialized: tabel"),
          "'tabel' is not allowed", 6, "table"),
    Wrong("enabled is text", PROJECT, project("models:\n  shop:\n    +enabled: perhaps"), "enabled", 6),
    Wrong("an error rate above one", PROJECT, project("models:\n  shop:\n    +max_error_rate: 1.5"), "max_error_rate", 6),
    Wrong("an error rate that is no number", PROJECT, project("models:\n  shop:\n    +max_error_rate: .nan"),
          "max_error_rate", 6),
    Wrong("a huge exponent", PROJECT, project("models:\n  shop:\n    +publish_timeout: -1e309"), "publish_timeout", 6),
    Wrong("a delimiter of two characters", PROJECT, project("models:\n  shop:\n    +delimiter: '||'"), "delimiter", 6),
    Wrong("model path above the project", PROJECT, project("model-paths: ['..']"), "leaves the project", 4, "inside"),
    Wrong("model path is absolute", PROJECT, project("model-paths: /etc"), "leaves the project", 4, "inside"),
    Wrong("seed path with dots inside", PROJECT, project("seed-paths: [seeds/../../x]"), "leaves the project", 4),
    Wrong("macro path above the project", PROJECT, project("macro-paths: [../macros]"), "leaves the project", 4),
    Wrong("function path above the project", PROJECT, project("function-paths: [../../f]"), "leaves the project", 4),
    Wrong("test path above the project", PROJECT, project("test-paths: [..]"), "leaves the project", 4),
    Wrong("a version that nobody has", PROJECT, project("require-sqlinfer-version: '>=99'"), ">=99", 4, "upgrade"),
    Wrong("a version that is no version", PROJECT, project("require-sqlinfer-version: [newest]"), "newest", 4),
    Wrong("Jinja in yml that does not parse", PROJECT, project("models: {shop: {+tags: '{{ var('}}"), "Jinja", 4),
    Wrong("an undefined var in yml", PROJECT, project("models: {shop: {+tags: \"{{ var('x') }}\"}}"),
          "var 'x' is not defined", 4),
    Wrong("a secret in yml", PROJECT, project("models: {shop: {+tags: \"{{ env_var('DBT_ENV_SECRET_A') }}\"}}"),
          "only be used in profiles.yml", 4),
]  # fmt: skip

PROFILE = [
    Wrong("empty", PROFILES, "", "profiles.yml is empty", 1),
    Wrong("list at the top", PROFILES, "- shop\n", "profiles.yml is empty", 1),
    Wrong("another profile", PROFILES, "shop2: {outputs: {}}\n", "profile 'shop' is not in", hint="shop2"),
    Wrong("profile is text", PROFILES, "shop: duckdb\n", "profile 'shop' is empty", 1),
    Wrong("no outputs", PROFILES, "shop: {target: dev}\n", "has no outputs", 1),
    Wrong("outputs is a list", PROFILES, "shop:\n  outputs: [dev]\n", "has no outputs", 1),
    Wrong("misspelt target", PROFILES, "shop:\n  targt: dev\n  outputs: {dev: {type: duckdb}}\n", "unknown key 'targt'",
          2, "target"),
    Wrong("unknown target", PROFILES, "shop:\n  target: prd\n  outputs: {dev: {type: duckdb}}\n", "target 'prd'", 2, "dev"),
    Wrong("target is text", PROFILES, "shop:\n  target: dev\n  outputs:\n    dev: duckdb\n", "target 'dev' is empty", 4),
    Wrong("no type", PROFILES, "shop:\n  target: dev\n  outputs:\n    dev: {path: x}\n", "'type' is missing", 4),
    Wrong("type is a list", PROFILES, "shop:\n  target: dev\n  outputs:\n    dev: {type: [a]}\n", "'type' is missing", 4),
    Wrong("unknown type", PROFILES, "shop:\n  target: dev\n  outputs:\n    dev: {type: orcale}\n", "type 'orcale'", 4),
    Wrong("threads is text", PROFILES, profile("      threads: many"), "threads must be a whole number", 7),
    Wrong("threads is zero", PROFILES, profile("      threads: 0"), "threads must be a whole number", 7),
    Wrong("threads is true", PROFILES, profile("      threads: true"), "threads must be a whole number", 7),
    Wrong("threads is a list", PROFILES, profile("      threads: [1]"), "threads must be a whole number", 7),
    Wrong("an environment variable that is not set", PROFILES, profile("      schema: \"{{ env_var('NO_SUCH') }}\""),
          "environment variable 'NO_SUCH' is not set", 7, "default"),
    Wrong("a secret that is not set", PROFILES, profile("      token: \"{{ env_var('DBT_ENV_SECRET_NO') }}\""),
          "'DBT_ENV_SECRET_NO' is not set", 7),
    Wrong("Jinja that does not parse", PROFILES, profile("      schema: '{{ env_var( }}'"), "Jinja", 7),
    Wrong("an unknown filter", PROFILES, profile("      schema: \"{{ 'a' | as_nubmer }}\""), "as_nubmer", 7),
    Wrong("not a number", PROFILES, profile("      threads: \"{{ 'x' | as_number }}\""), "'x' is not a number", 7),
    Wrong("escape through Jinja", PROFILES, profile("      schema: \"{{ ''.__class__.__mro__ }}\""), "unsafe", 7),
]  # fmt: skip

DECLARATIONS = [
    Wrong("not a list", FUNCTIONS, "functions: {score: 1}\n", "functions", 1),
    Wrong("no name", FUNCTIONS, declared("- name: score\n    ", "- "), "'name' is missing", 2),
    Wrong("a name with a dash", FUNCTIONS, declared("name: score\n", "name: my-score\n"), "'my-score' is not allowed", 2),
    Wrong("a name with a quote", FUNCTIONS, declared("name: score\n", "name: \"s'; drop table x; --\"\n"), "not allowed", 2),
    Wrong("a name with a homoglyph", FUNCTIONS, declared("name: score\n", "name: sc\u043ere\n"), "not allowed", 2),
    Wrong("no model", FUNCTIONS, declared("    model: {path: score.onnx}\n", ""), "'model' is missing", 2),
    Wrong("no path", FUNCTIONS, declared("{path: score.onnx}", "{}"), "path", 3),
    Wrong("model is text", FUNCTIONS, declared("{path: score.onnx}", "score.onnx"), "model", 3),
    Wrong("path is a list", FUNCTIONS, declared("path: score.onnx", "path: [a]"), "path", 3),
    Wrong("unknown source", FUNCTIONS, declared("path: score", "source: pickle, path: score"), "'pickle'", 3),
    Wrong("a misspelt source", FUNCTIONS, declared("path: score", "source: sklern, path: score"), "'sklern'", 3, "sklearn"),
    Wrong("trust that is no digest", FUNCTIONS, declared("score.onnx}", "score.onnx, trust: yes}"), "trust", 3),
    Wrong("trust of everything", FUNCTIONS, declared("score.onnx}", "score.onnx, trust: '*'}"), "sha256", 3),
    Wrong("a torch function without an entrypoint", FUNCTIONS, declared("path: score.onnx", "source: torch"),
          "'entrypoint' is missing", 3),
    Wrong("an entrypoint that is code", FUNCTIONS,
          declared("path: score.onnx", "source: torch, entrypoint: \"os:system('x')\""), "entrypoint", 3),
    Wrong("an unknown type", FUNCTIONS, declared("x, data_type: double", "x, data_type: duble"), "is not a type", 5),
    Wrong("a type that is SQL", FUNCTIONS, declared("x, data_type: double", "x, data_type: 'double); drop table a'"),
          "is not a type", 5),
    Wrong("a type of the future", FUNCTIONS, declared("x, data_type: double", "x, data_type: 'map(int, int)'"),
          "is not a type that a function can take", 5),
    Wrong("an argument twice", FUNCTIONS, declared("name: y", "name: x"), "duplicate argument 'x'", 6),
    Wrong("an argument twice, in another case", FUNCTIONS, declared("name: y", "name: X"), "duplicate argument 'X'", 6),
    Wrong("an argument without a type", FUNCTIONS, declared("x, data_type: double", "x"), "'data_type' is missing", 5),
    Wrong("an unknown key of an argument", FUNCTIONS, declared("x, data_type", "x, defualt: 1, data_type"),
          "unknown key 'defualt'", 5),
    Wrong("on_null of nothing", FUNCTIONS, declared("x, data_type: double", "x, data_type: double, on_null: skip"),
          "on_null", 5),
    Wrong("a default of another type", FUNCTIONS,
          declared("x, data_type: double", "x, data_type: double, on_null: {default: none}"), "is text", 5),
    Wrong("a default that is a list", FUNCTIONS,
          declared("x, data_type: double", "x, data_type: double, on_null: {default: [1]}"), "found a list", 5),
    Wrong("a default out of range", FUNCTIONS,
          declared("x, data_type: double", "x, data_type: tinyint, on_null: {default: 300}"), "300", 5),
    Wrong("nan for a whole number", FUNCTIONS,
          declared("x, data_type: double", "x, data_type: integer, on_null: nan"), "floating-point", 5),
    Wrong("a policy for casts that is none", FUNCTIONS,
          declared("x, data_type: double", "x, data_type: double, on_cast_error: nul"), "'nul' is not one of", 5, "null"),
    Wrong("a negative index", FUNCTIONS, declared("double}\n", "double, index: -1}\n"), "index", None),
    Wrong("an index that is text", FUNCTIONS, declared("returns: {data_type: double", "returns: {data_type: double, index: first"),
          "index", 7),
    Wrong("an activation of its own", FUNCTIONS,
          declared("returns: {data_type: double", "returns: {data_type: double, activation: tanh"), "'tanh'", 7),
    Wrong("a struct without fields", FUNCTIONS, declared("returns: {data_type: double", "returns: {data_type: struct"),
          "needs 'fields'", 7),
    Wrong("a field twice", FUNCTIONS, declared("returns: {data_type: double}", "returns:\n      data_type: struct\n      fields:\n"
          "        - {name: a, data_type: double}\n        - {name: A, data_type: double}"), "A", 11),
    Wrong("a batch of nothing", FUNCTIONS, YML + "    config: {batch_size: 0}\n", "batch_size", 8),
    Wrong("a batch of text", FUNCTIONS, YML + "    config: {batch_size: big}\n", "batch_size", 8),
    Wrong("a device that nobody has", FUNCTIONS, YML + "    config: {device: 'cuda:x'}\n", "'cuda:x'", 8),
    Wrong("a path with a NUL", FUNCTIONS, declared("path: score.onnx", 'path: "sc\\0re.onnx"'), "path", 3),
    Wrong("a path that is a URL", FUNCTIONS, declared("path: score.onnx", "path: 'http://169.254.169.254/m.onnx'"), "path", 3),
    Wrong("a tokenizer without an argument of text", FUNCTIONS,
          YML + "    tokenizer: {path: tok.json, argument: z}\n", "'z'", 8),
    Wrong("a tokenizer that cuts at nothing", FUNCTIONS,
          YML + "    tokenizer: {path: tok.json, argument: x, max_length: 0}\n", "max_length", 8),
    Wrong("an image of no size", FUNCTIONS, YML + "    image: {argument: x, size: 0}\n", "size", 8),
    Wrong("an image of giant size", FUNCTIONS, YML + "    image: {argument: x, size: 99999999}\n", "size", 8),
    Wrong("an image of three sides", FUNCTIONS, YML + "    image: {argument: x, size: [1, 2, 3]}\n", "size", 8),
    Wrong("an image whose deviation is zero", FUNCTIONS, YML + "    image: {argument: x, size: 8, std: [0, 1, 1]}\n", "std", 8),
]  # fmt: skip

PROPERTIES = [
    Wrong("models is a mapping", MODELS, "models: {scores: 1}\n", "models", 1),
    Wrong("a model without a name", MODELS, "models:\n  - description: x\n", "'name' is missing", 2),
    Wrong("a model that is not there", MODELS, "models:\n  - name: scors\n", "no model is named 'scors'", 2, "scores"),
    Wrong("a model twice", MODELS, "models:\n  - name: scores\n  - name: scores\n", "described twice", 3),
    Wrong("an unknown section", MODELS, "modells: []\n", "unknown key 'modells'", 1, "models"),
    Wrong("a column twice", MODELS, model("    columns: [{name: s}, {name: S}]"), "duplicate column 'S'", 3),
    Wrong("an unknown test", MODELS, model("    columns:\n      - name: s\n        data_tests: [not_nul]"),
          "unknown test 'not_nul'", 5, "not_null"),
    Wrong("a test with two names", MODELS, model("    columns:\n      - name: s\n        data_tests: [{unique: {}, not_null: {}}]"),
          "test", 5),
    Wrong("a test that is a number", MODELS, model("    columns:\n      - name: s\n        data_tests: [3]"), "test", 5),
    Wrong("a range of nothing", MODELS, model("    columns:\n      - name: s\n        data_tests: [accepted_range]"),
          "min_value", 5),
    Wrong("a severity of its own", MODELS, model("    columns:\n      - name: s\n        data_tests: [{unique: {severity: bad}}]"),
          "'bad' is not one of", 5),
    Wrong("a comparison that is SQL", MODELS,
          model("    columns:\n      - name: s\n        data_tests: [{unique: {error_if: '> 0; drop table customers'}}]"),
          "not a comparison", 5),
    Wrong("a relationship to nobody", MODELS,
          model("    columns:\n      - name: s\n        data_tests: [{relationships: {to: ref('nobody'), field: id}}]"),
          "unknown model or seed 'nobody'", 5),
    Wrong("a source twice", MODELS, "sources:\n  - {name: a, tables: [{name: t}, {name: t}]}\n", "t", 2),
]  # fmt: skip


def base(root: Path, files: Files) -> Path:
    write(root, {**FILES, **files})
    return root


@pytest.mark.parametrize("wrong", [*PLAIN, *PROFILE, *DECLARATIONS, *PROPERTIES],
                         ids=lambda wrong: f"{Path(wrong.file).stem}: {wrong.id}")  # fmt: skip
def test_a_mistake_in_yaml_is_named_at_its_line(wrong: Wrong, tmp_path: Path) -> None:
    base(tmp_path, {wrong.file: wrong.text})
    with pytest.raises(SqlinferError) as caught:
        load(tmp_path, env={"HOME": "/nowhere"})
    error = caught.value
    assert isinstance(error, wrong.kind)
    assert wrong.message in error.message
    assert error.location is not None
    assert error.location.path == tmp_path / wrong.file or "profile 'shop' is not in" in error.message
    if wrong.line is not None:
        assert error.location.line == wrong.line, str(error)
    if wrong.hint is not None:
        assert wrong.hint in (error.hint or "")
    assert len(str(error)) < 3_000


def link(name: str, to: str) -> Callable[[Path], object]:
    def make(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(to)

    return make


def outside(root: Path) -> None:
    folder = root.parent / "outside"
    folder.mkdir()
    (folder / "stolen.sql").write_text("select 1 as one")
    (root / "models" / "more").symlink_to(folder)


LINKS = [
    ("a model that is a link out", link("models/passwd.sql", "/etc/passwd"), "leaves the project"),
    ("a seed that is a link out", link("seeds/passwd.csv", "/etc/passwd"), "leaves the project"),
    ("a link to itself", link("models/loop.sql", "loop.sql"), "loop.sql"),
    ("a link to nowhere", link("models/gone.sql", "nowhere.sql"), "gone.sql"),
    ("a macro that is a link out", link("macros/passwd.sql", "/etc/passwd"), "leaves the project"),
    ("a test that is a link out", link("tests/passwd.sql", "/etc/passwd"), "leaves the project"),
    ("a yml that is a link out", link("models/passwd.yml", "/etc/passwd"), "leaves the project"),
    ("a function's yml that is a link out", link("functions/passwd.yml", "/etc/passwd"), "leaves the project"),
]


@pytest.mark.parametrize(("make", "message"), [case[1:] for case in LINKS], ids=[case[0] for case in LINKS])
def test_links_do_not_lead_out_of_the_project(make: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    root = base(tmp_path / "shop", {})
    make(root)
    with pytest.raises(SqlinferError, match=re.escape(message)):
        load(root, env={"HOME": "/nowhere"})


def test_a_pipe_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    import os

    root = base(tmp_path, {})
    os.mkfifo(root / "models" / "pipe.sql")
    with pytest.raises(ProjectError, match=r"pipe\.sql"):
        load(root, env={"HOME": "/nowhere"})


def test_a_byte_order_mark_and_windows_line_ends_are_no_mistake(tmp_path: Path) -> None:
    text = "\ufeff" + str(FILES[PROJECT]).replace("\n", "\r\n")
    assert load(base(tmp_path, {PROJECT: text}), env={}).name == "shop"


@pytest.mark.parametrize(
    ("given", "message"),
    [("3", "not a mapping"), ("[1]", "not a mapping"), ("{a: 1", "not valid YAML"), ("a: !!python/name:os", "not allowed"),
     ("a: 1\na: 2", "duplicate key"), ("text", "not a mapping"), ("\t a", "not valid YAML"),
     ("{a: &x [*x]}", "nested more than")],
)  # fmt: skip
def test_vars_that_are_no_mapping_are_refused(given: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SqlinferError, match=message) as caught:
        load(base(tmp_path, {}), vars=given, env={"HOME": "/nowhere"})
    assert "--vars" in caught.value.message


def test_a_profile_error_hides_the_password_beside_the_mistake(tmp_path: Path) -> None:
    line = "shop:\n  outputs:\n    default: {type: duckdb, password: hunter22, threads: none}\n"
    with pytest.raises(ProfileError) as caught:
        load(base(tmp_path, {PROFILES: line}), env={"HOME": "/nowhere"})
    assert "hunter22" not in str(caught.value)
    assert "password: *****" in str(caught.value)


def test_the_model_of_yesterday_still_loads(tmp_path: Path) -> None:
    assert SCORES in str(next(iter(load(base(tmp_path, {}), env={}).nodes.values())).path)
