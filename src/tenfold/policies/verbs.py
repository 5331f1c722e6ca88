"""The words every policy speaks, and the two times they share."""

# What acquire() answers; extra() only PROCEED or REJECT.
PROCEED = 0  # call now
WAIT = 1  # you have been given a place: ask again after wait_ns
REJECT = 2  # do not call; wait_ns is a hint when to come back, 0: unknown
QUEUE = 3  # wait until woken: whoever wakes you has handed you its slot, do not ask again

# What record() is told.
SUCCESS = 0
FAILURE = 1
IGNORED = 2  # cancelled, refused further in, not the dependency's fault: give the slot back, learn nothing

# What record() answers.
DONE = 4  # nothing more to do
RETRY = 5  # attempt again after wait_ns
WAKE = 6  # done, and the slot now belongs to the first waiter: wake it

# Answers that say nothing more; made once, because an answer is given for every call.
PASSED = (PROCEED, 0)
NOTED = (DONE, 0)

NEVER = 2**62
"""A time that does not come. Two of them still fit into an int64."""

LONGEST_NS = 31_536_000_000_000_000
"""The longest duration a setting may have: 365 days."""
