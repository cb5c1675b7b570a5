"""Cause and remedy of each class of failure, in words for the user.

The error logs, ``error_analysis.json`` and the summary take their words from these tables. One class can have
several causes, each with its own remedy: ``errors.Cause``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from errors import Cause, ErrorKind, FatalError, StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Cause and remedy of one class of failure."""

    cause: str
    """Why it happens, as one sentence."""
    remedy: str
    """What to do now, as one sentence."""
    flags: str = ""
    """What to add to the command for the remedy; empty if nothing."""
    is_worth_repeating: bool = True
    """False if the same image would fail again whatever the flags."""
    by_hand: str = ""
    """The remedy after prompt optimization was tried; empty if it is never tried for this class."""


_REPAIR = "--enable-prompt-optimization"

ADVICE: Mapping[ErrorKind, Advice] = MappingProxyType(
    {
        ErrorKind.RATE_LIMITED: Advice(
            cause="The project's quota per minute was used up.",
            remedy="Run the command again later, or slower with --rpm.",
        ),
        ErrorKind.SERVER: Advice(
            cause="Google's service was broken or overloaded.",
            remedy="Run the command again later.",
        ),
        ErrorKind.NETWORK: Advice(
            cause="No whole answer came through the network.",
            remedy="Check the connection (and the proxy or --api-base-url), then run the command again.",
        ),
        ErrorKind.TIMEOUT: Advice(
            cause="The answer did not come within the time allowed.",
            remedy="Run the command again with a larger --timeout, or with fewer calls at once.",
            flags="--timeout 600",
        ),
        ErrorKind.BLOCKED: Advice(
            cause="Google's safety filter withheld the answer.",
            remedy="Put the prompt in milder words, or let --enable-prompt-optimization try some.",
            flags=_REPAIR,
            by_hand="Put the prompt in milder words of your own.",
        ),
        ErrorKind.RECITATION: Advice(
            cause="The answer was withheld because it repeats protected text or pictures.",
            remedy="Ask for the model's own words or design, or let --enable-prompt-optimization do so.",
            flags=_REPAIR,
            by_hand="Ask for the model's own words or design.",
        ),
        ErrorKind.TRUNCATED: Advice(
            cause="The answer reached the longest length there is and was cut off.",
            remedy="Ask for a shorter answer, or let --enable-prompt-optimization do so.",
            flags=_REPAIR,
            by_hand="Ask for a shorter answer.",
        ),
        ErrorKind.EMPTY: Advice(
            cause="The model finished without saying anything.",
            remedy="Run the command again, with --enable-prompt-optimization if it stays so.",
            flags=_REPAIR,
            by_hand="Ask for less, or try another --model.",
        ),
        ErrorKind.NO_IMAGE: Advice(
            cause="A picture was asked for and none came.",
            remedy="Ask for the picture in plain words, or let --enable-prompt-optimization try some.",
            flags=_REPAIR,
            by_hand="Ask for the picture in plainer words of your own, or try another --model.",
        ),
        ErrorKind.MALFORMED: Advice(
            cause="The model returned something that is not an answer.",
            remedy="Run the command again, with --enable-prompt-optimization if it stays so.",
            flags=_REPAIR,
            by_hand="Ask for less, or try another --model.",
        ),
        ErrorKind.SCHEMA: Advice(
            cause="The answer does not have the form that was asked for.",
            remedy="State the form more simply, or let --enable-prompt-optimization insist on it.",
            flags=_REPAIR,
            by_hand="State the form more simply.",
        ),
        ErrorKind.REFUSED: Advice(
            cause="The model declined the task in a sentence.",
            remedy="Say what the result is for, or let --enable-prompt-optimization try other words.",
            flags=_REPAIR,
            by_hand="Say what the result is for.",
        ),
        ErrorKind.PROHIBITED: Advice(
            cause="Google's rules forbid this content.",
            remedy="Leave this image out; other words will not help.",
            is_worth_repeating=False,
        ),
        ErrorKind.FILE_UNAVAILABLE: Advice(
            cause="The image's file could not be had: it is gone, changing, or its disk is at fault.",
            remedy="See that the file is there and can be read; the next run tries it again by itself.",
        ),
        ErrorKind.INVALID_REQUEST: Advice(
            cause="The service does not accept the request, or the image cannot be read.",
            remedy="See the report of each image: it tells whether the image or a setting is to be mended.",
            is_worth_repeating=False,
        ),
    }
)
"""One entry for every class; a test checks that none is missing."""

_ASK_AGAIN = f"run the command again with --only {ErrorKind.INVALID_REQUEST}"

_BY_CAUSE: Mapping[Cause, tuple[str, str]] = MappingProxyType(
    {
        Cause.IMAGE: (
            "The image cannot be read, or the service does not take it.",
            "Repair the image by what is said about it, or remove it, then run the command again.",
        ),
        Cause.REQUEST: (
            "The service does not accept the request as it is set up; no image can change that.",
            f"Correct what the message names (an option, --model or the prompt), then {_ASK_AGAIN}.",
        ),
        Cause.TOO_LARGE: (
            "The request with this image is too large for the service, or for a gateway on the way.",
            "Put a smaller version of the image in its place, then run the command again.",
        ),
        Cause.UPLOAD: (
            "The image was uploaded, and the upload was lost before the answer.",
            f"{_ASK_AGAIN.capitalize()}.",
        ),
        Cause.NO_FILES_API: (
            "The endpoint of --api-base-url takes no uploads, and the image is too large to go in a request.",
            "Put a smaller version of the image in its place, or take another endpoint.",
        ),
        Cause.GATEWAY: (
            "A server on the way (a gateway, a proxy, a firewall) did not let the request through.",
            f"Go another way (--api-base-url, proxy, network) or ask its owner, then {_ASK_AGAIN}.",
        ),
    }
)
"""Cause and remedy of a request that was refused for good, where its cause is known."""

_OPTIMIZATION_FAILED = "What --enable-prompt-optimization tried did not help."


def advice_for(kind: ErrorKind, *, has_prompt_optimization: bool, cause: Cause | None = None) -> Advice:
    """Return the advice for a class; with prompt optimization the advice to switch it on is left out.

    Args:
        kind: the class.
        has_prompt_optimization: it was on in the run.
        cause: of one image's failure; None for the whole class, or if unknown.
    """
    advice = ADVICE[kind]
    if kind is ErrorKind.INVALID_REQUEST and cause is not None and cause in _BY_CAUSE:
        text, remedy = _BY_CAUSE[cause]
        return replace(advice, cause=text, remedy=remedy)
    if not (has_prompt_optimization and advice.by_hand):
        return advice
    return replace(advice, remedy=f"{_OPTIMIZATION_FAILED} {advice.by_hand}", flags="")


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
