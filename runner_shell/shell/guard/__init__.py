"""What stands around a runner, from before it is forked until nothing of it is left.

`guardian` is the parent process, `bond` the runner's end of it, `tree` the end of all descendants,
`termination_log` the last words of a runner that could not write them; `hygiene` takes the secrets
out of the environment and closes the process to its children, `linux` is the system call that they
need. The standard library and `errors` only: this comes before anything else is imported.
"""
