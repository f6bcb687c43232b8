"""Adapters: other libraries on top of this one, each a file and an extra of its own.

``httpx.py`` has transports for httpx and httpx2 (``httpx_*.py`` are its parts), ``requests.py``
an adapter for requests, ``botocore.py`` a session for botocore and boto3, ``fsspec.py`` and
``fsspec_webdav.py`` file systems for fsspec (the other ``fsspec_*.py`` are their parts). They are
only imported by the programs that use them, so the library needs none of these packages.
"""
