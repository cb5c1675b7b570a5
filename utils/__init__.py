"""Helpers that know no word of this domain: files, names, images, logs."""
