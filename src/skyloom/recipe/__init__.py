"""The experiment as data: one YAML file that names source, split, task, method and all settings.

`load` reads a file or a template, applies ``--set`` changes, checks everything and writes out every
default. What is wrong is told with file and line, what was allowed, and the nearest spelling.
"""

from skyloom.recipe.editor import EDITOR_LINE, SCHEMA_FILE, json_schema
from skyloom.recipe.load import load, template_text, templates
from skyloom.recipe.parts import Balance, Data, Evaluate, Maps, Train
from skyloom.recipe.schema import Recipe

__all__ = [
    "EDITOR_LINE",
    "SCHEMA_FILE",
    "Balance",
    "Data",
    "Evaluate",
    "Maps",
    "Recipe",
    "Train",
    "json_schema",
    "load",
    "template_text",
    "templates",
]
