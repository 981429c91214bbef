"""From the artefacts of a run to figures and one HTML page. Reads only the run folder, imports no torch."""

from skyloom.report.build import build

__all__ = ["build"]
