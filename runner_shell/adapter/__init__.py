"""The contract between the shell and a framework: subclass `Adapter`, implement `turn`.

Rooms: `contract` (the class and its words), `turn` (what a turn emits to), `session` (questions,
durable state, log), `workspace`, `settings` (an adapter's environment, typed), `discovery`
(installed adapters by entry point).
"""
