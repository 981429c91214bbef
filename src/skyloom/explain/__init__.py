"""What a trained network looks at: gradients, interventions on the maps, and a check of the explanations.

Each class has ``explain(method, maps, target, *, generator, context) -> xarray.Dataset``;
``attrs["summary"]`` of the result is JSON with the numbers that a report quotes.
"""

from skyloom.explain.context import Context, Explanation, Score

__all__ = ["Context", "Explanation", "Score"]
