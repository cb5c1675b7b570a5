"""Decisions about prompts: which failed images are asked again, with which prompt, and when to stop.

Nothing here makes a call; only ``edits`` reads a file. See docs/adr/0011 and docs/prompt-optimization.md.

- ``rules``: what each class of failure allows.
- ``edits``, ``edits.toml``, ``transforms``: small changes of the user's prompt.
- ``clauses``, ``clause_tree``, ``grammar``, ``prompt_tokens``, ``prompt_gaps``: parts that can be left out.
- ``clause_edits``, ``clause_posterior``, ``clause_findings``, ``word_lists``: which of them are to blame.
- ``asking_again``: how often a plain second call helps.
- ``history``: the failures of one image.
- ``policy``: the next call for a failed image; Thompson sampling and a control group.
- ``posterior``: Beta posteriors of the success rates of one class.
- ``edit_stats``: the posteriors of all classes, shared by all images of a run and kept for the next one.
- ``uplift``: what edits are worth over asking again, with intervals.
- ``candidates``: prompts that a model proposed, and their trials.
- ``meta_prompt``: the question to that model, and the checks of its answer.
"""
