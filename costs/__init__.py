"""What does asking cost? ``prices`` knows what a token costs, ``tokens`` how many a call takes."""
