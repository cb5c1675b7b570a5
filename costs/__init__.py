"""Costs: budgets, prices, and estimates of the tokens of a call.

Prices are US dollars. See docs/adr/0010.

    budget.py            ``--max-cost`` and ``--max-requests``
    optimizer_budget.py  ``--optimizer-max-cost``
    price_book.py        costs of a run: known, or estimated
    pricing.py           what a token costs
    token_estimates.py   how many tokens a call takes
"""
