"""Put on PYTHONPATH of a real run: counts the rows of every kernel run, and lets chosen rows misbehave in native code.

``SQLINFER_TEST_COUNT``   a file that gets one line ``input rows`` per run of a graph, also of runs that are then killed
``SQLINFER_TEST_POISON``  ``value:action`` pairs: a run whose first input holds the value does ``segv``, ``hang``,
                          ``memory`` or ``kill`` (as the kernel's OOM killer would)
"""

from __future__ import annotations

import ctypes
import importlib.abc
import importlib.util
import os
import signal
import sys
import time

MODULE = "sqlinfer.inference.ort_kernel"
COUNT = os.environ.get("SQLINFER_TEST_COUNT")
POISON = {
    float(value): action
    for value, _, action in (pair.partition(":") for pair in os.environ.get("SQLINFER_TEST_POISON", "").split(","))
    if value
}


class Hook(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        self.spec = importlib.util.find_spec(name)
        self.loader = self.spec.loader
        self.spec.loader = self
        return self.spec

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        plain = module.OrtKernel.run

        def run(kernel, feeds):
            name, first = next(iter(feeds.items()))
            if COUNT:
                note(f"{name} {len(first)}\n")
            for value, action in POISON.items():
                if (first == value).any():
                    misbehave(action)
            return plain(kernel, feeds)

        module.OrtKernel.run = run


def note(line: str) -> None:
    handle = os.open(COUNT, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, line.encode())
    os.close(handle)


def misbehave(action: str) -> None:
    if action == "segv":
        ctypes.string_at(0)
    elif action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "hang":
        while True:
            time.sleep(1)
    elif action == "memory":
        held = []
        while True:
            held.append(b"x" * (64 << 20))


if COUNT or POISON:
    sys.meta_path.insert(0, Hook())
