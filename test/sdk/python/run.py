"""Runs one scenario: run.py MODULE FUNCTION."""

import asyncio
import importlib
import inspect
import sys

if __name__ == "__main__":
    module, name = sys.argv[1:]
    scenario = getattr(importlib.import_module(f"scenarios.{module}"), name)
    if inspect.iscoroutinefunction(scenario):
        asyncio.run(scenario())
    else:
        scenario()
