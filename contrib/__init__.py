"""What comes with the library and is no part of it; README.md says what is where.

A package, so that ``python3 -m contrib.bench`` finds this folder and no other of its name.
"""
