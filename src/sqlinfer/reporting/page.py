"""A report → one HTML file that needs nothing else: no network, no script of others, nothing that is not escaped."""

from __future__ import annotations

import base64
from hashlib import sha256

from sqlinfer.reporting import sections
from sqlinfer.reporting.data import Report
from sqlinfer.reporting.markup import text
from sqlinfer.reporting.nights import nights, tables
from sqlinfer.reporting.style import CSS, LIVE, OPENING

START = '<!doctype html><meta name="generator" content="sqlinfer report">'
"""By which a report is told from other files."""
_PARTS = (
    ("nights", "Last nights"), ("predictions", "Predictions"), ("slowest", "Slowest nodes"), ("graph", "Graph"),
    ("nodes", "Nodes and SQL"),
)  # fmt: skip


def render(report: Report, live: str | None = None) -> str:
    """
    Args:
        live: the version of what is shown, for a page that is served and asks for newer ones.
    """
    found, predicted = nights(report.records), tables(report)
    bodies = {
        "nights": sections.runs(found),
        "predictions": sections.predictions(report, predicted),
        "slowest": sections.slowest_nodes(report, found),
        "graph": sections.project_graph(report),
        "nodes": sections.nodes(report),
    }
    scripts = (OPENING,) if live is None else (OPENING, LIVE)
    version = "" if live is None else f' data-version="{text(live)}"'
    title = f"{text(report.project)}: report"
    made = f"{report.made_at:%Y-%m-%d %H:%M} UTC"
    return (
        f'{START}<html lang="en"{version}><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(scripts, live=live is not None)}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{title}</title><style>{CSS}</style></head><body>"
        '<a class="skip" href="#main">To the content</a>'
        f"<header><h1>{text(report.project)}</h1><p>target {text(report.target)}, {made}, sqlinfer "
        f"{text(report.version)}</p>"
        f'<nav aria-label="Parts">{"".join(_link(*part) for part in _PARTS)}</nav></header><main id="main">'
        f"{sections.tiles(report, found, predicted)}"
        f"{''.join(_part(name, head, bodies[name]) for name, head in _PARTS)}</main>"
        f"{''.join(f'<script>{one}</script>' for one in scripts)}</body></html>\n"
    )


def policy(scripts: tuple[str, ...], *, live: bool) -> str:
    """What the page may load: its own style and scripts, and where it is served, its version."""
    allowed = " ".join(map(_hash, scripts))
    connect = "'self'" if live else "'none'"
    return (
        f"default-src 'none'; style-src {_hash(CSS)}; script-src {allowed}; connect-src {connect}; base-uri 'none'; "
        "form-action 'none'"
    )


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}'"


def _link(name: str, head: str) -> str:
    return f'<a href="#{name}">{head}</a>'


def _part(name: str, head: str, body: str) -> str:
    return f'<section id="{name}" aria-labelledby="h-{name}"><h2 id="h-{name}">{head}</h2>{body}</section>'
