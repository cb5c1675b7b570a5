"""Peers: other programs with the same images, one module for each, run in an environment of its own."""
