"""Rate limiting: when the next request may start, given what the service has accepted so far.

No module but ``limiter`` and ``shared/`` waits or does input or output. Methods get the instant as ``now_s``:
seconds on any clock that does not go back. See docs/adr/0009.

    limiter.py           ``RateLimiter``: the queue of waiting callers
    pacer.py             ``Pacer``: all reasons to wait behind one interface
    strategy.py          interface of a pacing strategy, and the strategy without a limit
    adaptive_rate.py     the pace that finds a limit and stays just below it
    slow_start.py        the pace while no limit is known
    limit_detection.py   whether rejections prove a limit
    limit_estimation.py  the limit that one rejection points at
    probe_schedule.py    when to check whether a limit has risen
    sliding_window.py    the user's own limit, exact in any window
    request_log.py       the requests of the last two minutes
    service_health.py    circuit breaker, and the number of calls in flight
    retry_budget.py      the share of retries while the service is in distress
    cooldown.py          the pause after a rejection, and the quota of a day
    types.py             the values that go in and out
    shared/              what runs on one API key share, and keep for the next run
"""
