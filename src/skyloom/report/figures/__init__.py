"""Figure functions: each takes data and an axes, draws, and returns the axes. They read no files."""
