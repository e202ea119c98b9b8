"""The rewrites below the model, one a file; each is a pure function from query to query.

Their order stands only here:

inline_ctes   first, so that the other rules see derived tables
prune         unused columns and with them unused calls vanish
merge         select-project-filter tables with calls dissolve into the query around them: its filters, joins, limits
              and guards then stand below the model
weaken        conditions with calls leave below what they imply without them; after merge, which brings them together,
              before push_filters, which carries them further down
push_filters  what could not be merged gets the filters that its rows must pass anyway
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from sqlinfer.compiler.rules.inline_ctes import inline_ctes
from sqlinfer.compiler.rules.merge import merge
from sqlinfer.compiler.rules.prune import prune
from sqlinfer.compiler.rules.push_filters import push_filters
from sqlinfer.compiler.rules.weaken import weaken

RULES: tuple[Callable[[exp.Query], exp.Query], ...] = (prune, inline_ctes, merge, weaken, push_filters)
