"""Decides which images are asked about again with other words, with which words, and when to stop."""
