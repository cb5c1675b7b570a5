"""Announcement of a run: what it is about to do, said before anything is paid for.

What costs money that may not be meant is a warning, so that a quiet run says it too.
"""

import logging

from config import Settings
from costs.price_book import PriceBook
from gemini.model_info import PICTURE_MODEL, produces_images
from prompts.picture_requests import asks_for_picture
from reports.earlier_answers import describe_asked_anew, describe_kept, describe_repaired
from settings.endpoint import find_unencrypted_host
from storage.journal.plan import EarlierAnswers, Plan, TodoReason

log = logging.getLogger(__name__)


def announce(settings: Settings, plan: Plan, price_book: PriceBook) -> None:
    """Write to the log what is about to happen; blocks while prices are looked up."""
    if settings.dry_run:
        log.info("dry run: nothing is sent and nothing is paid; every answer is simulated")
    elif host := find_unencrypted_host(settings.api_base_url):
        log.warning(
            "--api-base-url begins with http://: the API key, images and answers go to %s unencrypted,"
            " and can be read and changed on the way; use https:// unless that network is yours",
            host,
        )
    log.info(
        "%d images in %s: %d to ask %s about, %d answered already, %d failed before",
        plan.found,
        settings.input_dir,
        plan.todo,
        settings.model,
        plan.answered + plan.copyable,
        sum(plan.known_failures.values()),
    )
    lost = plan.reasons.get(TodoReason.LOST, 0)
    if lost:
        log.warning(
            "%d answers no longer stand as they were written: their images are asked about again", lost
        )
    if plan.earlier != EarlierAnswers():
        _announce_earlier_answers(settings, plan.earlier, price_book)
    if plan.todo and asks_for_picture(settings.prompt) and not produces_images(settings.model):
        log.warning(
            "the prompt seems to ask for a picture, but %s answers in words; "
            "--model %s returns pictures (about $0.04 each, prices of November 2026)",
            settings.model,
            PICTURE_MODEL,
        )


def _announce_earlier_answers(settings: Settings, earlier: EarlierAnswers, price_book: PriceBook) -> None:
    if earlier.repaired:
        log.info("%s", describe_repaired(earlier.repaired))
    if earlier.kept:
        flag = "--keep-answers" if settings.keep_answers else "--retry-failed asks only where there is none"
        log.info("%s", describe_kept(earlier.kept, flag=flag))
    if earlier.asked_anew:
        cost = price_book.estimate_again(
            earlier.usage,
            answers=sum(earlier.asked_anew.values()),
            makes_pictures=produces_images(settings.model),
        )
        cost_usd = None if cost is None else float(cost)
        log.warning("%s", describe_asked_anew(earlier.asked_anew, cost_usd=cost_usd))
