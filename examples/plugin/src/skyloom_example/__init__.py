"""An example of a Skyloom plugin: a format, a network and a task."""
