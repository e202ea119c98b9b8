"""Plan → NodeResult → RunResult: stages, store, streams, audits, publication. Emits events, prints nothing."""
