"""The cache: found again without onnx, private to us, safe against others; the digest counts what changes results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from sqlinfer.errors import ArtifactError, FunctionError, UsageError
from sqlinfer.functions import device as devices
from sqlinfer.functions import prepare_all
from sqlinfer.functions.cache import FileHashes
from sqlinfer.functions.contained import _START
from sqlinfer.functions.describe import describe
from sqlinfer.project.functions import read_functions
from sqlinfer.project.jinja import Engine
from sqlinfer.project.values import FunctionConfig, ReturnField
from sqlinfer.spec.function import Argument
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.workshop import Workshop

AB = (("a", "DOUBLE"), ("b", "DOUBLE"))
DATA = ob.linear([1.0, 2.0])


@pytest.fixture
def config(shop: Workshop) -> FunctionConfig:
    return shop.declare(DATA, AB)


def test_a_warm_cache_gives_the_same_value(shop: Workshop, config: FunctionConfig) -> None:
    assert shop.prepare(config) == shop.prepare(config)


def test_a_warm_cache_imports_neither_onnx_nor_a_session(shop: Workshop, config: FunctionConfig) -> None:
    shop.prepare(config)
    code = (
        "import sys; from pathlib import Path; from sqlinfer.functions import prepare\n"
        "from sqlinfer.project.values import FunctionConfig, ReturnField\n"
        "from sqlinfer.spec.function import Argument; from sqlinfer.errors import Location\n"
        f"f = Path({str(shop.folder)!r})\n"
        "c = FunctionConfig(name='f', folder=f, location=Location(f / 'functions.yml', 3), path=f / 'f.onnx',\n"
        "    arguments=(Argument('a', 'DOUBLE'), Argument('b', 'DOUBLE')), returns=(ReturnField('value', 'DOUBLE'),))\n"
        f"p = prepare(c, cache_dir=Path({str(shop.cache)!r}))\n"
        "print(p.contract.digest, sorted({'onnx', 'onnxruntime', 'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [shop.prepare(config).contract.digest, "[]"]


def test_a_cold_cache_imports_no_session() -> None:
    code = "import sys; import sqlinfer.functions.build; print(sorted({'onnxruntime', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_prepared_graph_is_a_private_copy(shop: Workshop, config: FunctionConfig) -> None:
    prepared = shop.prepare(config)
    before = prepared.graph.read_bytes()
    shop.declare(ob.linear([5.0, 6.0]), AB)
    assert prepared.graph.read_bytes() == before
    assert prepared.graph.parent == shop.cache / prepared.contract.digest


def test_parts_that_change_no_result_come_fresh_without_another_digest(shop: Workshop, config: FunctionConfig) -> None:
    before = shop.prepare(config).contract
    after = shop.prepare(replace(config, description="new", batch_size=64, tags=("x",), max_error_rate=0.5)).contract
    assert after.digest == before.digest
    assert (after.description, after.batch_size, after.tags, after.max_error_rate) == ("new", 64, ("x",), 0.5)


@pytest.mark.parametrize(
    "edit",
    [
        {"arguments": (Argument("a", "REAL"), Argument("b", "DOUBLE"))},
        {"arguments": (Argument("a", "DOUBLE", on_null="nan"), Argument("b", "DOUBLE"))},
        {"arguments": (Argument("a", "DOUBLE", "default", 1.0), Argument("b", "DOUBLE"))},
        {"arguments": (Argument("a", "DOUBLE", on_cast_error="null"), Argument("b", "DOUBLE"))},
        {"on_invalid": "allow"},
        {"precision": "fp16"},
        {"device": "cuda"},
        {"returns": (ReturnField("value", "REAL"),)},
        {"returns": (ReturnField("value", "DOUBLE", activation="sigmoid"),)},
        {"inputs": {"features": ("b", "a")}},
    ],
)
def test_what_can_change_a_result_changes_the_digest(
    shop: Workshop, config: FunctionConfig, edit: dict[str, Any]
) -> None:
    assert shop.prepare(replace(config, **edit)).contract.digest != shop.prepare(config).contract.digest


def test_names_do_not_change_the_digest(shop: Workshop, config: FunctionConfig) -> None:
    renamed = replace(config, name="other", arguments=(Argument("p", "DOUBLE"), Argument("q", "DOUBLE")))
    prepared = shop.prepare(renamed)
    assert prepared.contract.digest == shop.prepare(config).contract.digest
    assert prepared.inputs[0].arguments == ("p", "q")


def test_a_re_export_with_other_comments_keeps_the_digest(shop: Workshop, config: FunctionConfig) -> None:
    before = shop.prepare(config).contract.digest
    model = onnx.load_model_from_string(DATA)
    model.producer_version, model.doc_string, model.graph.node[0].doc_string = "9", "exported today", "stack trace"
    assert shop.prepare(shop.declare(model.SerializeToString(), AB)).contract.digest == before


def test_another_file_is_another_function(shop: Workshop, config: FunctionConfig) -> None:
    before = shop.prepare(config).contract.digest
    assert shop.prepare(shop.declare(ob.linear([1.0, 2.5]), AB)).contract.digest != before


def test_a_damaged_or_deleted_cache_is_rebuilt(shop: Workshop, config: FunctionConfig) -> None:
    prepared = shop.prepare(config)
    prepared.graph.unlink()
    (prepared.folder / "contract.json").unlink()
    assert shop.prepare(config).graph.is_file()
    for entry in (shop.cache / "keys").iterdir():
        entry.write_text("{ half")
    (shop.cache / "external.json").write_bytes(b"\xff")
    assert shop.prepare(config) == prepared


def test_preparing_at_the_same_time_is_safe(shop: Workshop, config: FunctionConfig) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(shop.prepare(config).contract.digest)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert not list(shop.cache.glob(".tmp-*"))


def swapped(path: Path, data: bytes) -> None:
    """Other content, of the same length and with the same times."""
    before = path.stat()
    assert len(data) == before.st_size
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_a_file_is_known_by_its_content_not_by_its_size_and_times(shop: Workshop, config: FunctionConfig) -> None:
    file = shop.folder / "f.onnx"
    os.utime(file, ns=(10**18, 10**18))
    before = shop.prepare(config).contract.digest
    swapped(file, ob.linear([1.0, 3.0]))
    assert shop.prepare(config).contract.digest != before
    swapped(file, DATA)
    assert shop.prepare(config).contract.digest == before


def test_external_data_is_known_by_its_content(shop: Workshop) -> None:
    config = shop.declare(external(shop.folder), AB)
    before = shop.prepare(config).contract.digest
    data = shop.folder / "w.bin"
    swapped(data, np.array([5, 6], np.float32).tobytes())
    assert shop.prepare(config).contract.digest != before


def external(folder: Path) -> Path:
    """``DATA`` with its two weights in a file beside it."""
    model = onnx.load_model_from_string(DATA)
    weights = max(model.graph.initializer, key=lambda tensor: len(numpy_helper.to_array(tensor).ravel()))
    (folder / "w.bin").write_bytes(numpy_helper.to_array(weights).tobytes())
    for field in ("float_data", "raw_data"):
        weights.ClearField(field)
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="w.bin")
    (folder / "e.onnx").write_bytes(model.SerializeToString())
    return folder / "e.onnx"


def test_a_copy_is_of_the_file_that_was_hashed(tmp_path: Path) -> None:
    file = tmp_path / "f.pt"
    file.write_bytes(b"one")
    hashes = FileHashes(tmp_path / "own")
    (tmp_path / "own").mkdir()
    sha = hashes.of(file)
    assert hashes.copy(file, sha).read_bytes() == b"one"
    swapped(file, b"two")
    with pytest.raises(ArtifactError, match="changed while it was read"):
        hashes.copy(file, sha)


@pytest.mark.parametrize("part", ["bindings", "content", "files", "inputs", "digest"])
def test_a_record_that_was_edited_is_made_anew(part: str, shop: Workshop, config: FunctionConfig) -> None:
    prepared = shop.prepare(config)
    (entry,) = (shop.cache / "keys").iterdir()
    record = json.loads(entry.read_bytes())
    match part:
        case "bindings":
            record[part][0]["column"] = 7
        case "inputs":
            record[part][0]["arguments"].reverse()
        case "digest":
            record[part] = "0" * 64
        case _:
            record[part] = dict.fromkeys(record[part], "0" * 64)
    entry.write_text(json.dumps(record))
    assert shop.prepare(config) == prepared


def test_the_family_is_pinned_at_the_first_preparation(shop: Workshop, config: FunctionConfig) -> None:
    first = shop.prepare(config, resolve_family=lambda: "cuda").contract
    later = shop.prepare(config, resolve_family=lambda: "cpu").contract
    assert (first.device, later.device) == ("cuda", "cuda")
    assert later.digest == first.digest


def test_the_flag_overrides_the_pin_and_leaves_it(shop: Workshop, config: FunctionConfig) -> None:
    pinned = shop.prepare(config, resolve_family=lambda: "cuda").contract
    flagged = shop.prepare(config, device="cpu").contract
    assert flagged.device == "cpu"
    assert flagged.digest != pinned.digest
    assert shop.prepare(config).contract.digest == pinned.digest


def test_devices_of_one_family_share_a_digest(shop: Workshop, config: FunctionConfig) -> None:
    digests = {shop.prepare(config, device=d).contract.digest for d in ("cuda", "cuda:0", "cuda:1")}
    assert len(digests) == 1


def test_the_probe_is_asked_once(shop: Workshop, config: FunctionConfig) -> None:
    asked: list[int] = []

    def probe() -> str:
        asked.append(1)
        return "cpu"

    for _ in range(3):
        shop.prepare(config, resolve_family=probe)
    assert len(asked) == 1
    assert devices.cheap_probe() in ("cpu", "cuda")


def test_prepare_all_skips_the_disabled(shop: Workshop, config: FunctionConfig) -> None:
    off = replace(config, name="off", enabled=False, path=None)
    assert list(prepare_all([config, off], cache_dir=shop.cache)) == ["f"]


def test_no_artifact_and_an_unknown_source_are_errors(shop: Workshop) -> None:
    assert "names no artifact" in shop.refused(None).message
    assert "unknown source 'onnxx'" in shop.refused(DATA, source="onnxx").message
    assert not issubclass(FunctionError, UsageError)


def test_describe_shows_the_binding_and_the_strategy(shop: Workshop) -> None:
    arguments = (Argument("a", "DOUBLE", "default", 0), Argument("b", "INT"))
    shown = describe(shop.make(DATA, arguments, description="A score."))
    assert [(r.name, r.on_null, r.feeds) for r in shown.arguments] == [
        ("a", "default 0", "features[:, 0] float[N,2]"),
        ("b", "null", "features[:, 1] float[N,2]"),
    ]
    assert (shown.returns, shown.strategy, shown.device, shown.batch_size) == (
        "DOUBLE", "stream", "cpu", "measured at the first run",
    )  # fmt: skip
    assert "operations a row" in shown.strategy_reason


def test_describe_writes_the_yml_that_declares_the_same_function(shop: Workshop, tmp_path: Path) -> None:
    names = (Argument("Monthly €", "DOUBLE", "default", 0.5), Argument("yes", "INT", on_cast_error="null"))
    undeclared = shop.make(ob.classifier_zipmap(((1.0, -1.0), (0.5, 0.25))), names, ())
    text = f"functions:\n  - name: f\n    model: {{path: {shop.folder / 'f.onnx'}}}\n"
    text += "\n".join("    " + line for line in describe(undeclared).yml.splitlines())
    (tmp_path / "pasted.yml").write_text(text)
    (config,) = read_functions(tmp_path / "pasted.yml", Engine(), {}, "duckdb")
    pasted = shop.prepare(config)
    assert config.is_struct
    assert pasted.contract.arguments == names
    assert pasted.contract.digest == undeclared.contract.digest


def test_describe_keeps_the_post_processing_of_a_declaration(shop: Workshop) -> None:
    fields = (ReturnField("value", "DOUBLE", output="probabilities", key="Yes"),)
    shown = describe(shop.make(ob.classifier_zipmap(((1.0, -1.0), (0.5, 0.25))), AB, fields))
    assert [(row.name, row.comes_from) for row in shown.outputs] == [("value", "probabilities")]
    assert shown.yml.splitlines()[-1] == 'returns: {data_type: double, output: probabilities, key: "Yes"}'


def test_the_process_that_prepares_imports_no_reader_of_projects() -> None:
    """Each of them would be paid for by the first function that is prepared."""
    code = _START.replace("main(int(sys.argv[1]))", "") + (
        "heavy = {'yaml', 'jinja2', 'pydantic', 'sqlglot', 'duckdb', 'pyarrow', 'onnxruntime'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
