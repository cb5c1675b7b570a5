"""Helpers without any term of this program's domain: files, names, images, logs.

- ``files``: atomic writes, and opening of regular files. ``safe_names``: keys and names of output files.
- ``archives``: reproducible zip and tar files. ``lock``: a lock file between processes.
- ``image_discovery``: the images below a directory. ``image_formats``: formats by their first bytes.
- ``image_validator``: checks one image; uses ``image_structure`` (JPEG and PNG without decoding),
  ``image_conversion`` (Pillow) and ``image_diagnosis`` (names files that are no image).
- ``logger``: logging without secrets. ``progress``: bar or lines. ``healthcheck``: pings for a monitor.
- ``json_encoding``: dataclasses as JSON. ``durations``: lengths of time as text.
- ``micro_batching``: small pieces of blocking work, in groups. ``background``: a task beside a block.
- ``interpreter``: settings of Python and the C library for threads.
"""
