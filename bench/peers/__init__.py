"""What do other programs do with the same images? One module for each, run in an environment of its own."""
