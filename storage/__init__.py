"""Everything on disk that a later run needs.

journal/    what is known of each image, in one SQLite file
output/     the output directory: results, ledger, history
"""
