"""An example's modules, imported from its folders and forgotten again: their names are too common to stay."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace


@contextmanager
def imported(names: tuple[str, ...], *folders: Path) -> Iterator[SimpleNamespace]:
    """``names`` as attributes; ``sys.path`` and ``sys.modules`` are afterwards as they were before."""
    path, before = list(sys.path), {name: sys.modules.pop(name, None) for name in names}
    sys.path[:0] = [str(folder) for folder in folders]
    modules: dict[str, ModuleType] = {name: importlib.import_module(name) for name in names}
    yield SimpleNamespace(**modules)
    sys.path[:] = path
    for name, module in before.items():
        del sys.modules[name]
        if module is not None:
            sys.modules[name] = module
