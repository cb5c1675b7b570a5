"""The output directory: its layout, and how files in it are written and checked.

layout.py          names and places of all files
answer_files.py    answers and failures as files
answer_text.py     text of an answer's file
tree.py            write, find and move result files
own_tree.py        results of this program among images
cleanup.py         unfinished files, and the index of existing pictures and reports
ledger.py          append-only list of all answers received
ledger_state.py    state of its file, to compare with the journal's mark
proven_answers.py  all answers that the ledger proves, with their places in the history
commit.py          write answers in an order that survives a crash
"""
