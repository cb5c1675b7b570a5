"""Texts and documents about a run, made from counts and records; nothing here reads or writes a file.

- ``tally``: all counters of a run, and its exit code.
- ``edit_outcomes``: what edits and changed settings achieved.
- ``documents``: the types of the documents in ``metadata/``.
- ``run_report``: ``processing_stats.json`` and ``error_analysis.json``.
- ``prompt_evolution``, ``attempt_history``: head and lines of ``prompt_evolution.json``.
- ``prompt_suggestion``: an edited prompt that would have served the whole run better.
- ``cost_report``, ``rate_limit_report``, ``quota_forecast``: costs, limits, and the next reset.
- ``advice``: cause and remedy of each class of failure.
- ``summary``: the lines that the user reads at the end.
- ``error_log``: the report of one failed image.
- ``formatting``: rows, wrapping, counts with their noun, US dollars.
"""
