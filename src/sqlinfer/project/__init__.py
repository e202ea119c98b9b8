"""Files → Project: sqlinfer_project.yml, profiles, functions, models, seeds, macros, tests; graph; selectors."""

from sqlinfer.project.load import load, target_path
from sqlinfer.project.values import (
    ArgumentSource,
    ColumnInfo,
    DataTest,
    Freshness,
    FunctionConfig,
    ImageConfig,
    MacroFile,
    Node,
    NodeConfig,
    Profile,
    Project,
    ReturnField,
    Source,
    TokenizerConfig,
)

__all__ = [
    "ArgumentSource",
    "ColumnInfo",
    "DataTest",
    "Freshness",
    "FunctionConfig",
    "ImageConfig",
    "MacroFile",
    "Node",
    "NodeConfig",
    "Profile",
    "Project",
    "ReturnField",
    "Source",
    "TokenizerConfig",
    "load",
    "target_path",
]
