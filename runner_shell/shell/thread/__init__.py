"""The adapter's thread, and the way from there to the main one.

`host` is the thread and its loop, `crossing` the deque by which things come over in order,
`joining` makes one delta of many before they do more.
"""
