"""A small project on disk, whose files a test replaces one by one."""

from __future__ import annotations

from pathlib import Path

from sqlinfer.project import Project, load

BASE = {
    "sqlinfer_project.yml": "name: shop\nversion: '1.0'\nprofile: shop\nvars: {min_age: 18}\n",
    "profiles.yml": "shop:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: shop.duckdb}\n",
    "functions/churn.yml": """functions:
  - name: churn_score
    model: {path: churn.onnx}
    arguments:
      - {name: tenure, data_type: integer}
      - {name: charges, data_type: double}
    returns: {data_type: double}
""",
    "seeds/raw.csv": "id,tenure\n1,2\n",
    "models/staging/customers.sql": "select * from {{ ref('raw') }}\n",
    "models/scores.sql": "select id, predict('churn_score', tenure, 1.0) as s\nfrom {{ ref('customers') }}\n",
    "models/campaign.sql": "select * from {{ ref('scores') }} where s > 0.5\n",
}


def write(root: Path, files: dict[str, str | bytes | None] | None = None) -> Path:
    for name, text in {**BASE, **(files or {})}.items():
        if text is None:
            continue
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def loaded(root: Path, files: dict[str, str | bytes | None] | None = None, **options: object) -> Project:
    env = options.pop("env", {"HOME": str(root / "home")})
    return load(write(root, files), env=env, **options)  # type: ignore[arg-type]
