"""The vocabulary and the frames, as data only.

Rooms: `events` and `commands` (payload structs), `frames` (the link's frames), `catalogue` (the one
table of all types), `codec` (bytes to structs and back, with limits), `reference` (writes the
JSON Schema, the AsyncAPI document and the event reference from the table).
"""
