"""What is asked of a sky and how the answer is judged; a task names its scores and baselines."""
