"""Helpers without any term of this program's domain: files, names, images, logs.

- ``files``: atomic writes, and opening of regular files. ``safe_names``: keys and names of output files.
- ``archives``: reproducible zip and tar files. ``lock``: a lock file between processes.
- ``image_discovery``: the images below a directory. ``image_formats``: formats by their first bytes.
- ``image_validator``: checks one image; uses ``image_structure`` (JPEG and PNG without decoding),
  ``image_upload`` (what is sent) and ``image_diagnosis`` (names files that are no image).
- ``image_conversion``, ``image_decoding``, ``image_heads``, ``image_brightness``: all that needs Pillow.
- ``jpeg_completion``: missing end marks. ``tiff_structure``, ``tiff_samples``: TIFFs beyond Pillow.
- ``logger``: logging without secrets. ``progress``: bar or lines. ``healthcheck``: pings for a monitor.
- ``json_encoding``: dataclasses as JSON. ``durations``: lengths of time as text.
- ``micro_batching``: small pieces of blocking work, in groups. ``background``: a task beside a block.
- ``interpreter``: settings of Python and the C library for threads. ``threads``: a pool that makes do with
  fewer. ``memory``: what may still be taken.
"""
