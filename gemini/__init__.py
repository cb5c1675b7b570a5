"""Talks to the model: the live service in ``client``, a stand-in for dry runs in ``simulated``."""
