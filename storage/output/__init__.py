"""What the output directory looks like, and how it is written and trusted."""
