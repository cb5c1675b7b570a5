"""Cause and remedy of each class of failure, in words for the user.

The error logs, ``error_analysis.json`` and the summary take their words from these tables. One class can have
several causes, each with its own remedy: ``errors.Cause``.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from errors import WORTH_RETRYING_LATER, Cause, ErrorKind, FatalError, StopReason

Options = Mapping[str, str | int | float | bool | None]
"""Settings of a run by name, as in ``RunInfo.options``."""

RUN_AGAIN = "run the same command again"
"""The remedy for all that the next run does by itself: what is deferred, and ``WORTH_RETRYING_LATER``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Cause and remedy of one class of failure."""

    cause: str
    """Why it happens, as one sentence."""
    remedy: str
    """What to do now, as one sentence; it names ``flags``."""
    flags: tuple[str, ...] = ()
    """What to add to the command for the remedy, each with its value."""
    is_worth_repeating: bool = True
    """False if the same image would fail again whatever the flags."""
    by_hand: str = ""
    """The remedy after prompt optimization was tried; empty if it is never tried for this class."""


_REPAIR = "--enable-prompt-optimization"
_OPTIMIZATION_FAILED = f"What {_REPAIR} tried did not help."
_MIN_LONGER_TIMEOUT_S, _MAX_TIMEOUT_S = 600, 3600


def _curable(kind: ErrorKind, *, cause: str, effect: str, by_hand: str) -> Advice:
    """Return the advice for a class that an edited prompt may cure.

    Without ``--only`` the next run leaves such images alone.

    Args:
        kind: the class.
        cause: one sentence.
        effect: what prompt optimization does about it; follows "which".
        by_hand: what the user can do instead, as the beginning of a sentence.
    """
    only = f"--only {kind}"
    return Advice(
        cause=cause,
        remedy=f"Run the same command with {only} {_REPAIR}, which {effect}. Or {by_hand}, with {only}.",
        flags=(only, _REPAIR),
        by_hand=f"{by_hand[:1].upper()}{by_hand[1:]}, and run the same command with {only}.",
    )


ADVICE: Mapping[ErrorKind, Advice] = MappingProxyType(
    {
        ErrorKind.RATE_LIMITED: Advice(
            cause="The project's quota per minute was used up.",
            remedy="Run the same command again later, or slower with --rpm.",
        ),
        ErrorKind.SERVER: Advice(
            cause="Google's service was broken or overloaded.",
            remedy="Run the same command again later.",
        ),
        ErrorKind.NETWORK: Advice(
            cause="No whole answer came through the network.",
            remedy="Check the connection (and the proxy or --api-base-url), then run the same command again.",
        ),
        ErrorKind.TIMEOUT: Advice(
            cause="The answer did not come within the time allowed.",
            remedy="Run the same command again with fewer calls at once (--max-concurrent).",
        ),
        ErrorKind.BLOCKED: _curable(
            ErrorKind.BLOCKED,
            cause="Google's safety filter withheld the answer.",
            effect="tries milder words",
            by_hand="put the prompt in milder words of your own",
        ),
        ErrorKind.RECITATION: _curable(
            ErrorKind.RECITATION,
            cause="The answer was withheld because it repeats protected text or pictures.",
            effect="asks for the model's own words or design",
            by_hand="ask for the model's own words or design yourself",
        ),
        ErrorKind.TRUNCATED: _curable(
            ErrorKind.TRUNCATED,
            cause="The answer reached the longest length there is and was cut off.",
            effect="gives the answer more room and asks for a shorter one",
            by_hand="ask for a shorter answer yourself",
        ),
        ErrorKind.EMPTY: _curable(
            ErrorKind.EMPTY,
            cause="The model finished without saying anything.",
            effect="asks again, then with an edited prompt",
            by_hand="ask for less, or try another --model",
        ),
        ErrorKind.NO_IMAGE: _curable(
            ErrorKind.NO_IMAGE,
            cause="A picture was asked for and none came.",
            effect="asks for the picture alone, then in plain words",
            by_hand="ask for the picture in plainer words of your own, or try another --model",
        ),
        ErrorKind.MALFORMED: _curable(
            ErrorKind.MALFORMED,
            cause="The model returned something that is not an answer.",
            effect="asks again, then with an edited prompt",
            by_hand="ask for less, or try another --model",
        ),
        ErrorKind.SCHEMA: _curable(
            ErrorKind.SCHEMA,
            cause="The answer does not have the form that was asked for.",
            effect="insists on the form",
            by_hand="state the form more simply",
        ),
        ErrorKind.REFUSED: _curable(
            ErrorKind.REFUSED,
            cause="The model declined the task in a sentence.",
            effect="says what the result is for",
            by_hand="say in the prompt yourself what the result is for",
        ),
        ErrorKind.PROHIBITED: Advice(
            cause="Google's rules forbid this content.",
            remedy="Leave this image out; another prompt will not help.",
            is_worth_repeating=False,
        ),
        ErrorKind.FILE_UNAVAILABLE: Advice(
            cause="The image's file could not be read (gone, changing, disk at fault), or memory is short.",
            remedy="See the report of each image for which; the next run tries it again by itself.",
        ),
        ErrorKind.INVALID_REQUEST: Advice(
            cause="The service does not accept the request, or the image cannot be read.",
            remedy="See the report of each image: it tells whether the image or a setting is at fault.",
            is_worth_repeating=False,
        ),
    }
)
"""One entry for every class; a test checks that none is missing."""

_ASK_AGAIN = f"run the same command with --only {ErrorKind.INVALID_REQUEST}"

_BY_CAUSE: Mapping[Cause, tuple[str, str]] = MappingProxyType(
    {
        Cause.IMAGE: (
            "The image cannot be read, or the service does not take it.",
            f"Repair the image by what is said about it, or remove it, then {RUN_AGAIN}.",
        ),
        Cause.REQUEST: (
            "The service does not accept the request as it is set up; no image can change that.",
            f"Correct what the message names (an option, --model or the prompt), then {_ASK_AGAIN}.",
        ),
        Cause.TOO_LARGE: (
            "The request with this image is too large for the service, or for a gateway on the way.",
            f"Put a smaller version of the image in its place, then {RUN_AGAIN}.",
        ),
        Cause.UPLOAD: (
            "The image was uploaded, and the upload was lost before the answer.",
            f"{_ASK_AGAIN[:1].upper()}{_ASK_AGAIN[1:]}.",
        ),
        Cause.NO_FILES_API: (
            "The endpoint of --api-base-url takes no uploads, and the image is too large to go in a request.",
            "Put a smaller version of the image in its place, or take another endpoint.",
        ),
        Cause.GATEWAY: (
            "A server on the way (a gateway, a proxy, a firewall) did not let the request through.",
            f"Go another way (--api-base-url, proxy, network) or ask its owner, then {_ASK_AGAIN}.",
        ),
        Cause.STOPPED: (
            "The process was stopped, or the machine slept, while the call was in flight.",
            f"{RUN_AGAIN[:1].upper()}{RUN_AGAIN[1:]}.",
        ),
    }
)
"""Cause and remedy of a request that was refused for good, where its cause is known."""


def advice_for(kind: ErrorKind, *, options: Options, cause: Cause | None = None) -> Advice:
    """Return the advice for a class; what was on already is not advised.

    Args:
        kind: the class.
        options: the settings of the run.
        cause: of one image's failure; None for the whole class, or if unknown.
    """
    advice = ADVICE[kind]
    if kind is ErrorKind.INVALID_REQUEST and cause is not None and cause in _BY_CAUSE:
        text, remedy = _BY_CAUSE[cause]
        return replace(advice, cause=text, remedy=remedy)
    if kind is ErrorKind.TIMEOUT:
        advice = _advise_longer_timeout(advice, options)
    if options.get("enable_prompt_optimization") and advice.by_hand:
        advice = replace(advice, remedy=f"{_OPTIMIZATION_FAILED} {advice.by_hand}", flags=(f"--only {kind}",))
    return _limit_force(advice, kind) if options.get("force") and advice.is_worth_repeating else advice


def _limit_force(advice: Advice, kind: ErrorKind) -> Advice:
    """Return the advice after a run with ``--force``, which typed again would ask about all images anew.

    Without it an image whose earlier answer stands counts as answered.
    """
    only = f"--only {kind}"
    if only in advice.flags:
        return replace(advice, flags=(only, "--force", *advice.flags[1:]))
    remedy = advice.remedy
    if advice.flags:
        remedy = remedy.replace(advice.flags[0], f"{only} {advice.flags[0]}")
    elif RUN_AGAIN in remedy.lower():
        remedy = re.sub(f"({RUN_AGAIN})", rf"\1 with {only}", remedy, flags=re.IGNORECASE)
    else:
        remedy = f"{remedy} With --force, add {only}."
    return replace(advice, remedy=remedy, flags=(only, "--force", *advice.flags))


def _advise_longer_timeout(advice: Advice, options: Options) -> Advice:
    """Return the advice with twice the time, where the program allows more."""
    timeout_s = options.get("timeout_s") or 0.0
    longer_s = int(min(max(_MIN_LONGER_TIMEOUT_S, 2 * float(timeout_s)), _MAX_TIMEOUT_S))
    if longer_s <= float(timeout_s):
        return advice
    flag = f"--timeout {longer_s}"
    return replace(
        advice,
        remedy=f"Run the same command again with {flag}, or with fewer calls at once (--max-concurrent).",
        flags=(flag,),
    )


def describe_next(kinds: Collection[ErrorKind], *, options: Options, reports: str = "") -> str:
    """Return what to do about images that failed in these ways, as one sentence without its full stop.

    Args:
        kinds: the classes, the most important first.
        options: the settings of the run.
        reports: where the images' reports lie; empty if unknown.
    """
    advice = {kind: advice_for(kind, options=options) for kind in kinds}
    worth = [kind for kind in kinds if advice[kind].is_worth_repeating]
    see = f"see the report of each image{f' in {reports}' if reports else ''}"
    if not worth:
        return f"{see}, and {'leave it out' if {*kinds} == {ErrorKind.PROHIBITED} else 'do what it says'}"
    is_automatic = WORTH_RETRYING_LATER.issuperset(worth) and not options.get("force")
    only = () if is_automatic else (f"--only {','.join(worth)}",)
    # The command of a run with --force has that flag already.
    more = (
        flag for kind in worth for flag in advice[kind].flags if not flag.startswith(("--only ", "--force"))
    )
    flags = " ".join(dict.fromkeys((*only, *more)))
    command = f"{RUN_AGAIN} with {flags}" if flags else RUN_AGAIN
    return command if len(worth) == len(kinds) else f"{command}; for the others {see}"


_STOP_REMEDIES: Mapping[Cause, str] = MappingProxyType(
    {
        Cause.KEY: StopReason.KEY_INVALID.remedy,
        Cause.LEAKED_KEY: "make another API key at https://aistudio.google.com/apikey and put it into"
        " GEMINI_API_KEY; a key that was seen in public stays blocked",
        Cause.RESTRICTION: StopReason.PERMISSION.remedy,
        Cause.API_DISABLED: "enable the API in the key's project as the message says, wait some minutes, then"
        " run again",
        Cause.PROJECT: "ask Google's support about the project, or use a key of another project",
        Cause.LOCATION: "run it from a country or region where the service is offered, or see where a proxy"
        " or a VPN lets your connections out (https://ai.google.dev/gemini-api/docs/available-regions)",
        Cause.BILLING: "enable billing for the key's project at https://aistudio.google.com/apikey, then run"
        " again",
        Cause.GATEWAY: "check --api-base-url, the proxy and the network (a firewall, a VPN), or ask the owner"
        " of the server that answered",
        Cause.GATEWAY_KEY: "check GEMINI_API_KEY: it must be a key of the gateway that --api-base-url names",
        Cause.GATEWAY_CREDIT: "top up the account at the gateway that --api-base-url names, then run again",
        Cause.NO_CONNECTION: "check the connection, the proxy and --api-base-url, then run the same command"
        " again",
        Cause.SHORTAGE: "let the program open more files (ulimit -n), or set a lower --max-concurrent, then"
        " run the same command again",
        Cause.CERTIFICATE: "name the authority that signed it (a proxy may have one of its own) with"
        " SSL_CERT_FILE=/path/to/authority.pem, then run the same command again",
        Cause.CLOCK: "set this machine's clock if it is wrong; if it is right, only the server's owner can"
        " renew the certificate; then run the same command again",
        Cause.OTHER_HOST: "check --api-base-url, the proxy and the network: another server answers there",
    }
)


def stop_remedy(stop: FatalError) -> str:
    """Return what the user should do now, as one sentence without its full stop."""
    return _STOP_REMEDIES.get(stop.cause, stop.reason.remedy) if stop.cause else stop.reason.remedy


STOPPED_BECAUSE: Mapping[StopReason, str] = MappingProxyType(
    {
        StopReason.DAILY_QUOTA: "the project's quota for the day is used up",
        StopReason.LONG_WAIT: "the service asks for a wait longer than --max-wait",
    }
)
"""What ended a run, where the service's own sentence could mean something else."""

WAITING_IS_USELESS = "waiting does not help"
RAISE_SPENDING_CAP = "raise the project's spending cap at https://ai.studio/projects"
"""Google's page for a project's billing. Source: docs/api-facts.md, section 3.4, body F, 2026-09."""
