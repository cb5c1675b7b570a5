"""Table of the options that select files of the input directory."""

from settings.option import Group, Option, duration_spec, integer_spec
from settings.value_spec import ValueSpec, ValueType

_PATTERN = ValueSpec(type=ValueType.TEXT, allowed="a pattern as in a .gitignore, such as '*.jpg' or holiday/")
_MOST = 1_000_000_000

FILE_OPTIONS = (
    Option(
        name="include", flag="--include", metavar="PATTERN", group=Group.FILES, spec=_PATTERN,
        variable="INCLUDE_PATTERNS", is_repeatable=True, unset="all",
        help="only files that a pattern matches, as in a .gitignore; repeatable",
    ),
    Option(
        name="exclude", flag="--exclude", metavar="PATTERN", group=Group.FILES, spec=_PATTERN,
        variable="EXCLUDE_PATTERNS", is_repeatable=True, unset="none",
        help="no file that a pattern matches; repeatable",
    ),
    Option(
        name="newer_than_s", flag="--newer-than", metavar="DURATION", group=Group.FILES,
        spec=duration_spec(1, 3_155_760_000, "from 1s to 36525d"), variable="NEWER_THAN", unset="any age",
        help="only files that were changed so short a time ago, such as 2d",
    ),
    Option(
        name="input_list", flag="--input-list", metavar="FILE|-", group=Group.FILES,
        spec=ValueSpec(type=ValueType.TEXT, allowed="a file, or - for the standard input"),
        unset="all",
        help="only files that this list names, one path a line; - reads the standard input",
    ),
    Option(
        name="null_separated", flag="--null", group=Group.FILES,
        spec=ValueSpec(type=ValueType.BOOLEAN, allowed="true or false"), default=False, unset="off",
        help="also -0: the paths of the list end with a NUL byte, as find -print0 writes them",
    ),
    Option(
        name="sample", flag="--sample", metavar="N", group=Group.FILES, spec=integer_spec(1, _MOST),
        unset="all",
        help="only so many, spread over folders, formats and sizes",
    ),
    Option(
        name="seed", flag="--seed", metavar="N", group=Group.FILES, spec=integer_spec(0, _MOST),
        default=0, help="another number draws another sample",
    ),
    Option(
        name="limit", flag="--limit", metavar="N", group=Group.FILES, spec=integer_spec(1, _MOST),
        unset="all", help="only the first N, answered ones counted",
    ),
)  # fmt: skip
