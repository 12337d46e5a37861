"""What the embedded store is made of; only `sqlite` in the folder above knows it.

* `committer`: one thread, and one transaction for everything that waits; `disk` has a second
  thread keep what is committed
* `database`: the SQL, with `history` (a row for each frame), `derived` (what events change in a
  session, pure) and `schema`
"""
