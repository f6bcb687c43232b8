"""Drivers: each runs operations on one kind of loop and knows no HTTP.

A driver resumes an operation with ``next()`` when what it waits for is ready, or no
later than its deadline, and closes it when it gives up.
"""
