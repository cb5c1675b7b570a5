"""The table of all options, in the order of ``--help``."""

from settings.file_options import FILE_OPTIONS
from settings.model_options import MODEL_OPTIONS
from settings.option import Group, Option, duration_spec, integer_spec, number_spec
from settings.value_spec import ValueSpec, ValueType

_MIN_TOKENS = 1_000
"""A minute; less would not let a single image with a longer prompt through."""

_BOOLEAN = ValueSpec(type=ValueType.BOOLEAN, allowed="true or false (or yes/no, on/off, 1/0)")
_PATH = ValueSpec(type=ValueType.PATH, allowed="a path")
_MODEL = ValueSpec(
    type=ValueType.TEXT,
    pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$",
    allowed="a model's name such as gemini-3.5-flash-lite",
)
_URL = ValueSpec(
    type=ValueType.TEXT,
    is_secret=True,
    allowed="an http:// or https:// address with a host and without user, password, query or fragment",
)
_PING = ValueSpec(type=ValueType.TEXT, is_secret=True, allowed="an http:// or https:// address with a host")
_FAIL_ON = ValueSpec(
    type=ValueType.TEXT,
    pattern=r"^(any|none|[1-9]\d{0,8}|(\d{1,2}(\.\d+)?|100(\.0+)?)%)$",
    allowed="any, none, a number or a percentage up to 100%",
)
_TIME_OF_DAY = ValueSpec(type=ValueType.TIME_OF_DAY, allowed="a time of day from 00:00 to 23:59")
_MONEY = ValueSpec(
    type=ValueType.MONEY,
    low=0.01,
    high=1_000_000,
    allowed="a sum of US dollars from 0.01 to 1000000, such as 2.50",
)
_KEY = ValueSpec(
    type=ValueType.SECRET,
    is_secret=True,
    allowed="one word of printable ASCII characters without quotes, as Google issued it",
)


OPTIONS = (
    Option(
        name="input_dir", flag="--input-dir", metavar="DIR", group=Group.INPUT, is_required=True, spec=_PATH,
        help="directory with images, walked recursively",
    ),
    Option(
        name="prompt", flag="--prompt", metavar="TEXT", group=Group.INPUT, is_required=True,
        spec=ValueSpec(type=ValueType.TEXT, allowed="a text of valid Unicode that is not empty"),
        help="what to ask for every image; @FILE reads it from a UTF-8 file, @@ stands for a leading @",
    ),
    Option(
        name="job", flag="--job", metavar="FILE", group=Group.INPUT, spec=_PATH, unset="none",
        help="TOML file that holds what the flags can say; flags go before it",
    ),
    *FILE_OPTIONS,
    Option(
        name="retry_failed", flag="--retry-failed", group=Group.SELECTION, spec=_BOOLEAN,
        default=False, unset="off",
        help="also those that failed for good; an image that has an answer, of whatever settings, is left",
    ),
    Option(
        name="only", flag="--only", metavar="CLASS[,CLASS]", group=Group.SELECTION,
        spec=ValueSpec(type=ValueType.TEXT, allowed="classes of failure, with commas between them"),
        help="nothing but those whose last outcome has one of these classes, such as timeout,blocked",
    ),
    Option(
        name="force", flag="--force", group=Group.SELECTION, spec=_BOOLEAN, default=False, unset="off",
        help="all, answered or not; earlier answers move to metadata/history",
    ),
    Option(
        name="keep_answers", flag="--keep-answers", group=Group.SELECTION, spec=_BOOLEAN,
        variable="KEEP_ANSWERS", default=False, unset="off",
        help="none that has an answer, also to another prompt or from another model",
    ),
    Option(
        name="output_dir", flag="--output-dir", metavar="DIR", group=Group.OUTPUT, spec=_PATH,
        variable="OUTPUT_DIR", default="./output", help="where results go",
    ),
    Option(
        name="expect_output", flag="--expect-output", group=Group.OUTPUT, spec=_BOOLEAN,
        variable="EXPECT_OUTPUT", default=False, unset="off",
        help="end with 6 when the output directory holds nothing of an earlier run (a share not mounted)",
    ),
    Option(
        name="new_output", flag="--new-output", group=Group.OUTPUT, spec=_BOOLEAN, default=False, unset="off",
        help="begin anew in an output directory that has lost the answers it had",
    ),
    Option(
        name="archive_format", flag="--archive-format", metavar="FORMAT", group=Group.OUTPUT,
        spec=ValueSpec(type=ValueType.ARCHIVE_FORMAT, allowed="zip, tar or none"),
        variable="ARCHIVE_FORMAT", default="none",
        help="also pack the results into one file: zip, tar (archive.tar.gz) or none",
    ),
    Option(
        name="model", flag="--model", metavar="NAME", group=Group.CALLS, spec=_MODEL,
        variable="GEMINI_MODEL", default="gemini-3.5-flash-lite", help="Gemini model",
    ),
    Option(
        name="max_concurrent", flag="--max-concurrent", metavar="N", group=Group.CALLS,
        spec=integer_spec(1, 1000), variable="MAX_CONCURRENT_REQUESTS", default=5,
        help="most requests in flight, 1 to 1000",
    ),
    Option(
        name="max_retries", flag="--max-retries", metavar="N", group=Group.CALLS, spec=integer_spec(0, 100),
        variable="MAX_RETRIES", default=5,
        help="most retries per image, all transient errors together, 0 to 100",
    ),
    Option(
        name="timeout_s", flag="--timeout", metavar="DURATION", group=Group.CALLS,
        spec=duration_spec(1, 3600, "from 1s to 1h"), variable="REQUEST_TIMEOUT", default="180s",
        help="for one call's first try, at most 1h and at least 10s against Google's own host",
    ),
    Option(
        name="max_timeout_s", flag="--max-timeout", metavar="DURATION", group=Group.CALLS,
        spec=duration_spec(1, 3600, "from 1s to 1h"), variable="MAX_REQUEST_TIMEOUT", default="10m",
        help="a timed-out call's next try gets 1.6 times its time, up to this or, if longer, --timeout",
    ),
    Option(
        name="outage_patience_s", flag="--outage-patience", metavar="DURATION", group=Group.CALLS,
        spec=duration_spec(1, 604_800, "from 1s to 7d"), variable="OUTAGE_PATIENCE", default="15m",
        help="end when the service was down and no call succeeded for so long",
    ),
    Option(
        name="max_wait_s", flag="--max-wait", metavar="DURATION", group=Group.CALLS,
        spec=duration_spec(1, 604_800, "from 1s to 7d"), variable="MAX_WAIT", default="15m",
        help="end with 75 when the service asks for a longer wait than this",
    ),
    Option(
        name="rpm", flag="--rpm", metavar="N", group=Group.CALLS, spec=number_spec(0.01, 100_000, "requests"),
        variable="REQUESTS_PER_MINUTE", unset="learned",
        help="hard ceiling, never more requests in any 60 s; without it the limit is learned on the way",
    ),
    Option(
        name="max_image_size", flag="--max-image-size", metavar="PIXELS", group=Group.CALLS,
        spec=integer_spec(64, 65_500), variable="MAX_IMAGE_SIZE", unset="as they are",
        help="downscale images whose longer side has more pixels before sending, 64 to 65500",
    ),
    Option(
        name="strip_metadata", flag="--strip-metadata", group=Group.CALLS, spec=_BOOLEAN,
        variable="STRIP_METADATA", default=False, unset="off",
        help="send images without EXIF data (place, serial numbers), texts and the like; the pixels stay",
    ),
    Option(
        name="tpm", flag="--tpm", metavar="N", group=Group.CALLS,
        spec=integer_spec(_MIN_TOKENS, 1_000_000_000), variable="TOKENS_PER_MINUTE", unset="learned",
        help="the same for input tokens: never more in any 60 s",
    ),
    Option(
        name="max_requests", flag="--max-requests", metavar="N", group=Group.CALLS,
        spec=integer_spec(1, 1_000_000_000), variable="MAX_REQUESTS", unset="no cap",
        help="end before there were more calls than this in the run, retries counted",
    ),
    Option(
        name="max_cost", flag="--max-cost", metavar="USD", group=Group.CALLS, spec=_MONEY,
        variable="MAX_COST", unset="no cap",
        help="end before the run's calls cost more US dollars than this, by list prices",
    ),
    *MODEL_OPTIONS,
    Option(
        name="state_dir", flag="--state-dir", metavar="DIR", group=Group.CALLS, spec=_PATH,
        variable="GEMINI_BATCH_STATE_DIR", unset="the user's state directory",
        help="where learned limits are kept for the next run, and shared by runs on the same key",
    ),
    Option(
        name="enable_prompt_optimization", flag="--enable-prompt-optimization", group=Group.CALLS,
        spec=_BOOLEAN, variable="ENABLE_PROMPT_OPTIMIZATION", default=False, unset="off",
        help="repair the prompt for images that keep failing",
    ),
    Option(
        name="prompt_edits", flag="--prompt-edits", metavar="FILE", group=Group.CALLS, spec=_PATH,
        variable="PROMPT_EDITS", unset="the bundled ones",
        help="TOML file with edits for repairing prompts, beside or instead of the bundled ones",
    ),
    Option(
        name="prompt_keep", flag="--prompt-keep", metavar="WORDS[,WORDS]", group=Group.CALLS,
        spec=ValueSpec(type=ValueType.TEXT, allowed="words of the prompt, with commas between them"),
        variable="PROMPT_KEEP", unset="none",
        help="words of the prompt that stand in every repaired prompt too",
    ),
    Option(
        name="max_prompt_edits", flag="--max-prompt-edits", metavar="N", group=Group.CALLS,
        spec=integer_spec(0, 10), variable="MAX_PROMPT_EDITS", default=4,
        help="most repaired prompts tried on one image, 0 to 10",
    ),
    Option(
        name="optimizer_model", flag="--optimizer-model", metavar="NAME", group=Group.CALLS, spec=_MODEL,
        variable="OPTIMIZER_MODEL", unset="off",
        help="let this Gemini model propose repaired prompts, too; needs --enable-prompt-optimization",
    ),
    Option(
        name="optimizer_max_cost", flag="--optimizer-max-cost", metavar="USD", group=Group.CALLS,
        spec=_MONEY, variable="OPTIMIZER_MAX_COST", default="0.25",
        help="ask that model no more before it cost more US dollars than this in the run; 8 calls at most",
    ),
    Option(
        name="api_base_url", flag="--api-base-url", metavar="URL", group=Group.CALLS, spec=_URL,
        variable="GEMINI_API_BASE_URL", help="another endpoint: a gateway, a proxy", unset="Google's",
    ),
    Option(
        name="fail_on", flag="--fail-on", metavar="WHEN", group=Group.UNATTENDED, spec=_FAIL_ON,
        variable="FAIL_ON", default="any",
        help="exit code 3 when any image failed, never (none), from N images or from P% of them on",
    ),
    Option(
        name="deadline", flag="--deadline", metavar="HH:MM", group=Group.UNATTENDED, spec=_TIME_OF_DAY,
        variable="DEADLINE", unset="none",
        help="no new call from the next time the local clock shows this; calls in flight still finish",
    ),
    Option(
        name="max_duration_s", flag="--max-duration", metavar="DURATION", group=Group.UNATTENDED,
        spec=duration_spec(1, 2_678_400, "from 1s to 31d"), variable="MAX_DURATION", unset="no cap",
        help="the same so long after the start, the wait for a lock counted; the earlier one holds",
    ),
    Option(
        name="grace_s", flag="--grace", metavar="DURATION", group=Group.UNATTENDED,
        spec=duration_spec(0, 3600, "from 0s to 1h"), variable="GRACE", default="30s",
        help="how long calls in flight may go on after Ctrl-C or SIGTERM",
    ),
    Option(
        name="wait_lock_s", flag="--wait-lock", metavar="DURATION", group=Group.UNATTENDED,
        spec=duration_spec(0, 604_800, "from 0s to 7d"), variable="WAIT_LOCK", default="0s",
        help="how long to wait while another run holds the output directory",
    ),
    Option(
        name="no_lock", flag="--no-lock", group=Group.UNATTENDED, spec=_BOOLEAN, variable="NO_LOCK",
        default=False, unset="off",
        help="let a second run into the output directory: two at once pay for the same images twice",
    ),
    Option(
        name="ping_url", flag="--ping", metavar="URL", group=Group.UNATTENDED, spec=_PING,
        variable="PING_URL", help="dead-man's switch to tell of start, success and failure",
    ),
    Option(
        name="log_level", group=Group.LOGGING,
        spec=ValueSpec(type=ValueType.VERBOSITY, allowed="quiet, normal or verbose"),
        variable="LOG_LEVEL", default="normal",
    ),
    Option(
        name="log_file", flag="--log-file", metavar="FILE", group=Group.LOGGING, spec=_PATH,
        variable="LOG_FILE", help="also append what happens to this file, with times in UTC",
    ),
    Option(
        name="log_json", flag="--log-json", group=Group.LOGGING, spec=_BOOLEAN, variable="LOG_JSON",
        default=False, unset="off", help="one JSON object a line, in the log file if there is one",
    ),
    Option(
        name="dry_run", flag="--dry-run", group=Group.OTHER, spec=_BOOLEAN,
        variable="DRY_RUN", default=False, unset="off",
        help="the whole pipeline without any API call; needs no key",
    ),
    Option(name="gemini_api_key", spec=_KEY, variable="GEMINI_API_KEY"),
    Option(name="google_api_key", spec=_KEY, variable="GOOGLE_API_KEY"),
)  # fmt: skip
