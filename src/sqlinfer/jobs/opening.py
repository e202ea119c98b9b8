"""How a night opens the session of a function. It can be pickled: another machine opens it its own way."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlinfer import inference
from sqlinfer.jobs.warm import WarmSessions
from sqlinfer.spec.function import PreparedFunction
from sqlinfer.spec.session import Session


@dataclass(frozen=True, slots=True)
class Opening:
    """A ``spec.session.SessionFactory``."""

    isolation: Mapping[str, str] = field(default_factory=dict)
    """Function → ``thread`` or ``process``, where it is declared."""
    careful: bool = False
    """In worker processes, unless that was ruled out."""
    threads: int | None = None
    """None: as many as this process may use."""
    cache_dir: Path | None = None
    """Where measurements and rewritten graphs are kept; None: beside the function's folder."""
    devices: dict[str, str] = field(default_factory=dict)
    """Digest → the device that it was opened on."""
    warm: WarmSessions | None = None

    def __call__(self, prepared: PreparedFunction) -> AbstractContextManager[Session]:
        if self.warm is not None and not self.careful:
            return self.warm.lend(prepared, lambda: self._opened(prepared))
        return self._opened(prepared)

    def __reduce__(self) -> tuple[Any, ...]:
        """What belongs to this process and this machine stays here."""
        return Opening, (dict(self.isolation), self.careful)

    def _opened(self, prepared: PreparedFunction) -> AbstractContextManager[Session]:
        declared = self.isolation.get(prepared.contract.name, "auto")
        isolated = declared == "process" or (self.careful and declared != "thread")
        how: dict[str, Any] = {"threads": self.threads, "cache_dir": self.cache_dir or prepared.folder.parent}
        opened = (inference.open_isolated if isolated else inference.open_session)(prepared, **how)
        self.devices[prepared.contract.digest] = str(getattr(opened, "device", prepared.contract.device))
        return opened
