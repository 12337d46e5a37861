"""The vocabulary and the frames, as data only.

Rooms: `events` and `commands` (payload structs), `frames` (the link's frames), `catalogue` (the one
table of all types), `codec` (bytes to structs and back, with limits), `reference` (writes
the pages from the table, with `schema`, `asyncapi`, `docstrings` and `prose`), `generated` (files
that are made from code, for all who make some).
"""
