"""Files whose format can run code when it is read are used only where the declaration names their sha256."""

from __future__ import annotations

from pathlib import Path

from sqlinfer.errors import ArtifactError
from sqlinfer.project.values import FunctionConfig


def require_trust(config: FunctionConfig, path: Path, sha256: str) -> None:
    """Raise unless ``trust:`` names exactly this content.

    Raises:
        ArtifactError: no ``trust:``, or another sha256.
    """
    if config.trust is None:
        raise ArtifactError(
            f"{path} is a {path.suffix} file, which can run code when it is read; it is not loaded",
            hint=f"use safetensors, skops or ONNX; or, if you made this file, add 'trust: sha256:{sha256}'",
        )
    if config.trust.removeprefix("sha256:").strip().casefold() != sha256:
        raise ArtifactError(
            f"{path} is not the file that 'trust:' names: its sha256 is {sha256}",
            hint="somebody replaced it; check where it comes from before you change 'trust:'",
        )
