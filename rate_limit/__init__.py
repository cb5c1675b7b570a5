"""When may the next request start, given what the service has let through so far?

Pure: no clock, no waiting, no input or output. Every method is given the instant as ``now_s``, seconds
on any clock that does not go back; ``rate_limiter`` is the shell that waits. Nothing here knows images,
HTTP, or how many runs there are beyond what it is told.

    figures.py    the plain numbers that go in and out
    sendings.py   which requests left in the last two minutes, and did the quota take them?
    ceiling.py    the user's own limit, exact for every window
    evidence.py   what does one refusal say about the limit?
    strategy.py   the port: what a way to pace must answer; and the fixed one
    opening.py    the search for a pace while nothing is known
    strikes.py    do refusals prove that there is a limit?
    learning.py   the pace that finds the limit, for requests or for tokens
    sharing.py    which part of the limit is ours beside other runs on the same key?
    health.py     is the service well, and how many calls may be in flight?
    costs/budget.py     how much of what is sent may be retries?
    quotas.py     the pause that a refusal opens, and the quota of a day
    pacer.py      ``Pacer``: all of the above behind one door
"""
