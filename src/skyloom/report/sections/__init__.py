"""The sections of the page, each made from the artefacts of a run by one function."""
