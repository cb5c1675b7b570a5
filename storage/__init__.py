"""Everything on disk that a later run needs: the journal and the output tree."""
