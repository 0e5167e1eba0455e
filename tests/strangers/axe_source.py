"""Prints axe, which finds what keeps people from using a page, for a browser to run."""

import importlib.util
import pathlib

folder = pathlib.Path(importlib.util.find_spec("axe_core_python").origin).parent
print((folder / "axe.min.js").read_text(encoding="utf-8"))
