"""Table of the options of the model, which are sent only when given.

Source of the names and bounds: docs/api-facts.md, sections 2.1 and 4.3 (November 2026).
"""

from settings.option import Group, Option, integer_spec, number_spec
from settings.value_spec import ValueSpec, ValueType

_INT32 = 2**31 - 1

CATEGORIES = ("harassment", "hate_speech", "sexually_explicit", "dangerous_content", "civic_integrity")
THRESHOLDS = ("off", "block_none", "block_only_high", "block_medium_and_above", "block_low_and_above")


def _word(pattern: str, allowed: str) -> ValueSpec:
    return ValueSpec(type=ValueType.TEXT, pattern=pattern, allowed=allowed)


MODEL_OPTIONS = (
    Option(
        name="system_instruction", flag="--system-instruction", metavar="TEXT", group=Group.MODEL,
        spec=ValueSpec(type=ValueType.TEXT, allowed="a text of valid Unicode that is not empty"),
        variable="GEMINI_SYSTEM_INSTRUCTION", unset="none",
        help="what holds for every question, sent beside it; @FILE as for --prompt",
    ),
    Option(
        name="temperature", flag="--temperature", metavar="T", group=Group.MODEL,
        spec=number_spec(0, 2), variable="GEMINI_TEMPERATURE", unset="the model's",
        help="how freely words are drawn, 0 to 2; gemini-3.5-flash-lite and later ignore it",
    ),
    Option(
        name="top_p", flag="--top-p", metavar="P", group=Group.MODEL,
        spec=number_spec(0, 1), variable="GEMINI_TOP_P", unset="the model's",
        help="draw from the likeliest words up to this probability, 0 to 1; ignored like --temperature",
    ),
    Option(
        name="seed_model", flag="--seed-model", metavar="N", group=Group.MODEL,
        spec=integer_spec(-_INT32 - 1, _INT32), variable="GEMINI_SEED", unset="none",
        help="the model's random seed; the same one gives similar answers, not surely the same",
    ),
    Option(
        name="max_output_tokens", flag="--max-output-tokens", metavar="N", group=Group.MODEL,
        spec=integer_spec(1, 1_000_000), variable="GEMINI_MAX_OUTPUT_TOKENS", unset="the model's",
        help="longest answer, thoughts and pictures included; a longer one fails as truncated",
    ),
    Option(
        name="thinking_level", flag="--thinking-level", metavar="LEVEL", group=Group.MODEL,
        spec=_word("(?i)minimal|low|medium|high|xhigh", "minimal, low, medium, high or xhigh"),
        variable="GEMINI_THINKING_LEVEL", unset="the model's",
        help="minimal, low, medium, high or xhigh, as far as the model has it; thoughts are billed",
    ),
    Option(
        name="media_resolution", flag="--media-resolution", metavar="SIZE", group=Group.MODEL,
        spec=_word("(?i)low|medium|high|ultra_high", "low, medium, high or ultra_high"),
        variable="GEMINI_MEDIA_RESOLUTION", unset="the model's",
        help="tokens of an image: low 280, medium 560, high 1,120, ultra_high 2,240 with Gemini 3 and 4",
    ),
    Option(
        name="safety", flag="--safety", metavar="CATEGORY=THRESHOLD", group=Group.MODEL,
        spec=_word(
            r"(?i)(harm_category_)?[a-z_]+=[a-z_]+",
            f"CATEGORY=THRESHOLD, with a category of {', '.join(CATEGORIES)} and a threshold of "
            f"{', '.join(THRESHOLDS)}",
        ),
        variable="GEMINI_SAFETY", unset="the service's", is_repeatable=True,
        help="when the service blocks, such as harassment=block_none; repeatable",
    ),
    Option(
        name="aspect_ratio", flag="--aspect-ratio", metavar="RATIO|keep", group=Group.MODEL,
        spec=_word(r"(?i)[1-9]\d?:[1-9]\d?|keep", "a ratio such as 16:9, or keep"),
        variable="GEMINI_ASPECT_RATIO", unset="the model's",
        help="shape of generated pictures; keep takes for each the one nearest to its image's own",
    ),
    Option(
        name="image_size", flag="--image-size", metavar="SIZE", group=Group.MODEL,
        spec=_word(r"(?i)512|[1248]k", "512, 1K, 2K or 4K"),
        variable="GEMINI_IMAGE_SIZE", unset="the model's, mostly 1K",
        help="size of generated pictures: 512, 1K, 2K or 4K, as far as the model has it",
    ),
    Option(
        name="reference_image", flag="--reference-image", metavar="FILE", group=Group.MODEL,
        spec=ValueSpec(type=ValueType.PATH, allowed="an image that can be sent"), is_repeatable=True,
        unset="none",
        help="an image sent with each call, after the one in question; repeatable, billed each time",
    ),
    Option(
        name="model_catalogue", flag="--model-catalogue", metavar="FILE", group=Group.MODEL,
        spec=ValueSpec(type=ValueType.PATH, allowed="a path"), variable="GEMINI_MODEL_CATALOGUE",
        unset="the bundled one", help="TOML file with what is known of models, before the bundled one",
    ),
)  # fmt: skip
