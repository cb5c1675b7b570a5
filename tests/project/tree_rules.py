"""The tables of the architecture: files, packages, the dependency rule, the place of each library.

Why they are so: docs/adr/0001-the-tree.md. ``test_architecture`` holds them against the code,
``dependency_picture`` draws them, ``house`` counts.
"""

NOT_THE_PROGRAM = {"tests", "examples", "bench", "docs", "build", "output"}
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 40


ROOT_FILES = {
    "main.py",
    "config.py",
    "processor.py",
    "retry_handler.py",
    "prompt_optimizer.py",
    "archiver.py",
    "errors.py",
    "models.py",
    "__main__.py",
}

EVERYTHING = "everything"

# Which names at the root may be imported by which: the dependency rule of docs/adr/0001. A package stands
# for all of its modules. "everything" is all that stands above the row.
TABLE = {
    "errors": "",
    "utils": "",
    "models": "errors",
    "settings": "errors utils",
    "retry_handler": "errors",
    "rate_limit": "errors",
    "costs": "errors models",
    "prompts": "errors models",
    "gemini": "errors models utils",
    "processing": "errors models utils",
    "prompt_optimizer": "prompts errors models",
    "processor": "processing retry_handler errors models utils",
    "reports": "costs prompts rate_limit settings errors models utils",
    "storage": "prompts reports errors models utils",
    "archiver": "storage errors models utils",
    "config": "settings prompts gemini errors",
    "app": EVERYTHING,
    "main": "app config errors utils",
    "__main__": "main",
}

# What each package is for: where a new file belongs.
PURPOSE = {
    "app": "one run from plan to report; the only place that knows every part",
    "processing": "what happens to one image",
    "prompts": "decisions about prompts",
    "rate_limit": "when the next request may start",
    "costs": "budgets, prices, token estimates",
    "gemini": "all that knows Google's API",
    "storage": "everything on disk that a later run needs",
    "reports": "texts and documents; no input or output",
    "settings": "options, their sources, the argument parser",
    "utils": "helpers that know no word of this domain",
}

# Where each foreign library, and each part of the standard library that reaches the world, may be named.
ONLY_IN = {
    "google": {"gemini"},
    "aiohttp": {"gemini"},
    "certifi": {"gemini.route"},
    "yarl": {"gemini.route"},
    "tenacity": {"retry_handler"},
    "dotenv": {"settings.sources"},
    "PIL": {
        "utils.image_conversion",
        "utils.image_decoding",
        "utils.image_heads",
        "utils.image_brightness",
        "utils.tiff_samples",
    },
    "pillow_heif": {"utils.image_decoding"},
    "tqdm": {"utils.progress"},
    "sqlite3": {"storage.journal", "rate_limit.shared"},
    "pathspec": {"app.input_selection"},
    "platformdirs": {"rate_limit.shared.scope"},
    "genai_prices": {"costs.pricing"},
    "argparse": {"settings.argument_parser"},
    "signal": {"main", "app.signals", "utils.decoding_process"},
    "urllib.request": {"utils.healthcheck", "utils.proxies"},
    "http.client": {"utils.healthcheck"},
    "subprocess": {"utils.decoding_process"},
    "socket": {"utils.lock"},
    "fcntl": {"utils.lock"},
}

# Modules of one name in two packages, and why that is right.
SAME_NAME = {"journal": "the package, and in it the module of the class Journal, by which all use it"}


def place(module: str) -> str:
    """Return under which name of the root a module stands in the table."""
    return module.split(".", maxsplit=1)[0]


def allowed(name: str) -> set[str]:
    """Return which names of the root may be imported by one of them."""
    words = TABLE[name]
    return {*TABLE} - {"main", "__main__", name} if words == EVERYTHING else set(words.split())
