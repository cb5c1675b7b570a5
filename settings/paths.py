"""Paths of a run: what may stand where directories and files are named."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from settings.sources import Sources


def read_input_dir(values: Mapping[str, Any], sources: "Sources") -> Path:
    """Return the directory of the images, which can be read."""
    path = Path(values["input_dir"])
    try:
        os.scandir(path).close()
    except OSError as error:
        raise sources.build_error("input_dir", f"a directory that can be read ({error.strerror})") from error
    return path


def read_output_dir(values: Mapping[str, Any], sources: "Sources") -> Path:
    """Return the directory for the results, which is there or can be made."""
    path = Path(values["output_dir"])
    if not _can_be_directory(path):
        raise sources.build_error("output_dir", "a directory, or a path where one can be made")
    if path.exists() and path.samefile(values["input_dir"]):
        raise sources.build_error("output_dir", "another directory than --input-dir")
    return path


def read_state_dir(values: Mapping[str, Any], sources: "Sources") -> Path | None:
    """Return the directory for what is remembered; None for the user's own."""
    path: Path | None = values["state_dir"]
    if path and not _can_be_directory(path):
        raise sources.build_error("state_dir", "a directory, or a path where one can be made")
    return path


def read_log_file(values: Mapping[str, Any], sources: "Sources") -> Path | None:
    """Return the path of the log file; None if there is none."""
    if values["log_file"] is None:
        return None
    path = Path(values["log_file"])
    if is_too_long(path) or path.is_dir() or not _can_be_directory(path.parent):
        raise sources.build_error("log_file", "a file, or a path where one can be made")
    return path


def is_too_long(path: Path) -> bool:
    """Return whether no file system can have a file of this name."""
    try:
        path.lstat()
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


def _can_be_directory(path: Path) -> bool:
    """Return whether ``path``, or the nearest thing above it that exists, is a directory."""
    try:
        return next(one for one in (path, *path.parents) if one.is_symlink() or one.exists()).is_dir()
    except OSError:
        return False
