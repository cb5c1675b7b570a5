"""Talks to the model: the live service in ``client``, a stand-in for dry runs in ``simulated``.

``answers`` and ``refusals`` say what a reply means. Importing any of them does not import the SDK.
"""
