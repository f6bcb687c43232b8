"""Drivers: each runs operations on one kind of loop and knows no HTTP.

A driver resumes an operation with ``next()`` when its descriptor is ready, at the latest at its
deadline, and closes it when it is cancelled. Another one has to do what polling/contract.py says;
gevent.py is the shortest example. detect.py chooses between those that may be running.
"""
